"""Cleans an instance for its next lease: by one release at a time, and never while somebody else has it on lease."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from gpuctl.domain.instance import Instance
from gpuctl.domain.membership import CleanUp
from gpuctl.domain.pools.leasing import BeingCleaned, Dirty, being_cleaned, lease_of
from gpuctl.domain.pools.spec import Pool
from gpuctl.errors import GpuctlError
from gpuctl.services.pools.tools import PoolTools

# How long the command of `--on-release` may take, and how much later its release counts as dead.
CLEANED_WITHIN = timedelta(minutes=5)
_LIMIT = CLEANED_WITHIN + timedelta(minutes=1)
_POLL = timedelta(seconds=2)

# Runs the command that cleans an instance; what failed, or None.
Clean = Callable[[Instance, str], GpuctlError | None]


def cleaned(tools: PoolTools, pool: Pool, record: Instance, lease_id: str, clean: Clean, by: str) -> Instance:
    """The instance once its clean-up by `by` has succeeded, its lease still open; unchanged where nothing is to clean.

    Where another release is cleaning it, waits for that one; then the lease of the result is over. Dirty where the
    clean-up failed, or the other release has died; NotFree where the instance must not be used again.
    """
    if pool.on_release is None:
        return record
    record = _marked(tools, pool, record, lease_id, by)
    if (lease := lease_of(record)) is None or lease.id != lease_id:
        return record
    tools.runtime.progress.step(f"cleaning {record.label}")
    failure = clean(record, pool.on_release)
    if failure is not None:
        tools.runtime.progress.warn(f"`--on-release` failed on {record.label}, so it is terminated: {failure.message}")
        raise Dirty(failure.message)
    return record


def _marked(tools: PoolTools, pool: Pool, record: Instance, lease_id: str, by: str) -> Instance:
    """The instance with the mark that `by` cleans it, or with its lease released by another process."""
    is_reported = False
    while True:
        now = tools.now()
        clean_up = CleanUp(by=by, until=now + _LIMIT)
        mark = partial(being_cleaned, pool=pool, lease_id=lease_id, clean_up=clean_up, now=now)
        try:
            return tools.runtime.store.update(record.id, mark)
        except BeingCleaned as other:
            if not is_reported:
                tools.runtime.progress.info(f"{other.message}; waiting until {other.until:%H:%M:%S} UTC at most")
            is_reported = True
            tools.runtime.clock.sleep(_POLL)
