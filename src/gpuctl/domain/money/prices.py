"""Prices as they were read from a cloud: the book kept of them, and the gate that every new one must pass."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from gpuctl.domain.instance import Market, Price, ProviderName

OLD = timedelta(days=30)
# From here on up or down against the last one, a price is more likely a mistake than news.
ABSURD = 5


class PriceKey(NamedTuple):
    """What has a price: a type in a region, bought one way."""

    instance_type: str
    region: str
    market: Market

    @property
    def label(self) -> str:
        """`TYPE in REGION, spot`."""
        return f"{self.instance_type} in {self.region}, {self.market.value}"


@dataclass(frozen=True, slots=True)
class RejectedPrice:
    """A price that was read and not believed: what was read, and why it cannot be true."""

    key: PriceKey
    usd: Decimal
    why: str


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Every price read from one cloud, each with its own date, and what the newest reading refused.

    `read_at` is when the newest complete reading ended.
    """

    provider: ProviderName
    read_at: datetime
    prices: Mapping[PriceKey, Price]
    refused: tuple[RejectedPrice, ...] = ()


@dataclass(frozen=True, slots=True)
class PriceJudgement:
    """What passed the gate, and what did not."""

    accepted: Mapping[PriceKey, Decimal]
    refused: tuple[RejectedPrice, ...] = field(default=())


Last = Callable[[PriceKey], Price | None]


def judged(read: Mapping[PriceKey, Decimal], last: Last, believed: Collection[str] = ()) -> PriceJudgement:
    """Which of the prices read may be believed, given the last known ones.

    Refused are those that are not above zero, those five times up or down (unless the type is in `believed`), an
    on-demand price below its spot price, and a spot price above the known on-demand price.
    """
    refused: dict[PriceKey, str] = {}
    for key, usd in read.items():
        reason = _implausible_reason(usd, last(key), is_believed=key.instance_type in believed)
        if reason is not None:
            refused[key] = reason

    def accepted_usd(key: PriceKey) -> Decimal | None:
        if key in read and key not in refused:
            return read[key]
        known = last(key)
        return known.usd_per_hour if known else None

    for key, usd in read.items():
        spot = accepted_usd(key._replace(market=Market.SPOT)) if key.market is Market.ON_DEMAND else None
        if key not in refused and spot is not None and usd < spot:
            refused[key] = f"below the spot price of ${spot:f}"
    for key, usd in read.items():
        on_demand = accepted_usd(key._replace(market=Market.ON_DEMAND)) if key.market is Market.SPOT else None
        if key not in refused and on_demand is not None and usd > on_demand:
            refused[key] = f"above the on-demand price of ${on_demand:f}"
    return PriceJudgement(
        accepted={key: usd for key, usd in read.items() if key not in refused},
        refused=tuple(RejectedPrice(key, read[key], refused[key]) for key in sorted(refused)),
    )


def newest(*prices: Price | None) -> Price | None:
    """The price with the latest date; of several, the one named first; None where there is none."""
    return max((price for price in prices if price is not None), key=lambda price: price.as_of, default=None)


def is_old(price: Price, today: date) -> bool:
    """Whether the price is older than 30 days."""
    return today - price.as_of > OLD


def age_in_days(price: Price, today: date) -> int:
    """How many days ago the price was true; 0 for one from the future."""
    return max((today - price.as_of).days, 0)


def origin(price: Price) -> str:
    """Where the price is from, for people: the API it was read from, or `bundled prices` if it came with gpuctl."""
    return price.source if price.is_fetched else "bundled prices"


def age_note(prices: Iterable[Price | None], today: date) -> str | None:
    """One line about the prices that are older than 30 days; None where there is none."""
    known = [price for price in prices if price is not None]
    old = sum(is_old(price, today) for price in known)
    if not old:
        return None
    if len(known) == 1:
        return f"this price is {age_in_days(known[0], today)} days old; update it with: gpuctl prices refresh"
    oldest = max(age_in_days(price, today) for price in known)
    which = "these prices are" if old == len(known) else f"{old} of these prices {'is' if old == 1 else 'are'}"
    return f"{which} older than 30 days (up to {oldest}); update them with: gpuctl prices refresh"


def _implausible_reason(usd: Decimal, last: Price | None, *, is_believed: bool) -> str | None:
    if not usd.is_finite() or usd <= 0:
        return "not above zero"
    if last is None or is_believed:
        return None
    if usd >= last.usd_per_hour * ABSURD or usd * ABSURD <= last.usd_per_hour:
        return f"{ABSURD} times away from the last one, ${last.usd_per_hour:f} of {last.as_of}"
    return None
