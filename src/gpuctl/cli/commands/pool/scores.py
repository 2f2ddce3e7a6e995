"""What policies would have cost, as a table and as rows."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from gpuctl.cli.render.figures import money, plain
from gpuctl.cli.render.tables import right, table
from gpuctl.domain.duration import approximate
from gpuctl.domain.pools.tune import Score
from gpuctl.services.pools.tuning import dollars_of

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = ("policy", "machineSeconds", "cost", "costWithWaits", "waitMean", "waitP50", "waitP95")
_HOUR_S = 3_600


def score_row(score: Score, price: Decimal | None) -> list[str]:
    """The figures of a policy for scripts, in the order of COLUMNS; costs are empty where the price is unknown."""
    costs = (score.instance_s, score.total_cost_s)
    waits = (score.mean_wait_s, score.p50_wait_s, score.p95_wait_s)
    return [
        str(score.policy),
        f"{score.instance_s:.3f}",
        *("" if price is None else plain(dollars_of(cost, price)) for cost in costs),
        *(f"{wait:.3f}" for wait in waits),
    ]


def scores_table(scores: Sequence[Score], price: Decimal) -> "Table":
    """The figures of each policy."""
    waits = right("MEAN WAIT"), right("P50"), right("P95")
    grid = table("POLICY", right("HOURS"), right("COST"), *waits, right("COST WITH WAITS"))
    for score in scores:
        grid.add_row(
            str(score.policy),
            f"{score.instance_s / _HOUR_S:,.1f}",
            money(dollars_of(score.instance_s, price)),
            *(seconds(wait) for wait in (score.mean_wait_s, score.p50_wait_s, score.p95_wait_s)),
            money(dollars_of(score.total_cost_s, price)),
        )
    return grid


def seconds(span_s: float) -> str:
    """A wait at a glance: `9.8s`, `150s`, `2h05m`."""
    from datetime import timedelta

    if 0 < span_s < 9.95:
        return f"{span_s:.1f}s"
    return f"{span_s:.0f}s" if span_s < 1_000 else approximate(timedelta(seconds=span_s))
