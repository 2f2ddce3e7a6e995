"""Records that deadlines are near, so that hooks can report it in time."""

from collections.abc import Collection
from datetime import datetime

from gpuctl.domain.expiring import is_expiring, with_notice
from gpuctl.store.base import RecordStore, Snapshot


def record_near_deadlines(
    store: RecordStore, now: datetime, state: Snapshot, record_ids: Collection[str] | None = None
) -> None:
    """Write an `expiring` entry into each of these records (of all) whose deadline is near; once for a deadline.

    A restored state may not know of deadlines that were moved, so nothing is written from it.
    """
    near = [
        record.id
        for record in state.records
        if (record_ids is None or record.id in record_ids) and is_expiring(record, now)
    ]
    if near and not state.is_restored:
        store.update_each(near, lambda fresh: with_notice(fresh, now))
