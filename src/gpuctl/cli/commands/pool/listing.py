"""`gpuctl pool list` and `gpuctl pool show`."""

import typer

from gpuctl.cli.commands.pool.parameters import PoolName
from gpuctl.cli.commands.pool.tables import COLUMNS, pool_row, pool_table, pools_table
from gpuctl.cli.context import Context
from gpuctl.cli.render.result import Result
from gpuctl.documents.pools import pool_shape
from gpuctl.domain.pools.load import Demand, demand_of, unknown_demand
from gpuctl.domain.pools.spec import Pool
from gpuctl.services.pools.tools import pool_named
from gpuctl.services.pools.view import leased_count, view_of
from gpuctl.wiring.pools import open_pools

EXAMPLES = """\
gpuctl pool list
gpuctl pool show train -o json"""


def show_all(ctx: typer.Context) -> Result:
    """List pools with their instances and cost. Reads no queue."""
    context: Context = ctx.find_root().obj
    pools = sorted(context.wiring.state.pools.read().values(), key=lambda pool: pool.name)
    records, now = context.wiring.store.snapshot().records, context.clock.now()

    def demand(pool: Pool) -> Demand:
        leased = leased_count(pool, records, now)
        return demand_of(None, leased, 1) if pool.queue is None else unknown_demand(leased, "not read")

    shapes = [pool_shape(pool, records, now, demand(pool)) for pool in pools]
    return Result(
        document={"pools": shapes, "count": len(shapes)},
        columns=COLUMNS,
        rows=[pool_row(pool, records) for pool in pools],
        ids=[pool.name for pool in pools],
        draw=lambda width: pools_table(pools, records),
        footer=[] if pools else ["no pools"],
    )


def show(ctx: typer.Context, name: PoolName) -> Result:
    """Show a pool: its instances and leases, the demand, and what its policy wants now. Reads its queue."""
    context: Context = ctx.find_root().obj
    tools = open_pools(context.wiring)
    pool = pool_named(tools.pools, name)
    records, now = context.wiring.store.snapshot().records, context.clock.now()
    view = view_of(tools, pool, records, saves=False)
    return Result(
        document={"pool": pool_shape(pool, records, now, view.demand, view.outlook)},
        columns=COLUMNS,
        rows=[pool_row(pool, records)],
        ids=[name],
        draw=lambda width: pool_table(pool, records, now, view.demand, view.outlook),
    )
