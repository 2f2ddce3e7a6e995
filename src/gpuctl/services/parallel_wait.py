"""Waits until an active instance can be used over SSH."""

from datetime import timedelta

from gpuctl.domain.instance import Instance
from gpuctl.errors import CredentialsError, NotReadyError, UnreachableError, UnresolvedError
from gpuctl.services.runtime import Runtime
from gpuctl.services.ssh_targets import SSH, failing
from gpuctl.services.wait import POLL_EVERY, Goal, wait_for


def wait_for_ssh(runtime: Runtime, record: Instance, patience: timedelta) -> Instance:
    """The instance once it is READY and ssh gets onto it. It is only looked at: nothing ends it here.

    NotReadyError when the time is out, or when something else runs there; CloudError if it can no longer become ready.
    """
    if runtime.access is None:
        raise NotReadyError(f"{record.label} is not reachable by SSH")
    waited = wait_for(runtime, [record], Goal.READY, patience)
    for error in waited.errors.values():
        if isinstance(error, UnresolvedError):
            raise NotReadyError(error.message, hint=error.hint)
        raise error
    (record,) = waited.records
    started = runtime.clock.elapsed()
    while (problem := failing(runtime.access, record, SSH)) is not None:
        if not isinstance(problem, UnreachableError | CredentialsError):
            raise problem
        if runtime.clock.elapsed() - started >= patience:
            raise NotReadyError(f"{problem.message}; {record.label} keeps running", hint=problem.hint) from problem
        runtime.progress.step(f"waiting for SSH on {record.label}")
        runtime.clock.sleep(POLL_EVERY)
    return record
