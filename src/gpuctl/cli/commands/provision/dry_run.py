"""The result of `gpuctl provision --dry-run`: matching offers in the order of attempts, and what was skipped."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpuctl.cli.render.figures import all_in, plain, rate
from gpuctl.cli.render.result import Result
from gpuctl.cli.render.tables import right, table
from gpuctl.documents.offers import priced_offer_shape
from gpuctl.domain.instance import Market
from gpuctl.domain.market.offers import Offer
from gpuctl.services.launch.offers import skipped_summary
from gpuctl.services.launch.prepare import Prepared

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = ("provider", "instanceType", "region", "costPerHour", "market", "costUntilDeadline", "fullCostUntilDeadline")
_SHOWN = 10


def dry_run_result(prepared: Prepared) -> Result:
    """What would have been tried, in that order, and why the rest would not."""
    offers = prepared.offers
    lines = [f"skipped: {skipped_summary(prepared.skipped)}"] if prepared.skipped else []
    if len(offers) > _SHOWN:
        lines.insert(0, f"and {len(offers) - _SHOWN} more: add `-o json`")
    return Result(
        document={
            "dryRun": True,
            "offers": [priced_offer_shape(offer, prepared.cost_of(offer)) for offer in offers],
            "count": len(offers),
            "skipped": [{"reason": lack.name.lower(), "count": count} for lack, count in prepared.skipped.items()],
        },
        columns=COLUMNS,
        rows=[_row(offer, prepared) for offer in offers],
        draw=lambda width: _table(offers, prepared, width),
        footer=[*lines, "no instance was started"],
    )


def _row(offer: Offer, prepared: Prepared) -> list[str]:
    kind, price = offer.type, offer.price
    return [
        kind.provider.upper(),
        kind.name,
        offer.region,
        plain(price.usd_per_hour if price else None),
        offer.market.value,
        plain(prepared.cost_of(offer).compute),
        plain(prepared.cost_of(offer).total),
    ]


def _table(offers: Sequence[Offer], prepared: Prepared, width: int) -> "Table":
    headings = ["TYPE", "GPU", "GPU MEM", "REGION", "$/H", "EST. COST", "PRICE DATE"]
    numbers = {"GPU MEM", "$/H", "EST. COST"}
    spared = {"PRICE DATE", "GPU MEM"} if width < 96 else set()
    chosen = [heading for heading in headings if heading not in spared]
    grid = table(*(right(heading) if heading in numbers else heading for heading in chosen))
    for offer in offers[:_SHOWN]:
        kind, price = offer.type, offer.price
        memory = kind.gpu_memory_gib
        cells = {
            "TYPE": f"{kind.name} spot" if offer.market is Market.SPOT else kind.name,
            "GPU": kind.gpu_label,
            "GPU MEM": f"{memory.normalize():f} GiB" if memory else "",
            "REGION": offer.region,
            "$/H": rate(price.usd_per_hour if price else None),
            "EST. COST": all_in(prepared.cost_of(offer)),
            "PRICE DATE": price.as_of.isoformat() if price else "",
        }
        grid.add_row(*(cells[heading] for heading in chosen))
    return grid
