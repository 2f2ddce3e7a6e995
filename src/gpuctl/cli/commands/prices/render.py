"""The results of `gpuctl prices`: the source and age of prices, or what a refresh changed."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from gpuctl.cli.render.figures import ago, counted
from gpuctl.cli.render.result import Result
from gpuctl.cli.render.tables import right, table
from gpuctl.documents.errors import scope_shape
from gpuctl.documents.prices import price_refresh_shape, price_status_shape
from gpuctl.domain.instance import Market, Price, ProviderName
from gpuctl.domain.money.prices import RejectedPrice, age_in_days, age_note
from gpuctl.errors import GpuctlError
from gpuctl.services.prices import PriceRefresh, PriceStatus

if TYPE_CHECKING:
    from rich.table import Table

_SHOWN_REFUSALS = 5
_STATUS = (
    "provider",
    "types",
    "regions",
    "onDemandPrices",
    "spotPrices",
    "fetchedPrices",
    "bundledPrices",
    "newest",
    "oldest",
    "olderThan30Days",
    "fetchedAt",
)
_REFRESHED = ("provider", "regions", "prices", "new", "up", "down", "unlisted", "rejected")


def status(statuses: Sequence[PriceStatus], now: datetime, note: str | None = None) -> Result:
    """Each provider's prices: how many are known, where they are from, and how old they are at `now`.

    `note` says why nothing can be refreshed: it replaces the hint to refresh old prices.
    """
    shapes = [price_status_shape(price_status) for price_status in statuses]
    footer = [note] if note else []
    for price_status in statuses:
        sources = ", ".join(f"{count} from the {source}" for source, count in price_status.origins.items())
        footer += [f"{price_status.provider}: {sources}"] if sources else []
        footer += _refusals(price_status.book.refused if price_status.book else (), "rejected by the last refresh")
    # With a note there is nothing to refresh.
    old = None if note else age_note((price for item in statuses for price in item.prices), now.date())
    return Result(
        document={"prices": shapes, "count": len(shapes)},
        columns=_STATUS,
        rows=[[_plain(shape[name]) for name in _STATUS] for shape in shapes],
        ids=[price_status.provider.value for price_status in statuses],
        draw=lambda width: _status_table(statuses, now),
        footer=[*footer, old] if old else footer,
    )


def refreshed(
    done: Sequence[PriceRefresh],
    files: Mapping[ProviderName, str],
    failed: Mapping[str, GpuctlError],
    error: GpuctlError | None,
) -> Result:
    """The result of a refresh: the prices read from each provider, the rejected ones, and the providers that failed.

    `files` has the path of each provider's prices.
    """
    shapes = [price_refresh_shape(refreshed, files[refreshed.provider]) for refreshed in done]
    footer = []
    for item in done:
        if item.closed:
            footer.append(
                f"{item.provider}: {counted(len(item.closed), 'region')} skipped: not enabled for these credentials"
            )
        if item.unseen:
            footer.append(
                f"{item.provider}: {counted(item.unseen, 'known price')} are no longer listed; the previous "
                "values are kept"
            )
        footer += _refusals(item.refused, "rejected", ending="keeping the previous prices")
    rows = [[str(len(v)) if isinstance(v := shape[name], list) else str(v) for name in _REFRESHED] for shape in shapes]
    return Result(
        document={"refreshed": shapes, "count": len(shapes)},
        columns=_REFRESHED,
        rows=rows,
        ids=[refreshed.provider.value for refreshed in done],
        draw=lambda width: _refreshed_table(done),
        footer=footer,
        error=error,
        scoped_errors=[(scope_shape(provider), error) for provider, error in failed.items()],
        requested=len(done) + len(failed),
    )


def _refusals(refused: Sequence[RejectedPrice], what: str, ending: str = "") -> list[str]:
    lines = [f"{what}: {refusal.key.label}: ${refusal.usd:f} is {refusal.why}" for refusal in refused[:_SHOWN_REFUSALS]]
    if len(refused) > _SHOWN_REFUSALS:
        lines.append(f"and {len(refused) - _SHOWN_REFUSALS} more: add `-o json`")
    return [*lines, ending] if lines and ending else lines


def _status_table(statuses: Sequence[PriceStatus], now: datetime) -> "Table":
    grid = _grid("TYPES", "REGIONS", "ON-DEMAND", "SPOT", "NEWEST", "OLDEST", "REFRESHED")
    for price_status in statuses:
        grid.add_row(
            price_status.provider.value,
            str(len({offer.type.name for offer in price_status.priced})),
            str(len({offer.region for offer in price_status.priced})),
            f"{price_status.counted(Market.ON_DEMAND):,}",
            f"{price_status.counted(Market.SPOT):,}",
            _days(price_status.newest, price_status.today),
            _days(price_status.oldest, price_status.today),
            ago(price_status.book.read_at if price_status.book else None, now),
        )
    return grid


def _refreshed_table(done: Sequence[PriceRefresh]) -> "Table":
    grid = _grid("REGIONS", "PRICES", "NEW", "UP", "DOWN", "REJECTED")
    for item in done:
        figures = (len(item.regions), item.accepted, item.new, item.up, item.down, len(item.refused))
        grid.add_row(item.provider.value, *(f"{figure:,}" for figure in figures))
    return grid


def _grid(*headings: str) -> "Table":
    return table("PROVIDER", *(right(heading) for heading in headings))


def _days(price: Price | None, today: date) -> str:
    return "" if price is None else f"{age_in_days(price, today)}d"


def _plain(value: object) -> str:
    return "" if value is None else str(value)
