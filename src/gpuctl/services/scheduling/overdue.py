"""When a reaper on a schedule should have run and did not, or runs and always fails."""

from collections.abc import Callable
from datetime import datetime, timedelta

from gpuctl.clock import Clock
from gpuctl.store.reaper import ReapTimes

_GRACE = timedelta(minutes=1)
_FAILING_FOR = timedelta(minutes=5)
_CHECK_EVERY = timedelta(seconds=1)


def late_by(now: datetime, every: timedelta, installed_at: datetime, last_reap_at: datetime | None) -> timedelta | None:
    """How long ago it last ran (or was installed), if two runs in a row were missed; else None.

    A time in the future says nothing: clocks are set.
    """
    since = now - max(installed_at, last_reap_at or installed_at)
    return since if since > 2 * every + _GRACE else None


def failing_for(now: datetime, times: ReapTimes) -> timedelta | None:
    """For how long every run has failed, if that is 5 minutes or more; else None."""
    if times.failing_since is None:
        return None
    span = now - times.failing_since
    return span if span >= _FAILING_FOR else None


def wait_for_run(read: Callable[[], ReapTimes], since: datetime, patience: timedelta, clock: Clock) -> bool:
    """Wait until a run ends after that instant; False if none does within the patience."""
    started = clock.elapsed()
    while True:
        last = read().last_reap_at
        if last is not None and last > since:
            return True
        if clock.elapsed() - started >= patience:
            return False
        clock.sleep(_CHECK_EVERY)


def patience(every: timedelta) -> timedelta:
    """How long two runs may take until they are overdue."""
    return 2 * every + _GRACE
