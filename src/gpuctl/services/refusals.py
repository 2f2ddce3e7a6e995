"""What was refused a moment ago, here or by another process, so that nobody knocks at the same door again at once."""

from dataclasses import dataclass, field
from datetime import datetime

from gpuctl.domain.duration import rough
from gpuctl.domain.offers import Offer
from gpuctl.domain.places import Place, exceeds_with
from gpuctl.errors import CapacityError, GpuctlError, QuotaError
from gpuctl.services.choosing import Choice
from gpuctl.services.parts import Parts
from gpuctl.store.base import REFUSED_FOR


@dataclass(slots=True)
class Refused:
    """Which places are worth asking now. Capacity is remembered for all processes, a quota for this one only."""

    parts: Parts
    choice: Choice
    quotas: list[tuple[Offer, QuotaError]] = field(default_factory=list)
    full: dict[str, datetime] = field(default_factory=dict)

    def against(self, place: Place) -> GpuctlError | None:
        """Why the place need not be asked now; None if it may be."""
        for offer, error in self.quotas:
            if exceeds_with(offer, place.offer):
                return error
        now = self.parts.clock.now()
        refused_at = (self.parts.refusals.since(now) | self.full).get(self._door(place))
        if refused_at is None:
            return None
        left = rough(REFUSED_FOR - (now - refused_at))
        return CapacityError(
            f"no `{place.offer.type.name}` left in `{place.where}` {rough(now - refused_at)} ago; not asked again yet",
            hint=f"run it again in {left}, or add another `--region`",
        )

    def is_full(self, offer: Offer) -> bool:
        """Whether the region had none of it left, wherever in it the cloud looked."""
        return isinstance(self.against(Place(offer)), CapacityError)

    def refused(self, place: Place, error: GpuctlError) -> None:
        """Remember a refusal, if it says something about later questions."""
        if isinstance(error, QuotaError):
            self.quotas.append((place.offer, error))
        elif isinstance(error, CapacityError):
            self.full[self._door(place)] = self.parts.clock.now()
            self.parts.refusals.remember(self._door(place), self.parts.clock.now())

    def _door(self, place: Place) -> str:
        return place.door(self.choice.bids[place.offer.type.provider].request.subnet)
