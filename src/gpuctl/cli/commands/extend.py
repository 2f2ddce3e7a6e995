"""`gpuctl extend`: set a later deadline."""

from datetime import timedelta
from typing import Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.commands.lease import leased_result
from gpuctl.cli.commands.pool.parameters import ID_OR_LEASE
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import DURATION, MINUTES, argument, option
from gpuctl.cli.render.figures import ends_in, local
from gpuctl.cli.render.instances import COLUMNS, row, table
from gpuctl.cli.render.result import Result
from gpuctl.documents.instances import instance_shape
from gpuctl.domain.duration import exact
from gpuctl.domain.membership import LEASE_ID_PREFIX
from gpuctl.errors import UsageError
from gpuctl.services.extend import extend
from gpuctl.services.pools.lease import LeasedInstance
from gpuctl.services.pools.release import extend_lease
from gpuctl.services.query import resolve
from gpuctl.services.safeguards import read_back
from gpuctl.wiring.pools import open_pools

EXAMPLES = """\
gpuctl extend train-7 --by 30m
gpuctl extend 4k2m --ttl 90
gpuctl extend lease-4k2m9x0abc1d --for 30m"""


def command(
    ctx: typer.Context,
    instance: Annotated[str, argument(ID_OR_LEASE, f"{options.INSTANCE_ID_HELP}, or lease ID", "ID|LEASE")],
    by: Annotated[timedelta | None, option(DURATION, "Time to add to the deadline, such as 30m")] = None,
    ttl: Annotated[timedelta | None, option(MINUTES, "New time to live, counted from now")] = None,
    span: Annotated[timedelta | None, option(DURATION, "New length of a lease, counted from now", "--for")] = None,
    allow_unknown_price: options.AllowUnknownPrice = False,
) -> Result:
    """Extend the deadline of an instance, or a lease: first at the provider, then in the record."""
    context: Context = ctx.find_root().obj
    if instance.startswith(LEASE_ID_PREFIX):
        if span is None or by is not None or ttl is not None:
            raise UsageError("use --for to extend a lease", hint=f"gpuctl extend {instance} --for 30m")
        lease, record = extend_lease(open_pools(context.wiring), instance, span)
        return leased_result(context, LeasedInstance(lease, record))
    if span is not None:
        raise UsageError("--for extends a lease", hint=f"gpuctl extend {instance} --ttl {exact(span)}")
    if (by is None) == (ttl is None):
        raise UsageError("give either --by or --ttl", hint=f"gpuctl extend {instance} --by 30m")
    record = resolve(context.wiring.store, instance, whole_only=not context.is_terminal)
    context.progress.step(f"extending {record.label}")
    moved = extend(context.wiring.runtime, record, by=by, ttl=ttl, allow_unknown_price=allow_unknown_price)
    for error in read_back(context.wiring.runtime, [moved]).values():
        context.progress.warn(f"the deadline was extended, but the safeguards could not be checked: {error.message}")
    moved = resolve(context.wiring.store, moved.id)
    now = context.clock.now()
    shape = instance_shape(moved, now)
    return Result(
        document={"instances": [shape], "count": 1, "instance": shape},
        columns=COLUMNS,
        rows=[row(moved, now)],
        ids=[moved.id],
        draw=lambda width: table([moved], now, width),
        footer=[f"{moved.label} expires in {ends_in(moved, now)} ({local(moved.expires_at)})"],
    )
