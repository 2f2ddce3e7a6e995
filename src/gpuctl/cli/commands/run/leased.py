"""`gpuctl run --pool`: the command runs on a leased instance, and the lease is released even if the command fails."""

from dataclasses import fields

from gpuctl.cli.commands.lease import lease_with
from gpuctl.cli.commands.provision.options import LaunchOptions
from gpuctl.cli.commands.release import release_with
from gpuctl.cli.commands.run.task import RunReport, run_command
from gpuctl.cli.context import Context
from gpuctl.cli.quantities import amount_of, duration_of
from gpuctl.domain.market.offers import READY_WITHIN
from gpuctl.domain.market.request import DEFAULT_PURPOSE, DEFAULT_TTL
from gpuctl.domain.pools.leasing import NO_WORK, LeaseWork
from gpuctl.errors import GpuctlError, UsageError
from gpuctl.services.pools.lease import LeaseRequest
from gpuctl.services.pools.release import ReleaseRequest
from gpuctl.services.run import Task, TaskResult

_OF_A_LEASE = {"ttl", "user", "task", "purpose", "timeout", "work", "yes"}


def run_leased(
    context: Context, launch: LaunchOptions, pool: str, task: Task, report: RunReport, unit: str | None
) -> TaskResult:
    """Lease an instance of that pool for the TTL of the options, run the task on it, and release the lease.

    The instance is not used again if gpuctl failed or was interrupted; what the exit code of the command means is for
    the user to know. UsageError for options that choose an instance, before anything is leased.
    """
    _refuse_choices(launch)
    amount = amount_of(launch.work, unit)
    timeout = launch.timeout or READY_WITHIN
    purpose = None if launch.purpose == DEFAULT_PURPOSE else launch.purpose
    wanted = LeaseRequest(launch.user or context.wiring.user, launch.task, purpose, launch.ttl or DEFAULT_TTL, timeout)
    leased = lease_with(context, pool, wanted)
    report.record = leased.record
    is_released = False

    def release(result: TaskResult, is_dirty: bool) -> None:
        nonlocal is_released
        is_released = True
        work = LeaseWork(amount, unit) if result.code == 0 else NO_WORK
        try:
            released = release_with(context, leased.lease.id, ReleaseRequest(is_dirty, work))
        except GpuctlError as error:
            result.end_error = error
        else:
            result.record, result.end_error = released.record, released.error

    try:
        if leased.error is not None:
            raise leased.error
        return run_command(context, leased.record, task, keep=False, release=release)
    except BaseException:
        if not is_released:
            # Nothing was started: also after a signal, nobody else would release it.
            release(TaskResult(leased.record), is_dirty=False)
        raise


def _refuse_choices(launch: LaunchOptions) -> None:
    """Raise UsageError for an option that says which instance: the pool does."""
    for field in fields(launch):
        if field.name not in _OF_A_LEASE and getattr(launch, field.name) != field.default:
            name = "TYPE" if field.name == "instance_type" else f"--{field.name.replace('_', '-')}"
            raise UsageError(
                f"--pool and {name} exclude each other: the pool says which instance", hint=f"leave out `{name}`"
            )
    if duration_of(launch.work) is not None:
        raise UsageError("--pool takes no duration in --work", hint="add `--ttl 2h`: the length of the lease")
