"""`gpuctl pool forecast`: the demand that is expected, and what policies would have cost."""

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpuctl.cli.commands.pool.parameters import PoolName
from gpuctl.cli.commands.pool.scores import scores_table
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import integer, option
from gpuctl.cli.render.figures import local, utc
from gpuctl.cli.render.result import Result
from gpuctl.cli.render.tables import right, table
from gpuctl.documents.pools import score_shape
from gpuctl.documents.values import instant
from gpuctl.domain.pools.choice import RECENT_S
from gpuctl.domain.pools.hours import HourForecast, forecast_hours
from gpuctl.domain.pools.policy import ON_DEMAND, PREDICT, parse_policy
from gpuctl.domain.pools.tune import Score, shadow
from gpuctl.services.pools.outlook import outlook_of
from gpuctl.services.pools.past import past_of
from gpuctl.services.pools.tools import pool_named
from gpuctl.services.pools.view import price_of
from gpuctl.wiring.pools import open_pools

if TYPE_CHECKING:
    from rich.console import RenderableType

EXAMPLES = """\
gpuctl pool forecast train
gpuctl pool forecast train --hours 48 -o csv"""

COLUMNS = ("at", "average", "highest", "days")
_WIDEST_BAR = 40


def command(
    ctx: typer.Context,
    name: PoolName,
    hours: Annotated[int, option(integer("N", 1, 168), "Number of hours to forecast")] = 24,
) -> Result:
    """Show the demand expected in the next hours, and the cost of each policy over the last 7 days.

    The expected demand of an hour is the demand of the same hour on past days. The other policies are only computed and
    launch nothing. Sends no network requests.
    """
    context: Context = ctx.find_root().obj
    tools = open_pools(context.wiring)
    pool = pool_named(tools.pools, name)
    records, now = context.wiring.store.snapshot().records, context.clock.now()
    price = price_of(tools, pool, records)
    outlook = outlook_of(tools, pool, records, price)
    past = past_of(tools, pool, records, price)
    expected = forecast_hours(past.jobs, now, hours)
    policies = dict.fromkeys((parse_policy(outlook.policy), PREDICT, ON_DEMAND))
    scores = shadow(past.jobs, policies, past.setup, now.timestamp() - RECENT_S) if past.jobs else ()
    spares = outlook.spares if outlook.fixed is None else outlook.fixed
    return Result(
        document={
            "forecast": {
                "pool": name,
                "policyInForce": outlook.policy,
                "policyReason": outlook.reason,
                "spares": spares,
                "hours": [_hour_shape(hour) for hour in expected],
                "shadow": [score_shape(score, price) for score in scores],
            }
        },
        columns=COLUMNS,
        rows=[[utc(hour.starts_at), f"{hour.average:.3f}", str(hour.highest), str(hour.days)] for hour in expected],
        ids=[name],
        draw=lambda width: _renderable(expected, scores, price or Decimal(1)),
        footer=[
            f"in force: {outlook.policy} ({outlook.reason}), holds {spares} spare instances now",
            *([] if past.jobs else ["no history yet"]),
        ],
    )


def _hour_shape(hour: HourForecast) -> dict[str, Any]:
    return {
        "at": instant(hour.starts_at),
        "average": round(hour.average, 3),
        "highest": hour.highest,
        "days": hour.days,
    }


def _renderable(expected: "list[HourForecast]", scores: "tuple[Score, ...]", price: Decimal) -> "RenderableType":
    from rich.bar import Bar
    from rich.console import Group

    most = max((hour.average for hour in expected), default=0.0)
    grid = table("HOUR", right("AVERAGE"), right("HIGHEST"), right("DAYS"), "")
    for hour in expected:
        bar = Bar(1, 0, hour.average / most, width=_WIDEST_BAR, color="cyan") if most else ""
        grid.add_row(local(hour.starts_at)[:16], f"{hour.average:.1f}", str(hour.highest), str(hour.days), bar)
    return Group(grid, "", "WOULD HAVE COST IN THE LAST 7 DAYS", scores_table(scores, price)) if scores else grid
