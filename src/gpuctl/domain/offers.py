"""What can be bought: instance types, prices per region and market, and how offers are ranked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

from gpuctl.domain.instance import Market, Price, ProviderName


class Availability(StrEnum):
    """Whether a cloud still starts a type."""

    CURRENT = "current"
    LEGACY = "legacy"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class InstanceType:
    """The shape of one kind of machine. A figure that is not known is None.

    `gpu_count` is below 1 where the type holds a slice of a GPU, and `gpu_memory_gib` is then the slice's.
    """

    provider: ProviderName
    name: str
    gpu_model: str
    gpu_count: Decimal
    gpu_memory_gib: Decimal | None
    vcpus: int | None
    memory_gib: Decimal | None
    arch: str
    availability: Availability
    retired_on: date | None = None
    successor: str | None = None

    @property
    def gpu_label(self) -> str:
        """`1x T4`, `1/6 A10`: the GPUs in the words of a price list."""
        if self.gpu_count >= 1:
            return f"{self.gpu_count:f}x {self.gpu_model}"
        return f"1/{round(1 / self.gpu_count)} {self.gpu_model}"


@dataclass(frozen=True, slots=True)
class Offer:
    """A type in a region and a market, with its price; a price of None is unknown, never free."""

    type: InstanceType
    region: str
    market: Market
    price: Price | None

    def cost(self, span: timedelta) -> Decimal | None:
        """Dollars for that long, per second; None where the price is unknown."""
        if self.price is None:
            return None
        return self.price.usd_per_hour * Decimal(span.total_seconds()) / 3600


@dataclass(frozen=True, slots=True)
class Need:
    """What a machine must have; None asks nothing of that side. `min_memory_gib` is of one GPU (or of the slice)."""

    gpu: str | None = None
    max_usd_per_hour: Decimal | None = None
    min_memory_gib: Decimal | None = None
    region: str | None = None
    with_retired: bool = False

    def is_met_by(self, offer: Offer) -> bool:
        """Whether the offer has all of it. An unknown price does not meet a highest price."""
        kind = offer.type
        return (
            (self.gpu is None or _same_model(self.gpu, kind.gpu_model))
            and (self.with_retired or kind.availability is not Availability.RETIRED)
            and (self.region is None or offer.region == self.region)
            and (
                self.max_usd_per_hour is None
                or (offer.price is not None and offer.price.usd_per_hour <= self.max_usd_per_hour)
            )
            and (
                self.min_memory_gib is None
                or (kind.gpu_memory_gib is not None and kind.gpu_memory_gib >= self.min_memory_gib)
            )
        )


def ranked(offers: Iterable[Offer], need: Need) -> Sequence[Offer]:
    """The offers that meet the need, cheapest first; unknown prices last; ties by type and region."""
    fitting = [offer for offer in offers if need.is_met_by(offer)]
    return sorted(
        fitting,
        key=lambda offer: (
            offer.price is None,
            offer.price.usd_per_hour if offer.price else Decimal(0),
            offer.type.name,
            offer.region,
        ),
    )


def _same_model(asked: str, model: str) -> bool:
    # `A100` means every A100, `A100 80GB` only that one; `t4` is T4 and not T4G.
    wanted, words = asked.casefold().split(), model.casefold().split()
    return words[: len(wanted)] == wanted or asked.casefold().replace(" ", "") == model.casefold().replace(" ", "")
