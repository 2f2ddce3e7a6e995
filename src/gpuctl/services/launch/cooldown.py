"""Placements that had no capacity a moment ago, in any process, so that the same request is not sent again."""

from dataclasses import dataclass, field
from datetime import datetime

from gpuctl.domain.duration import approximate
from gpuctl.domain.market.candidates import Placement, exceeds_with, rules_out
from gpuctl.domain.market.offers import Offer
from gpuctl.errors import CapacityError, Extent, GpuctlError, NotNowError, QuotaError
from gpuctl.services.launch.offers import Choice
from gpuctl.services.runtime import Runtime
from gpuctl.store.cooldown import COOLDOWN


@dataclass(slots=True)
class Refusals:
    """Which places are worth asking now. Capacity is remembered for all processes, everything else for this one only.

    A quota or a permission may be raised, a price may be raised by the next request, a network may be repaired.
    """

    runtime: Runtime
    choice: Choice
    quotas: list[tuple[Offer, QuotaError]] = field(default_factory=list)
    refused_placements: list[tuple[Placement, GpuctlError]] = field(default_factory=list)
    without_capacity: dict[str, datetime] = field(default_factory=dict)

    def of(self, placement: Placement) -> GpuctlError | None:
        """Why the place need not be asked now; None if it may be."""
        for offer, error in self.quotas:
            if exceeds_with(offer, placement.offer):
                return error
        for refused, refusal in self.refused_placements:
            if rules_out(refusal.extent, refused, placement):
                return refusal
        now = self.runtime.clock.now()
        refused_at = (self.runtime.cooldown.active(now) | self.without_capacity).get(self._key(placement))
        if refused_at is None:
            return None
        left = approximate(COOLDOWN - (now - refused_at))
        return CapacityError(
            (
                f"`{placement.location}` had no capacity for `{placement.offer.type.name}` "
                f"{approximate(now - refused_at)} ago; not retried yet"
            ),
            hint=f"retry in {left}, or add another `--region`",
        )

    def needs_zones(self, offer: Offer) -> bool:
        """Whether the region refused it where the cloud itself chose a zone, so that other zones may still have it."""
        error = self.of(Placement(offer))
        return error is not None and (is_capacity_left(error) or error.extent is Extent.ZONE)

    def add(self, placement: Placement, error: GpuctlError) -> None:
        """Remember a refusal, if it says something about later requests."""
        if isinstance(error, QuotaError):
            self.quotas.append((placement.offer, error))
        elif is_capacity_left(error):
            self.without_capacity[self._key(placement)] = self.runtime.clock.now()
            self.runtime.cooldown.start(self._key(placement), self.runtime.clock.now())
        elif error.extent is not Extent.EVERYWHERE:
            self.refused_placements.append((placement, error))

    def _key(self, placement: Placement) -> str:
        return placement.cooldown_key(self.choice.bids[placement.offer.type.provider].request.subnet)


def is_capacity_left(error: GpuctlError) -> bool:
    """Whether the cloud has no such instance available there now."""
    return isinstance(error, CapacityError) and not isinstance(error, NotNowError)


def is_elsewhere(error: GpuctlError) -> bool:
    """Whether another place may still have what was refused at this one."""
    return isinstance(error, (CapacityError, QuotaError)) or error.extent is not Extent.EVERYWHERE
