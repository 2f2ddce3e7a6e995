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


READY_WITHIN = timedelta(minutes=15)
# Assumed: no source says how long they take.
_SLOW = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class GpuImage:
    """A provider's image for a GPU: its name, the branch of its driver, and what it was built for.

    `driver` is None if the image has none. `generation` is that of the hypervisor, None if the provider has none.
    `secure_boot`: the driver is signed, so it loads under Secure Boot.
    """

    name: str
    driver: str | None
    arch: str
    generation: str | None
    secure_boot: bool


@dataclass(frozen=True, slots=True)
class InstanceType:
    """The shape of one instance type. A figure that is not known is None.

    `gpu_count` is below 1 where the type holds a slice of a GPU, and `gpu_memory_gib` is then the slice's. `image` is
    the image with a driver for its GPU, None where the catalog knows none. `quotas` are the provider's names for the
    quotas it counts against, on demand and as spot.
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
    image: GpuImage | None = None
    quotas: tuple[str, str] | None = None

    def quota_family(self, market: Market) -> str:
        """What the quota of this type is called in that market; where that is not known it has a quota of its own."""
        if self.quotas is None:
            return self.name
        on_demand, spot = self.quotas
        return spot if market is Market.SPOT else on_demand

    @property
    def retirement(self) -> str | None:
        """That the provider retired this type, and when, as the begin of a sentence; None if it did not."""
        if self.availability is not Availability.RETIRED:
            return None
        return f"`{self.name}` was retired" + (f" on {self.retired_on}" if self.retired_on else "")

    @property
    def ready_within(self) -> timedelta:
        """How long to wait for an instance of this type by default: large ones and bare metal boot slowly."""
        return _SLOW if self.gpu_count >= 8 or "metal" in self.name else READY_WITHIN

    @property
    def gpu_label(self) -> str:
        """`1x T4`, `1/6 A10`: the GPUs in the words of a price list."""
        if self.gpu_count >= 1:
            return f"{self.gpu_count:f}x {self.gpu_model}"
        return f"1/{round(1 / self.gpu_count)} {self.gpu_model}"


@dataclass(frozen=True, slots=True)
class Offer:
    """A type in a region and a market, with its price; a price of None is unknown, never free.

    `on_demand` is what the same costs on demand, where that is known.
    """

    type: InstanceType
    region: str
    market: Market
    price: Price | None
    on_demand: Price | None = None

    def cost(self, span: timedelta) -> Decimal | None:
        """Dollars for that long, per second; None where the price is unknown."""
        if self.price is None:
            return None
        return self.price.usd_per_hour * Decimal(span.total_seconds()) / 3600


# A GPU sold with 24 GB has 22.35 GiB, and clouds tell now the one, now the other.
_AS_SOLD = Decimal("0.931")


class Mismatch(StrEnum):
    """Why an offer does not match, in words that follow a count."""

    GPU_MODEL = "with another GPU"
    GPU_COUNT = "with fewer GPUs"
    GPU_MEMORY = "with less GPU memory"
    REGION = "in other regions"
    RETIRED = "retired"
    IMAGE = "without an image that has a driver for its GPU"
    ABOVE_MAX_PRICE = "above `--max-price`"
    UNKNOWN_PRICE = "of unknown price"
    REGION_NOT_ENABLED = "in regions not enabled for this account"
    PROVIDER_UNAVAILABLE = "of a provider that is not available"
    NO_RECENT_CAPACITY = "without capacity in the last minutes"


@dataclass(frozen=True, slots=True)
class Requirements:
    """What an instance must have; None asks nothing of that side. `min_memory_gib` is of one GPU (or of the slice).

    `capped`: a spot instance is bid for with the highest price, so that its price need not be known.
    """

    gpu: str | None = None
    max_usd_per_hour: Decimal | None = None
    min_memory_gib: Decimal | None = None
    region: str | None = None
    with_retired: bool = False
    min_gpus: Decimal | None = None
    capped: bool = False

    def is_met_by(self, offer: Offer) -> bool:
        """Whether the offer has all of it. An unknown price does not meet a highest price."""
        return self.mismatch(offer) is None

    def mismatch(self, offer: Offer) -> Mismatch | None:
        """The first thing that the offer lacks; None where it has all of it."""
        kind = offer.type
        if self.gpu is not None and not _is_same_model(self.gpu, kind.gpu_model):
            return Mismatch.GPU_MODEL
        if self.min_gpus is not None and kind.gpu_count < self.min_gpus:
            return Mismatch.GPU_COUNT
        if self.min_memory_gib is not None and (
            kind.gpu_memory_gib is None or kind.gpu_memory_gib < self.min_memory_gib * _AS_SOLD
        ):
            return Mismatch.GPU_MEMORY
        if self.region is not None and offer.region != self.region:
            return Mismatch.REGION
        if not self.with_retired and kind.availability is Availability.RETIRED:
            return Mismatch.RETIRED
        return self._price_lack(offer)

    def _price_lack(self, offer: Offer) -> Mismatch | None:
        if self.max_usd_per_hour is None:
            return None
        if offer.price is None:
            return None if self.capped and offer.market is Market.SPOT else Mismatch.UNKNOWN_PRICE
        return Mismatch.ABOVE_MAX_PRICE if offer.price.usd_per_hour > self.max_usd_per_hour else None


def ranked(offers: Iterable[Offer], requirements: Requirements) -> Sequence[Offer]:
    """The offers that meet the need, cheapest first; unknown prices last; ties by type and region.

    Among unknown prices those come first that cost less on demand: a spot instance costs no more than that.
    """
    fitting = [offer for offer in offers if requirements.is_met_by(offer)]
    return sorted(fitting, key=_rank)


def _rank(offer: Offer) -> tuple[bool, bool, Decimal, str, str]:
    known = offer.price or offer.on_demand
    return (
        offer.price is None,
        known is None,
        known.usd_per_hour if known else Decimal(0),
        offer.type.name,
        offer.region,
    )


def _is_same_model(requested: str, model: str) -> bool:
    # `A100` means every A100, `A100 80GB` only that one; `t4` is T4 and not T4G.
    requested_words, words = requested.casefold().split(), model.casefold().split()
    return words[: len(requested_words)] == requested_words or requested.casefold().replace(
        " ", ""
    ) == model.casefold().replace(" ", "")
