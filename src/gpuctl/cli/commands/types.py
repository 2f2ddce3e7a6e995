"""`gpuctl types`: GPU instance types and their prices, cheapest first."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import REGION, flag, option
from gpuctl.cli.quantities import BY_WORK, BY_WORK_HELP
from gpuctl.cli.render.figures import age_notes, counted, plain, rate
from gpuctl.cli.render.result import Result
from gpuctl.cli.render.tables import column_width, fitting_headings, right, table, total
from gpuctl.cli.render.work import WORK_COLUMNS, learned_notes, work_cells, work_table
from gpuctl.documents.offers import offer_shape
from gpuctl.documents.work import work_shape
from gpuctl.domain.instance import Market, Price
from gpuctl.domain.market.offers import Availability, Offer, Requirements, ranked
from gpuctl.domain.market.request import ANYWHERE, DEFAULT_PURPOSE
from gpuctl.domain.money.prices import age_in_days
from gpuctl.errors import UsageError
from gpuctl.services.work_history import history_of_purpose

if TYPE_CHECKING:
    from rich.table import Table

EXAMPLES = """\
gpuctl types --gpu T4 --region us-east-1
gpuctl types --min-gpu-memory 24 --max-price 2
gpuctl types --spot --gpu A100
gpuctl types --by work --purpose ocr
gpuctl types --provider azure --all"""

COLUMNS = (
    "provider",
    "instanceType",
    "region",
    "gpuModel",
    "gpuCount",
    "gpuMemoryGiB",
    "vcpus",
    "memoryGiB",
    "costPerHour",
    "priceAsOf",
    "availability",
    "market",
    "priceSource",
)


def command(
    ctx: typer.Context,
    gpu: options.Gpu = None,
    provider: options.Provider = None,
    max_price: options.MaxPrice = None,
    min_gpu_memory: options.GpuMemory = None,
    region: Annotated[str | None, option(REGION, "Region, or any [default: cheapest for each type]")] = None,
    spot: options.Spot = False,
    by: Annotated[str | None, option(BY_WORK, BY_WORK_HELP)] = None,
    purpose: options.Purpose = DEFAULT_PURPOSE,
    with_retired: Annotated[bool, flag("Include retired types", "--all", "-a")] = False,
) -> Result:
    """List GPU instance types and compute prices, cheapest first. Sends no network requests.

    Uses the bundled prices, or newer ones from `gpuctl prices refresh`.
    """
    context: Context = ctx.find_root().obj
    region = None if region == ANYWHERE else region
    need = Requirements(
        gpu=gpu,
        max_usd_per_hour=max_price,
        min_memory_gib=min_gpu_memory,
        region=region,
        with_retired=with_retired,
    )
    providers = context.wiring.catalog.providers(provider, region)
    market = Market.SPOT if spot else Market.ON_DEMAND
    markets = tuple(Market) if by and not spot else (market,)
    offers = [
        offer for provider in providers for each in markets for offer in context.wiring.catalog.offers(provider, each)
    ]
    of_model = Requirements(gpu=gpu, with_retired=True)
    if gpu and not any(of_model.is_met_by(offer) for offer in offers):
        models = sorted({offer.type.gpu_model for offer in offers})
        raise UsageError(f"no instance type has the GPU `{gpu[:40]}`", hint=f"one of {', '.join(models)}")
    if by is not None:
        return _by_work(context, _cheapest_of_each(ranked(offers, need)), purpose)
    matching = _cheapest_of_each(ranked(offers, need))
    # Most types have no spot price that is known: rows of question marks would hide those that do.
    matches = [offer for offer in matching if offer.price] if spot else matching
    today = context.clock.now().date()
    return Result(
        document={"types": [offer_shape(offer) for offer in matches], "count": len(matches)},
        columns=COLUMNS,
        rows=[_row(offer) for offer in matches],
        ids=[offer.type.name for offer in matches],
        draw=lambda width: _table(matches, width, today),
        footer=_footer(context, matches, market, len(matching) - len(matches)),
    )


def _by_work(context: Context, offers: Sequence[Offer], purpose: str) -> Result:
    """The offers of known price in both markets by dollars per unit of work, as the past runs of the purpose show."""
    history = history_of_purpose(context.wiring.store, context.wiring.catalog, purpose)
    costs = history.ranked(offer for offer in offers if offer.price)
    return Result(
        document={
            "types": [{**offer_shape(cost.offer), **work_shape(cost, history)} for cost in costs],
            "count": len(costs),
        },
        columns=(*COLUMNS, *WORK_COLUMNS),
        rows=[[*_row(cost.offer), *work_cells(cost, history)] for cost in costs],
        ids=[cost.offer.type.name for cost in costs],
        draw=lambda width: work_table(costs, history, width),
        footer=learned_notes(history, purpose) if costs else ["no instance type matches", "hint: gpuctl types --all"],
    )


def _cheapest_of_each(offers: Sequence[Offer]) -> list[Offer]:
    best: dict[tuple[str, Market], Offer] = {}
    for offer in offers:
        best.setdefault((offer.type.name, offer.market), offer)
    return list(best.values())


def _row(offer: Offer) -> list[str]:
    kind, price = offer.type, offer.price
    return [
        kind.provider.upper(),
        kind.name,
        offer.region,
        kind.gpu_model,
        f"{kind.gpu_count:f}",
        _plain(kind.gpu_memory_gib),
        "" if kind.vcpus is None else str(kind.vcpus),
        _plain(kind.memory_gib),
        plain(price.usd_per_hour if price else None),
        price.as_of.isoformat() if price else "",
        kind.availability.value,
        offer.market.value,
        price.source if price else "",
    ]


def _table(matches: Sequence[Offer], width: int, today: date) -> "Table":
    cells = {heading: [value(offer, today) for offer in matches] for heading, value in _TABLE.items()}
    chosen = fitting_headings(cells, _SPARE, width)
    # What remains too wide is cut where that costs least: never the price.
    excess = max(0, total(cells, chosen) - width)
    widths = {heading: column_width(heading, cells[heading]) for heading in chosen}
    for heading, least in _LEAST.items():
        cut = min(excess, max(0, widths[heading] - least))
        widths[heading] -= cut
        excess -= cut
    grid = table(*(right(heading) if heading in _NUMBERS else heading for heading in chosen))
    for column, heading in zip(grid.columns, chosen, strict=True):
        column.width = widths[heading]
    for number in range(len(matches)):
        grid.add_row(*(cells[heading][number] for heading in chosen))
    return grid


def _gib(value: Decimal | None) -> str:
    return "" if value is None else f"{value:.0f} GiB" if value >= 1 else f"{_plain(value)} GiB"


def _source(price: Price | None) -> str:
    return "" if price is None else price.source if price.is_fetched else "bundled"


_TABLE: Mapping[str, Callable[[Offer, date], str]] = {
    "TYPE": lambda offer, today: offer.type.name,
    "GPU": lambda offer, today: offer.type.gpu_label,
    "GPU MEM": lambda offer, today: _gib(offer.type.gpu_memory_gib),
    "VCPU": lambda offer, today: "" if offer.type.vcpus is None else str(offer.type.vcpus),
    "RAM": lambda offer, today: _gib(offer.type.memory_gib),
    "REGION": lambda offer, today: offer.region,
    "$/H": lambda offer, today: rate(offer.price.usd_per_hour if offer.price else None),
    "AGE": lambda offer, today: f"{age_in_days(offer.price, today)}d" if offer.price else "",
    "SOURCE": lambda offer, today: _source(offer.price),
    "": lambda offer, today: "" if offer.type.availability is Availability.CURRENT else offer.type.availability.value,
}
_SPARE = {"SOURCE": 5, "VCPU": 4, "AGE": 3, "RAM": 2}
# How short a column may be cut where even the columns that always stay do not fit.
_LEAST = {"GPU": 8, "TYPE": 8, "REGION": 6, "": 0}
_NUMBERS = {"GPU MEM", "VCPU", "RAM", "$/H", "AGE"}


def _footer(context: Context, matches: Sequence[Offer], market: Market, unknown: int) -> list[str]:
    if not matches and unknown:
        return ["no spot price is known for these instance types", "hint: gpuctl prices refresh"]
    if not matches:
        return ["no instance type matches", "hint: gpuctl types --all"]
    shipped = sum(not offer.price.is_fetched for offer in matches if offer.price)
    source = "bundled prices" if shipped else "fetched prices"
    if 0 < shipped < len([offer for offer in matches if offer.price]):
        source = f"prices, {shipped} of them bundled with gpuctl"
    lines = [f"{counted(len(matches), 'type')}; {market.value} {source}, without disk and traffic"]
    if unknown:
        lines.append(f"{counted(unknown, 'type')} skipped: unknown spot price")
    return [*lines, *age_notes((offer.price for offer in matches), context.clock.now(), in_sandbox=context.sandbox)]


def _plain(value: Decimal | None) -> str:
    return "" if value is None else f"{value.normalize():f}"
