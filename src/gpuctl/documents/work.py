"""The public JSON of what a unit of work costs."""

from decimal import Decimal
from typing import Any

from gpuctl.domain.market.work_cost import WorkCost, WorkHistory


def work_shape(cost: WorkCost, history: WorkHistory) -> dict[str, Any]:
    """What one unit costs typically and in the slowest tenth of the runs; null where that is unknown."""
    speed = cost.speed
    return {
        "costPerWork": per_work(cost.usd),
        "costPerWorkHigh": per_work(cost.slow_usd),
        "workUnit": history.unit,
        "workBasis": speed.basis.value if speed else None,
        "workRuns": speed.runs if speed else 0,
    }


def per_work(usd: Decimal | None) -> float | None:
    """Dollars per unit to six significant digits, because units can be small; None for unknown."""
    return None if usd is None else float(f"{usd:.6g}")
