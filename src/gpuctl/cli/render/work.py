"""Dollars per unit of work in every output format, and what they were learned from."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpuctl.catalog.throughput import SOURCES, kind_of
from gpuctl.cli.render.figures import counted, rate
from gpuctl.cli.render.tables import right, table
from gpuctl.domain.instance import Market
from gpuctl.domain.market.work_cost import LEAST_RUNS, Basis, WorkCost, WorkHistory

if TYPE_CHECKING:
    from rich.table import Table

_WIDE = 110
WORK_COLUMNS = ("costPerWork", "costPerWorkHigh", "workUnit", "workBasis", "workRuns")


def work_cells(cost: WorkCost, history: WorkHistory) -> list[str]:
    """The same for csv and tsv; empty for unknown."""
    basis = cost.speed.basis.value if cost.speed else ""
    runs = str(cost.speed.runs) if cost.speed else "0"
    figures = (cost.usd, cost.slow_usd)
    return [*("" if usd is None else f"{usd:.6g}" for usd in figures), history.unit, basis, runs]


def work_table(costs: Sequence[WorkCost], history: WorkHistory, width: int) -> "Table":
    """One offer a line, the cheapest for the same work first; the GPU and the price if the terminal is wide enough."""
    is_wide = width >= _WIDE
    per_work = right(f"$ PER {history.unit.upper()}")
    if is_wide:
        grid = table("TYPE", "GPU", "REGION", right("$/H"), per_work, "FROM")
    else:
        grid = table("TYPE", "REGION", per_work, "FROM")
    for cost in costs:
        offer = cost.offer
        name = f"{offer.type.name} spot" if offer.market is Market.SPOT else offer.type.name
        usd = rate(offer.price.usd_per_hour if offer.price else None)
        cells = (name, *([offer.type.gpu_label] if is_wide else []), offer.region, *([usd] if is_wide else []))
        grid.add_row(*cells, per_unit(cost), basis_text(cost))
    return grid


def per_unit(cost: WorkCost) -> str:
    """`$0.0123`, with enough digits for small units; `?` where it is unknown."""
    return "?" if cost.usd is None else f"${cost.usd:.4g}"


def basis_text(cost: WorkCost) -> str:
    """Where the speed comes from: `7 runs`, `table`, or nothing where it is unknown."""
    if cost.speed is None:
        return ""
    return counted(cost.speed.runs, "run") if cost.speed.basis is Basis.HISTORY else "table"


def learned_notes(history: WorkHistory, purpose: str) -> list[str]:
    """What the ranking was learned from, in sentences."""
    sources = "; ".join(SOURCES.values())
    kind = kind_of(purpose)
    of_kind = f"kind {kind}" if kind else "mean over kinds of workload, because the purpose names none"
    scaling = f"several GPUs are assumed to scale linearly; sources: {sources}"
    table_note = f"`table`: relative throughput by GPU ({of_kind}); {scaling}"
    if not history.has_history:
        return [
            f"no instance type has {LEAST_RUNS} runs of purpose `{purpose}` with an amount of work yet "
            f"({counted(history.runs, 'run')}): one unit is one hour of a V100",
            table_note,
        ]
    types = sum(len(hours) >= LEAST_RUNS for hours in history.hours.values())
    learned = f"learned from {counted(history.runs, 'run')} of purpose `{purpose}`"
    return [
        f"{learned}; {counted(types, 'instance type')} with at least {LEAST_RUNS}; median, without start-up",
        table_note if history.anchor is not None else "instance types with fewer runs are unknown",
    ]
