"""`gpuctl pool pause`, `resume`, `drain` and `delete`."""

from typing import Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.commands.pool.parameters import PoolName
from gpuctl.cli.commands.pool.tables import COLUMNS, pool_row, pools_table
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import flag
from gpuctl.cli.render.figures import counted
from gpuctl.cli.render.result import Result, overall_error
from gpuctl.documents.instances import instance_shape
from gpuctl.documents.pools import pool_shape
from gpuctl.domain.pools.leasing import is_busy, members
from gpuctl.domain.pools.spec import Pool, PoolStatus
from gpuctl.errors import Failure, PartialError, UsageError
from gpuctl.services.pools.changes import delete_pool, refuse_leased, set_status
from gpuctl.services.pools.scale import ScaleResult, scaled
from gpuctl.services.pools.tools import pool_named
from gpuctl.services.pools.view import demand_of_leases
from gpuctl.wiring.pools import open_pools

EXAMPLES = """\
gpuctl pool pause train
gpuctl pool drain train
gpuctl pool delete train"""


def pause(ctx: typer.Context, name: PoolName) -> Result:
    """Pause a pool: launch no more instances. Idle instances are terminated after the idle time of the policy."""
    return _changed(ctx, name, PoolStatus.PAUSED, "is paused: nothing is launched until it is resumed")


def resume(ctx: typer.Context, name: PoolName) -> Result:
    """Resume a paused or draining pool: allow it to launch instances."""
    return _changed(ctx, name, PoolStatus.ACTIVE, "is active")


def drain(ctx: typer.Context, name: PoolName) -> Result:
    """Terminate idle instances now, and leased instances at the end of their lease. Grants no more leases."""
    context: Context = ctx.find_root().obj
    tools = open_pools(context.wiring)
    pool = set_status(tools, name, PoolStatus.DRAINING)
    result = ScaleResult(scaled(tools, pool, is_dry_run=False))
    records = members(context.wiring.store.snapshot().records, name)
    leased = sum(is_busy(record) for record in records)
    text = f"is draining: {counted(leased, 'instance')} in use" if leased else "is draining: no instance is leased"
    return _result(context, pool, f"pool `{name}` {text}", result.error)


def delete(
    ctx: typer.Context,
    name: PoolName,
    force: Annotated[bool, flag("With --yes, also terminate leased instances", "--force")] = False,
    yes: options.Yes = False,
) -> Result:
    """Delete a pool and terminate its instances. Rejected while an instance is leased."""
    context: Context = ctx.find_root().obj
    tools = open_pools(context.wiring)
    pool = pool_named(tools.pools, name)
    if force and not yes:
        raise UsageError("--force terminates instances that are in use: it requires `--yes`", hint="add `--yes`")
    refuse_leased(tools, pool, is_forced=force)
    active = members(context.wiring.store.snapshot().records, name)
    question = f"Delete pool `{name}` and terminate {counted(len(active), 'instance')}?"
    if active and not yes and context.may_prompt and not context.confirm(question):
        raise UsageError("nothing was deleted")
    deleted = delete_pool(tools, name, is_forced=force)
    now = context.clock.now()
    shapes = [instance_shape(record, now) for record in deleted.records]
    partial = PartialError(f"{len(deleted.errors)} of {len(shapes)} were not terminated yet", hint="gpuctl list")
    return Result(
        document={
            "pool": pool_shape(deleted.pool, (), now, demand_of_leases(deleted.pool, (), now)),
            "instances": shapes,
            "count": len(shapes),
        },
        columns=COLUMNS,
        rows=[pool_row(deleted.pool, ())],
        ids=[name],
        draw=lambda width: pools_table([deleted.pool], ()),
        footer=[f"pool `{name}` was deleted; {counted(len(shapes), 'instance')} terminated"],
        error=overall_error(deleted.errors, len(shapes), partial),
        errors=deleted.errors,
        requested=len(shapes),
    )


def _changed(ctx: typer.Context, name: str, status: PoolStatus, text: str) -> Result:
    context: Context = ctx.find_root().obj
    pool = set_status(open_pools(context.wiring), name, status)
    return _result(context, pool, f"pool `{name}` {text}", None)


def _result(context: Context, pool: Pool, footer: str, error: Failure | None) -> Result:
    instances, now = context.wiring.store.snapshot().records, context.clock.now()
    shape = pool_shape(pool, instances, now, demand_of_leases(pool, instances, now))
    return Result(
        document={"pool": shape},
        columns=COLUMNS,
        rows=[pool_row(pool, instances)],
        ids=[pool.name],
        draw=lambda width: pools_table([pool], instances),
        footer=[footer],
        error=error,
    )
