"""`gpuctl release`: return an instance to its pool, or terminate it."""

from decimal import Decimal
from functools import partial
from typing import Annotated

import typer

from gpuctl.cli.commands.pool.parameters import UNIT, LeaseId
from gpuctl.cli.context import Context
from gpuctl.cli.interrupts import TERMINATE_WITHIN, time_limit
from gpuctl.cli.parameters import NUMBER, flag, option
from gpuctl.cli.render.instances import table
from gpuctl.cli.render.result import Result
from gpuctl.documents.instances import instance_shape
from gpuctl.documents.pools import lease_shape
from gpuctl.documents.values import instant
from gpuctl.domain.instance import Instance
from gpuctl.domain.membership import LeaseOutcome
from gpuctl.domain.pools.leasing import LeaseWork
from gpuctl.errors import CloudError, GpuctlError, UsageError
from gpuctl.services.pools.clean_up import CLEANED_WITHIN, Clean
from gpuctl.services.pools.release import ReleasedLease, ReleaseRequest, release
from gpuctl.wiring.pools import open_pools

EXAMPLES = """\
gpuctl release lease-4k2m9x0abc1d
gpuctl release "$lease" --dirty
gpuctl release "$lease" --work 120 --unit docs"""

COLUMNS = ("lease", "pool", "instance", "outcome", "releasedAt")


def command(
    ctx: typer.Context,
    lease: LeaseId,
    dirty: Annotated[bool, flag("Terminate the instance: it must not be used again", "--dirty")] = False,
    work: Annotated[Decimal | None, option(NUMBER, "Amount of work done under the lease")] = None,
    unit: Annotated[str | None, option(UNIT, "Unit of --work, such as docs")] = None,
) -> Result:
    """Release a lease. Releasing a lease again is not an error.

    Terminates the instance; in a pool with --reuse, cleans the instance and returns it to the pool.
    """
    context: Context = ctx.find_root().obj
    if unit is not None and work is None:
        raise UsageError("--unit requires --work", hint="add `--work 120`")
    return released_result(context, release_with(context, lease, ReleaseRequest(dirty, LeaseWork(work, unit))))


def release_with(context: Context, lease_id: str, wanted: ReleaseRequest) -> ReleasedLease:
    """Release a lease; the clean-up of its pool is run over SSH."""
    hurry = partial(time_limit, TERMINATE_WITHIN)
    return release(open_pools(context.wiring), lease_id, wanted, cleaner(context), hurry)


def released_result(context: Context, released: ReleasedLease) -> Result:
    """The lease that is over, and its instance, in every format."""
    record, lease, now = released.record, released.lease, context.clock.now()
    outcome = lease.outcome.value if lease.outcome else ""
    pool = record.pool.pool if record.pool else ""
    what = "was returned to its pool" if lease.outcome is LeaseOutcome.RETURNED else f"is {record.status}"
    return Result(
        document={"lease": lease_shape(record, lease), "instance": instance_shape(record, now)},
        columns=COLUMNS,
        rows=[[lease.id, pool, record.id, outcome, instant(lease.released_at) or ""]],
        ids=[lease.id],
        draw=lambda width: table([record], now, width),
        footer=[f"{lease.id} is released; {record.label} {what}"],
        error=released.error,
    )


def cleaner(context: Context) -> Clean:
    """Runs the clean-up command of a pool on an instance, over SSH."""

    def clean(record: Instance, command: str) -> GpuctlError | None:
        from gpuctl.remote.line import SshConnection

        try:
            reply = SshConnection(context.wiring.access.target(record)).ask(command.encode(), within=CLEANED_WITHIN)
        except GpuctlError as error:
            return error
        return None if reply.code == 0 else CloudError(f"`{command}` exited with {reply.code}")

    return clean
