"""`gpuctl lease`: the right to use an instance of a pool for a time."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.commands.pool.parameters import PoolName
from gpuctl.cli.context import Context
from gpuctl.cli.interrupts import terminating
from gpuctl.cli.parameters import DURATION, TASK, TEXT, USER, flag, option
from gpuctl.cli.render.figures import ends_in
from gpuctl.cli.render.instances import table
from gpuctl.cli.render.result import Result
from gpuctl.documents.instances import instance_shape
from gpuctl.documents.pools import lease_shape
from gpuctl.documents.values import instant
from gpuctl.domain.instance import Instance
from gpuctl.domain.market.offers import READY_WITHIN
from gpuctl.errors import GpuctlError, Interrupted
from gpuctl.services.pools.lease import LeasedInstance, LeaseRequest, lease_instance
from gpuctl.services.query import last_known_records
from gpuctl.wiring.pools import open_pools

EXAMPLES = """\
gpuctl lease train --for 30m --task nightly
lease=$(gpuctl lease train -q) && ./work.sh; gpuctl release "$lease"
gpuctl run --pool train -- nvidia-smi       lease, run, release"""

COLUMNS = ("lease", "pool", "instance", "status", "publicIp", "expiresAt")


def command(
    ctx: typer.Context,
    pool: PoolName,
    span: Annotated[timedelta, option(DURATION, "Length of the lease", "--for")] = timedelta(minutes=30),
    user: Annotated[str | None, option(USER, "Owner [default: login name]")] = None,
    task: Annotated[str | None, option(TASK, "Task label")] = None,
    purpose: Annotated[str | None, option(TEXT, "Purpose (free text) [default: from the pool]")] = None,
    wait: Annotated[bool, flag("Wait until an instance is free and ready", "--wait/--no-wait")] = True,
    timeout: options.Timeout = READY_WITHIN,
) -> Result:
    """Lease an idle instance of a pool, or a new instance if none is idle.

    If all instances are in use, waits until an instance is free; exits with 5 if that takes longer than --timeout. With
    --no-wait, returns a new instance while it starts. The instance is terminated 5 minutes after the end of the lease.
    """
    context: Context = ctx.find_root().obj
    wanted = LeaseRequest(user or context.wiring.user, task, purpose, span, timeout if wait else None)
    return leased_result(context, lease_with(context, pool, wanted))


def lease_with(context: Context, pool: str, wanted: LeaseRequest) -> LeasedInstance:
    """Lease an instance. What an interrupted lease has launched is terminated."""
    context.wiring.start_sandbox()
    written: list[Instance] = []
    created: list[Instance] = []
    try:
        with terminating(context, written, created, Interrupted):
            return lease_instance(open_pools(context.wiring), pool, wanted, created, written.extend)
    except Interrupted:
        for record in last_known_records(context.wiring.store, written):
            context.progress.info(f"nothing is leased; {record.label} is {record.status}")
        raise


def leased_result(context: Context, leased: LeasedInstance) -> Result:
    """The lease and its instance in every format."""
    record, lease, now = leased.record, leased.lease, context.clock.now()
    error: GpuctlError | None = leased.error
    return Result(
        document={"lease": lease_shape(record, lease), "instance": instance_shape(record, now)},
        columns=COLUMNS,
        rows=[_row(leased)],
        ids=[lease.id],
        draw=lambda width: table([record], now, width),
        footer=[f"{lease.id} on {record.label}, terminated in {ends_in(record, now)}; gpuctl release {lease.id}"],
        error=error,
    )


def _row(leased: LeasedInstance) -> Sequence[str]:
    record, lease = leased.record, leased.lease
    pool = record.pool.pool if record.pool else ""
    expires_at = instant(lease.expires_at) or ""
    return [lease.id, pool, record.id, record.status.value, record.public_ip or "", expires_at]
