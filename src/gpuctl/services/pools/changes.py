"""Pauses, resumes, drains and deletes pools."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from gpuctl.domain.instance import Instance, Reason, Status
from gpuctl.domain.lifecycle import advance
from gpuctl.domain.pools.events import PoolEvent, PoolEventName
from gpuctl.domain.pools.leasing import ended, is_busy, lease_of, members
from gpuctl.domain.pools.spec import Pool, PoolStatus
from gpuctl.errors import GpuctlError, NotFoundError, UsageError
from gpuctl.services.pools.tools import PoolTools, pool_named
from gpuctl.services.terminate import end


@dataclass(slots=True)
class DeletedPool:
    """A pool that is deleted, its instances, and by ID the error of each termination that was not accepted yet."""

    pool: Pool
    records: list[Instance] = field(default_factory=list)
    errors: dict[str, GpuctlError] = field(default_factory=dict)


def set_status(tools: PoolTools, name: str, status: PoolStatus) -> Pool:
    """The pool with that status; a second call changes nothing. NotFoundError if there is none of that name."""
    pool_named(tools.pools, name)
    now = tools.now()

    def changed(present: Pool | None) -> Pool | None:
        if present is None:
            raise NotFoundError(f"no pool is named `{name}`", hint="gpuctl pool list")
        if present.status is status:
            return present
        return present.with_fields(status=status, paused_because=None, updated_at=now)

    pool = tools.pools.change(name, changed)
    if pool is None:
        raise NotFoundError(f"no pool is named `{name}`", hint="gpuctl pool list")
    if pool.updated_at == now:
        tools.append(name, [PoolEvent(at=now, event=PoolEventName.CHANGED, detail=status.value.lower())])
    return pool


def delete_pool(tools: PoolTools, name: str, *, is_forced: bool) -> DeletedPool:
    """Terminate the instances of the pool and delete it. Its history stays.

    UsageError while an instance is on lease, unless `is_forced`: then that instance is terminated as well. A
    termination that was not accepted is repeated by the reaper. NotFoundError if there is no pool of that name.
    """
    refuse_leased(tools, pool_named(tools.pools, name), is_forced=is_forced)
    pool = set_status(tools, name, PoolStatus.DRAINING)
    pool_records = members(tools.runtime.store.snapshot().records, name)
    now = tools.now()
    ids = [record.id for record in pool_records]
    written = tools.runtime.store.update_each(ids, partial(_stopping, now=now, is_forced=is_forced))
    refusals = [reply for reply in written.values() if isinstance(reply, UsageError)]
    outcome = end(tools.runtime, [key for key, reply in written.items() if isinstance(reply, Instance)], Reason.USER)
    if refusals:
        raise refusals[0]
    tools.pools.change(name, lambda present: None)
    tools.append(name, [PoolEvent(at=now, event=PoolEventName.CHANGED, detail="deleted")])
    return DeletedPool(pool, outcome.records, outcome.errors)


def refuse_leased(tools: PoolTools, pool: Pool, *, is_forced: bool) -> None:
    """Raise UsageError while an instance of the pool is in use, unless `is_forced`."""
    leased: Sequence[Instance] = [
        record for record in members(tools.runtime.store.snapshot().records, pool.name) if is_busy(record)
    ]
    if leased and not is_forced:
        names = ", ".join(lease.id if (lease := lease_of(record)) else record.id for record in leased[:3])
        raise UsageError(
            f"{len(leased)} of the instances of pool `{pool.name}` are in use ({names})",
            hint=f"gpuctl pool drain {pool.name}, or gpuctl pool delete {pool.name} --yes --force",
        )


def _stopping(record: Instance, *, now: datetime, is_forced: bool) -> Instance:
    if record.status.is_ended or record.status is Status.STOPPING:
        return record
    if is_busy(record) and not is_forced:
        raise UsageError(f"{record.label} was leased in the meantime", hint="run the command again")
    lease = lease_of(record)
    if lease is not None:
        return ended(record, lease.id, now, is_dirty=False)
    return advance(record, Status.STOPPING, now, Reason.USER)
