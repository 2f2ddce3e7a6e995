"""`gpuctl pool list` and `gpuctl pool show`."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import typer

from gpuctl.cli.commands.pool.parameters import PoolName
from gpuctl.cli.commands.pool.tables import COLUMNS, pool_row, pool_table, pools_table
from gpuctl.cli.context import Context
from gpuctl.cli.render.figures import money
from gpuctl.cli.render.result import Result
from gpuctl.documents.pools import pool_shape, shadow_shape
from gpuctl.services.pools.tools import pool_named
from gpuctl.services.pools.view import demand_of_leases, price_of, view_of
from gpuctl.wiring.pools import open_pools

EXAMPLES = """\
gpuctl pool list
gpuctl pool show train -o json"""


def show_all(ctx: typer.Context) -> Result:
    """List pools with their instances and cost. Reads no queue."""
    context: Context = ctx.find_root().obj
    pools = sorted(context.wiring.state.pools.read().values(), key=lambda pool: pool.name)
    records, now = context.wiring.store.snapshot().records, context.clock.now()
    shapes = [pool_shape(pool, records, now, demand_of_leases(pool, records, now)) for pool in pools]
    return Result(
        document={"pools": shapes, "count": len(shapes)},
        columns=COLUMNS,
        rows=[pool_row(pool, records) for pool in pools],
        ids=[pool.name for pool in pools],
        draw=lambda width: pools_table(pools, records),
        footer=[] if pools else ["no pools"],
    )


def show(ctx: typer.Context, name: PoolName) -> Result:
    """Show a pool: instances, leases, demand, and the number of instances that the policy needs now. Reads the
    queue."""
    context: Context = ctx.find_root().obj
    tools = open_pools(context.wiring)
    pool = pool_named(tools.pools, name)
    records, now = context.wiring.store.snapshot().records, context.clock.now()
    view = view_of(tools, pool, records, saves=False)
    shadow = shadow_shape(tools.forecasts.read_costs(name), price_of(tools, pool, records))
    return Result(
        document={"pool": {**pool_shape(pool, records, now, view.demand, view.outlook), "shadow": shadow}},
        columns=COLUMNS,
        rows=[pool_row(pool, records)],
        ids=[name],
        draw=lambda width: pool_table(pool, records, now, view.demand, view.outlook),
        footer=[] if shadow is None else [_would_have_cost(shadow)],
    )


def _would_have_cost(shadow: Mapping[str, Any]) -> str:
    policy_cost, fallback = (money(Decimal(str(shadow[key]))) for key in ("costWithWaits", "fallbackCostWithWaits"))
    return (
        f"in the last {shadow['days']} days {shadow['policy']} would have cost {policy_cost} with waits, "
        f"{shadow['fallback']} {fallback}"
    )
