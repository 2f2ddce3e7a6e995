"""Writes down that deadlines are near, so that somebody can be told in time."""

from collections.abc import Collection

from gpuctl.domain.expiring import is_expiring, with_notice
from gpuctl.services.runtime import Runtime
from gpuctl.store.base import Snapshot


def announce(runtime: Runtime, state: Snapshot, record_ids: Collection[str] | None = None) -> None:
    """Write an `expiring` entry into each of these records (of all) whose deadline is near; once for a deadline.

    Writes nothing where there is nothing to say. A state that was put back may not know of deadlines that were moved,
    so nothing is said from it.
    """
    now = runtime.clock.now()
    near = [
        record.id
        for record in state.records
        if (record_ids is None or record.id in record_ids) and is_expiring(record, now)
    ]
    if near and not state.is_restored:
        runtime.store.update_each(near, lambda fresh: with_notice(fresh, now))
