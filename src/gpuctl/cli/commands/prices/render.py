"""What `gpuctl prices` has to tell: where prices stand, or what reading them brought."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from gpuctl.cli.render.figures import ago, counted
from gpuctl.cli.render.result import Result
from gpuctl.documents import dollars, instant
from gpuctl.domain.instance import Market, Price, ProviderName
from gpuctl.domain.market.offers import Offer
from gpuctl.domain.money.prices import PriceBook, Refusal, age_in_days, age_note, is_old, is_shipped, origin
from gpuctl.errors import GpuctlError
from gpuctl.services.prices import Refreshed

if TYPE_CHECKING:
    from rich.table import Table

CLOUDS = (ProviderName.AWS, ProviderName.AZURE)
_SHOWN_REFUSALS = 5
_STATUS = (
    "provider",
    "types",
    "regions",
    "onDemandPrices",
    "spotPrices",
    "readPrices",
    "shippedPrices",
    "newest",
    "oldest",
    "olderThan30Days",
    "readAt",
)
_BROUGHT = ("provider", "regions", "prices", "new", "up", "down", "notTold", "refused")


@dataclass(frozen=True, slots=True)
class PriceStatus:
    """One provider's prices as every command sees them now.

    `book` is what was read of the provider's price list last, `file` where that is kept; None where nothing is.
    """

    provider: ProviderName
    offers: Sequence[Offer]
    book: PriceBook | None
    file: str | None
    today: date

    @property
    def priced(self) -> list[Offer]:
        return [one for one in self.offers if one.price is not None]

    @property
    def prices(self) -> list[Price]:
        return [one.price for one in self.offers if one.price is not None]

    def counted(self, market: Market) -> int:
        return sum(one.market is market for one in self.priced)

    @property
    def oldest(self) -> Price | None:
        return min(self.prices, key=lambda one: one.as_of, default=None)

    @property
    def newest(self) -> Price | None:
        return max(self.prices, key=lambda one: one.as_of, default=None)


def status(found: Sequence[PriceStatus], now: datetime, note: str | None = None) -> Result:
    """Each provider's prices: how many are known, where they are from, and how old they are at `now`."""
    shapes = [_status_shape(one) for one in found]
    footer = [note] if note else []
    for one in found:
        sources = ", ".join(f"{count} from the {source}" for source, count in _origins(one.prices).items())
        footer += [f"{one.provider}: {sources}"] if sources else []
        footer += _refusals(one.book.refused if one.book else (), "rejected by the last refresh")
    old = age_note((price for one in found for price in one.prices), now.date())
    return Result(
        document={"prices": shapes, "count": len(shapes)},
        columns=_STATUS,
        rows=[[_plain(shape[name]) for name in _STATUS] for shape in shapes],
        ids=[one.provider.value for one in found],
        draw=lambda width: _status_table(found, now),
        footer=[*footer, old] if old else footer,
    )


def refreshed(
    done: Sequence[Refreshed],
    files: Mapping[ProviderName, str],
    failed: Mapping[str, GpuctlError],
    error: GpuctlError | None,
) -> Result:
    """What was read of each provider, what was refused, and which providers could not be read.

    `files` says where each provider's prices are kept.
    """
    shapes = [_brought_shape(one, files[one.provider]) for one in done]
    footer = []
    for one in done:
        if one.closed:
            footer.append(
                f"{one.provider}: {counted(len(one.closed), 'region')} skipped: not enabled for these credentials"
            )
        if one.unseen:
            footer.append(
                f"{one.provider}: {counted(one.unseen, 'known price')} are no longer listed; the previous "
                "values are kept"
            )
        footer += _refusals(one.refused, "refused", ending="keeping the previous prices")
    rows = [[str(len(v)) if isinstance(v := shape[name], list) else str(v) for name in _BROUGHT] for shape in shapes]
    return Result(
        document={"refreshed": shapes, "count": len(shapes)},
        columns=_BROUGHT,
        rows=rows,
        ids=[one.provider.value for one in done],
        draw=lambda width: _brought_table(done),
        footer=footer,
        error=error,
        errors=failed,
        asked=len(done) + len(failed),
    )


def _origins(prices: Iterable[Price]) -> dict[str, int]:
    return dict(Counter(origin(one) for one in prices).most_common())


def _status_shape(one: PriceStatus) -> dict[str, Any]:
    prices = one.prices
    shipped = sum(is_shipped(price) for price in prices)
    return {
        "provider": one.provider.upper(),
        "types": len({offer.type.name for offer in one.priced}),
        "regions": len({offer.region for offer in one.priced}),
        "onDemandPrices": one.counted(Market.ON_DEMAND),
        "spotPrices": one.counted(Market.SPOT),
        "readPrices": len(prices) - shipped,
        "shippedPrices": shipped,
        "newest": one.newest.as_of.isoformat() if one.newest else None,
        "oldest": one.oldest.as_of.isoformat() if one.oldest else None,
        "olderThan30Days": sum(is_old(price, one.today) for price in prices),
        "readAt": instant(one.book.read_at) if one.book else None,
        "sources": [{"source": source, "prices": count} for source, count in _origins(prices).items()],
        "refused": [_refusal_shape(each) for each in (one.book.refused if one.book else ())],
        "file": one.file,
    }


def _brought_shape(one: Refreshed, file: str) -> dict[str, Any]:
    return {
        "provider": one.provider.upper(),
        "regions": list(one.regions),
        "closedRegions": list(one.closed),
        "prices": one.taken,
        "new": one.new,
        "up": one.up,
        "down": one.down,
        "notTold": one.unseen,
        "refused": [_refusal_shape(each) for each in one.refused],
        "file": file,
    }


def _refusal_shape(one: Refusal) -> dict[str, Any]:
    return {
        "instanceType": one.key.instance_type,
        "region": one.key.region,
        "market": one.key.market.value,
        "costPerHour": dollars(one.usd),
        "reason": one.why,
    }


def _refusals(refused: Sequence[Refusal], what: str, ending: str = "") -> list[str]:
    lines = [f"{what}: {one.key.label}: ${one.usd:f} is {one.why}" for one in refused[:_SHOWN_REFUSALS]]
    if len(refused) > _SHOWN_REFUSALS:
        lines.append(f"and {len(refused) - _SHOWN_REFUSALS} more; -o json tells them all")
    return [*lines, ending] if lines and ending else lines


def _status_table(found: Sequence[PriceStatus], now: datetime) -> "Table":
    drawn = _grid(["CLOUD", "TYPES", "REGIONS", "ON-DEMAND", "SPOT", "NEWEST", "OLDEST", "LAST READ"])
    for one in found:
        drawn.add_row(
            one.provider.value,
            str(len({offer.type.name for offer in one.priced})),
            str(len({offer.region for offer in one.priced})),
            f"{one.counted(Market.ON_DEMAND):,}",
            f"{one.counted(Market.SPOT):,}",
            _days(one.newest, one.today),
            _days(one.oldest, one.today),
            ago(one.book.read_at if one.book else None, now),
        )
    return drawn


def _brought_table(done: Sequence[Refreshed]) -> "Table":
    drawn = _grid(["CLOUD", "REGIONS", "PRICES", "NEW", "UP", "DOWN", "REFUSED"])
    for one in done:
        figures = (len(one.regions), one.taken, one.new, one.up, one.down, len(one.refused))
        drawn.add_row(one.provider.value, *(f"{figure:,}" for figure in figures))
    return drawn


def _grid(headings: Sequence[str]) -> "Table":
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in headings:
        drawn.add_column(heading, justify="left" if heading == "CLOUD" else "right", no_wrap=True)
    return drawn


def _days(price: Price | None, today: date) -> str:
    return "" if price is None else f"{age_in_days(price, today)}d"


def _plain(value: object) -> str:
    return "" if value is None else str(value)
