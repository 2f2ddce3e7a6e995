"""`gpuctl types`: GPU machines and their prices, cheapest first."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.context import Context
from gpuctl.cli.render.figures import plain, rate
from gpuctl.cli.render.result import Result
from gpuctl.cli.render.shapes import offer_shape
from gpuctl.domain.instance import ProviderName
from gpuctl.domain.offers import Availability, Need, Offer, ranked
from gpuctl.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

EXAMPLES = """\
gpuctl types --gpu T4 --region us-east-1
gpuctl types --min-memory 24 --max-price 2
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
)
_OLD = timedelta(days=30)
_CATALOGED = (ProviderName.AWS, ProviderName.AZURE)


def command(
    ctx: typer.Context,
    gpu: Annotated[str | None, typer.Option(metavar="MODEL", help="Only that GPU, such as T4 or 'A100 80GB'")] = None,
    provider: Annotated[str | None, typer.Option(metavar="CLOUD", help="Only that cloud")] = None,
    max_price: Annotated[str | None, typer.Option(metavar="USD", help="At most that many dollars an hour")] = None,
    min_memory: Annotated[str | None, typer.Option(metavar="GIB", help="At least that much memory in a GPU")] = None,
    region: Annotated[
        str | None, typer.Option(metavar="REGION", help="Prices there; else each type's cheapest region")
    ] = None,
    with_retired: Annotated[bool, typer.Option("--all", "-a", help="Retired types too")] = False,
) -> Result:
    """Compare GPU machines by price. Prices ship with gpuctl; nothing is asked of the network."""
    context: Context = ctx.find_root().obj
    chosen = options.provider(provider)
    if chosen is not None and chosen not in _CATALOGED:
        raise UsageError(f"provider `{chosen}` is not supported yet", hint="one of `aws`, `azure`")
    need = Need(
        gpu=gpu,
        max_usd_per_hour=options.usd(max_price, option="--max-price"),
        min_memory_gib=options.gib(min_memory, option="--min-memory"),
        region=region,
        with_retired=with_retired,
    )
    providers = [chosen] if chosen else _with_region(context, region)
    if chosen and region:
        context.catalog.check_region(chosen, region)
    offers = [offer for one in providers for offer in context.catalog.offers(one)]
    if gpu and not any(
        need_of_gpu.is_met_by(offer) for need_of_gpu in (Need(gpu=gpu, with_retired=True),) for offer in offers
    ):
        models = sorted({offer.type.gpu_model for offer in offers})
        raise UsageError(f"no type has a `{gpu[:40]}`", hint=f"one of {', '.join(models)}")
    found = _cheapest_of_each(ranked(offers, need))
    today = context.clock.now().date()
    return Result(
        document={"types": [offer_shape(one) for one in found], "count": len(found)},
        columns=COLUMNS,
        rows=[_row(one) for one in found],
        ids=[one.type.name for one in found],
        draw=lambda width: _table(found, width),
        footer=_footer(found, today),
    )


def _with_region(context: Context, region: str | None) -> Sequence[ProviderName]:
    if region is None:
        return _CATALOGED
    found = [one for one in _CATALOGED if region in context.catalog.regions(one)]
    if not found:
        context.catalog.check_region(ProviderName.AWS, region)
    return found


def _cheapest_of_each(offers: Sequence[Offer]) -> list[Offer]:
    best: dict[str, Offer] = {}
    for offer in offers:
        best.setdefault(offer.type.name, offer)
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
    ]


def _table(found: Sequence[Offer], width: int) -> "Table":
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    headings = ["TYPE", "GPU", "GPU MEM", "VCPU", "RAM", "REGION", "$/H", "PRICE OF", ""]
    numbers = {"GPU MEM", "VCPU", "RAM", "$/H"}
    spared = {"RAM", "VCPU", "PRICE OF"} if width < 96 else set()
    for heading in headings:
        if heading not in spared:
            drawn.add_column(heading, justify="right" if heading in numbers else "left", no_wrap=True)
    for one in found:
        kind, price = one.type, one.price
        cells = {
            "TYPE": kind.name,
            "GPU": kind.gpu_label,
            "GPU MEM": f"{_plain(kind.gpu_memory_gib)} GiB" if kind.gpu_memory_gib else "",
            "VCPU": "" if kind.vcpus is None else str(kind.vcpus),
            "RAM": f"{_plain(kind.memory_gib)} GiB" if kind.memory_gib else "",
            "REGION": one.region,
            "$/H": rate(price.usd_per_hour if price else None),
            "PRICE OF": price.as_of.isoformat() if price else "",
            "": "" if kind.availability is Availability.CURRENT else kind.availability.value,
        }
        drawn.add_row(*(cells[heading] for heading in headings if heading not in spared))
    return drawn


def _footer(found: Sequence[Offer], today: date) -> list[str]:
    if not found:
        return ["no type fits", "hint: gpuctl types --all"]
    old = sum(1 for one in found if one.price and today - one.price.as_of > _OLD)
    lines = [f"{len(found)} types; list prices, on demand, without disk and traffic"]
    return [*lines, f"{old} of these prices are older than 30 days"] if old else lines


def _plain(value: Decimal | None) -> str:
    return "" if value is None else f"{value.normalize():f}"
