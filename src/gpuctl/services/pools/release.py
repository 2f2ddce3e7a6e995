"""Ends a lease: the instance goes back to its pool clean, or is terminated."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from gpuctl.domain.duration import exact
from gpuctl.domain.instance import Instance, Reason, Status
from gpuctl.domain.membership import Lease, LeaseOutcome
from gpuctl.domain.pools.events import PoolEvent, PoolEventName, released_event
from gpuctl.domain.pools.leasing import (
    AFTER_LEASE,
    NO_WORK,
    Dirty,
    LeaseWork,
    NotFree,
    ended,
    extended,
    is_idle,
    lease_of,
    returned,
)
from gpuctl.domain.pools.plan import MOST_AHEAD
from gpuctl.errors import GpuctlError, Interrupted, NotFoundError, UsageError
from gpuctl.services.pools.clean_up import Clean, cleaned
from gpuctl.services.pools.deadline import move_deadline
from gpuctl.services.pools.tools import PoolTools
from gpuctl.services.query import all_records
from gpuctl.services.terminate import end
from gpuctl.store.base import Change, RecordStore


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """How a lease ends. `is_dirty`: the instance must not be used again. `work` is what was done under it."""

    is_dirty: bool = False
    work: LeaseWork = NO_WORK


@dataclass(frozen=True, slots=True)
class ReleasedLease:
    """A lease that is over, and its instance. `error`: the termination was not accepted yet; the reaper continues."""

    lease: Lease
    record: Instance
    error: GpuctlError | None = None


def leased_instance(store: RecordStore, lease_id: str) -> tuple[Instance, Lease]:
    """The instance that has, or had, that lease. NotFoundError if there is none, in the state or in its archive."""
    for with_archived in (False, True):
        for record in all_records(store, with_archived=with_archived):
            for lease in record.pool.leases if record.pool else ():
                if lease.id == lease_id:
                    return record, lease
    raise NotFoundError(f"no lease `{lease_id}`", hint="gpuctl pool list")


def release(
    tools: PoolTools,
    lease_id: str,
    wanted: ReleaseRequest,
    clean: Clean,
    hurry: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> ReleasedLease:
    """End the lease. A lease that is over already is no error, and nothing changes.

    The instance is returned where the pool uses instances again and its clean-up succeeded; else it is terminated.
    Waits while another release cleans the instance. Where a signal interrupts the clean-up, the termination is
    requested within `hurry`. NotFoundError if there is no such lease.
    """
    store = tools.runtime.store
    record, lease = leased_instance(store, lease_id)
    if not lease.is_open:
        return ReleasedLease(lease, record)
    if not record.is_active and all(present.id != record.id for present in store.snapshot().records):
        # In the archive nothing is written any more.
        over = {"released_at": record.terminated_at, "outcome": LeaseOutcome.ENDED}
        return ReleasedLease(lease.model_copy(update=over), record)
    pool = tools.pools.read().get(record.pool.pool if record.pool else "")
    by, error = tools.new_id(), None
    try:
        if pool is None or wanted.is_dirty:
            raise NotFree(f"{record.label} is not used again")
        record = cleaned(tools, pool, record, lease_id, clean, by)
        lease, now = _lease(record, lease_id), tools.now()
        if not lease.is_open:
            return ReleasedLease(lease, record)
        record = store.update(
            record.id, partial(returned, pool=pool, lease_id=lease_id, now=now, work=wanted.work, by=by)
        )
    except NotFree as refusal:
        now, is_dirty = tools.now(), wanted.is_dirty or isinstance(refusal, Dirty)
        change = partial(ended, lease_id=lease_id, now=now, is_dirty=is_dirty, work=wanted.work)
        record, error = _terminated(tools, record, change)
    except Interrupted:
        # Neither dirty nor clean: nobody may use it.
        with hurry(), suppress(GpuctlError):
            _terminated(tools, record, partial(_half_cleaned, lease_id=lease_id, now=tools.now(), by=by))
        raise
    if is_idle(record):
        record = _nearer(tools, record)
    closed = _lease(record, lease_id)
    # Not where another process released it meanwhile.
    if closed.released_at == now:
        tools.append(record.pool.pool if record.pool else "", [released_event(closed, record, now)])
    return ReleasedLease(closed, record, error)


def extend_lease(tools: PoolTools, lease_id: str, span: timedelta) -> tuple[Lease, Instance]:
    """Let the lease end that long from now, and move the deadline of its instance, which comes first.

    UsageError where the lease is over, would end earlier, or would end after the highest age of its instance.
    """
    record, lease = leased_instance(tools.runtime.store, lease_id)
    now = tools.now()
    until = (now + span).replace(microsecond=0)
    extended(record, lease_id, until, now)
    pool = tools.pools.read().get(record.pool.pool if record.pool else "")
    if pool is not None and until + AFTER_LEASE > record.created_at + pool.max_age:
        left = exact(max(record.created_at + pool.max_age - AFTER_LEASE - now, timedelta(0)))
        raise UsageError(f"an instance of pool `{pool.name}` has {left} left", hint="lease another instance")
    if span > tools.runtime.max_ttl - AFTER_LEASE:
        most = exact(tools.runtime.max_ttl - AFTER_LEASE)
        raise UsageError(f"--for can be at most {most}", hint="raise `max_ttl` in the config")

    def is_open(fresh: Instance) -> bool:
        return fresh.pool is not None and fresh.pool.lease is not None and fresh.pool.lease.id == lease_id

    if record.expires_at < until + AFTER_LEASE:
        move_deadline(tools.runtime, record, until + AFTER_LEASE, is_open)
    record = tools.runtime.store.update(record.id, lambda fresh: extended(fresh, lease_id, until, tools.now()))
    lease = _lease(record, lease_id)
    tools.append(
        record.pool.pool if record.pool else "",
        [PoolEvent(at=now, event=PoolEventName.EXTENDED, lease=lease_id, instance=record.id, until=until)],
    )
    return lease, record


def _lease(record: Instance, lease_id: str) -> Lease:
    return next(lease for lease in (record.pool.leases if record.pool else ()) if lease.id == lease_id)


def _half_cleaned(record: Instance, lease_id: str, now: datetime, by: str) -> Instance:
    """The record after the clean-up by `by` was interrupted. NotFree where there is none."""
    lease = lease_of(record)
    if lease is None or lease.clean_up is None or lease.clean_up.by != by:
        raise NotFree(f"{record.label} is not cleaned by this release")
    return ended(record, lease_id, now, is_dirty=True)


def _terminated(tools: PoolTools, record: Instance, change: Change) -> tuple[Instance, GpuctlError | None]:
    """The instance after its termination was requested, and why the provider has not accepted that."""
    record = tools.runtime.store.update(record.id, change)
    if record.status is not Status.STOPPING or record.deleted_by_us_at is not None:
        return record, None
    outcome = end(tools.runtime, [record.id], Reason.USER)
    return (outcome.records or [record])[0], outcome.errors.get(record.id)


def _nearer(tools: PoolTools, record: Instance) -> Instance:
    """The instance with a near deadline, as every idle one has. Where that fails, the next tick does it."""
    if record.expires_at - tools.now() <= MOST_AHEAD:
        return record
    deadline = (tools.now() + MOST_AHEAD).replace(microsecond=0)
    try:
        return move_deadline(tools.runtime, record, deadline, is_idle)
    except GpuctlError as error:
        tools.runtime.progress.info(f"the deadline of {record.label} stays for now: {error.message}")
        return record
