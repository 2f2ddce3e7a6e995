"""`gpuctl run --pool`: the command runs on a leased instance, and the lease is released whatever comes of it."""

from gpuctl.cli.commands.lease import lease_with
from gpuctl.cli.commands.provision.options import LaunchOptions
from gpuctl.cli.commands.release import release_with
from gpuctl.cli.commands.run.task import RunReport, run_command
from gpuctl.cli.context import Context
from gpuctl.domain.market.offers import READY_WITHIN
from gpuctl.domain.market.request import DEFAULT_TTL
from gpuctl.errors import GpuctlError
from gpuctl.services.pools.lease import LeaseRequest
from gpuctl.services.pools.release import ReleaseRequest
from gpuctl.services.run import Task, TaskResult


def run_leased(context: Context, launch: LaunchOptions, pool: str, task: Task, report: RunReport) -> TaskResult:
    """Lease an instance of that pool for the TTL of the options, run the task on it, and release the lease.

    The instance is not used again if gpuctl failed or was interrupted; what the exit code of the command means is for
    the user to know.
    """
    timeout = launch.timeout or READY_WITHIN
    wanted = LeaseRequest(launch.user or context.wiring.user, launch.task, None, launch.ttl or DEFAULT_TTL, timeout)
    leased = lease_with(context, pool, wanted)
    report.record = leased.record
    if leased.error is not None:
        raise leased.error
    is_released = False

    def release(result: TaskResult, is_dirty: bool) -> None:
        nonlocal is_released
        is_released = True
        try:
            released = release_with(context, leased.lease.id, ReleaseRequest(is_dirty=is_dirty))
        except GpuctlError as error:
            result.end_error = error
        else:
            result.record, result.end_error = released.record, released.error

    try:
        return run_command(context, leased.record, task, keep=False, release=release)
    except BaseException:
        if not is_released:
            # Nothing was started: also after a signal, nobody else would release it.
            release(TaskResult(leased.record), is_dirty=False)
        raise
