"""Pauses a pool whose instances fail one after the other, before it launches the next one."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from gpuctl.domain.instance import Instance, Reason, Status
from gpuctl.domain.pools.events import PoolEvent, PoolEventName
from gpuctl.domain.pools.spec import Pool, PoolStatus
from gpuctl.services.pools.tools import PoolTools

IN_A_ROW = 3
WITHIN = timedelta(minutes=2)
_FAILURES = (Reason.VANISHED, Reason.REFUSED, Reason.TIMEOUT)


def pause_if_failing(tools: PoolTools, pool: Pool, records: Sequence[Instance]) -> Pool:
    """The pool, PAUSED if its last three instances were of no use. A pool that was resumed begins to count anew."""
    if pool.status is not PoolStatus.ACTIVE or not _is_failing(pool, records):
        return pool
    now = tools.now()
    reason = f"its last {IN_A_ROW} instances failed, or were released as dirty, within 2 minutes"

    def paused(present: Pool | None) -> Pool | None:
        if present is None or present.status is not PoolStatus.ACTIVE:
            return present
        return present.with_fields(status=PoolStatus.PAUSED, paused_because=reason, updated_at=now)

    changed = tools.pools.change(pool.name, paused) or pool
    tools.append(pool.name, [PoolEvent(at=now, event=PoolEventName.CHANGED, detail=f"paused: {reason}")])
    return changed


def _is_failing(pool: Pool, records: Sequence[Instance]) -> bool:
    ended = [
        record
        for record in records
        if record.pool is not None
        and record.pool.pool == pool.name
        and (record.status.is_ended or record.status is Status.STOPPING)
        and record.created_at >= pool.updated_at
    ]
    last = sorted(ended, key=_ended_at)[-IN_A_ROW:]
    return len(last) == IN_A_ROW and all(_was_of_no_use(record) for record in last)


def _was_of_no_use(record: Instance) -> bool:
    if record.pool is None:
        return False
    lease = record.pool.leases[-1] if record.pool.leases else None
    if lease is not None and lease.is_dirty and lease.released_at is not None:
        return lease.released_at - max(lease.since, record.ready_at or lease.since) < WITHIN
    begun = record.ready_at or record.created_at
    return record.reason in _FAILURES and (record.ready_at is None or _ended_at(record) - begun < WITHIN)


def _ended_at(record: Instance) -> datetime:
    return record.terminated_at or record.updated_at
