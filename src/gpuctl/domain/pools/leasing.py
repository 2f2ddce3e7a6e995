"""Which instance of a pool a lease takes, and what taking and releasing it change in the record."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from gpuctl.domain.events import EventName
from gpuctl.domain.instance import Instance, Reason, Status
from gpuctl.domain.lifecycle import advance, note
from gpuctl.domain.membership import CleanUp, Lease, LeaseOutcome, Membership
from gpuctl.domain.pools.spec import MOST_LEASES, Pool
from gpuctl.errors import GpuctlError, UsageError

# The deadline of a leased instance is that much after the end of the lease: time to release it, and to notice.
AFTER_LEASE = timedelta(minutes=5)
# An instance whose deadline is nearer than that is not leased: moving the deadline takes a moment.
_LEAST_LEFT = timedelta(seconds=30)
_STARTING = (Status.PROVISIONING, Status.CONFIGURING)


@dataclass(frozen=True, slots=True)
class LeaseWork:
    """What was done under a lease, and what it is counted in."""

    amount: Decimal | None = None
    unit: str | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """As fields of the lease."""
        return {"work": self.amount, "unit": self.unit}


NO_WORK = LeaseWork()


class NotFree(GpuctlError):
    """The instance is on lease, is ending, or is not for this lease: another one has to be found."""


class Dirty(NotFree):
    """What was done on the instance may still be there: it must be terminated."""


class BeingCleaned(GpuctlError):
    """Another release cleans the instance, and must have finished by `until`."""

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


def members(records: Iterable[Instance], pool: str) -> list[Instance]:
    """The active instances of that pool."""
    return [record for record in records if record.is_active and record.pool is not None and record.pool.pool == pool]


def lease_of(record: Instance) -> Lease | None:
    """The open lease of an instance; None where nobody has it on lease."""
    return record.pool.lease if record.pool else None


def needed_deadline(record: Instance) -> datetime:
    """The deadline that the provider must have for that record: no lease may be cut short."""
    lease = lease_of(record)
    return record.expires_at if lease is None else max(record.expires_at, lease.expires_at + AFTER_LEASE)


def is_starting(record: Instance) -> bool:
    """Whether it is launched, cannot be used yet, and is nobody's."""
    return record.status in _STARTING and lease_of(record) is None


def is_idle(record: Instance) -> bool:
    """Whether it can be used, and is nobody's."""
    return record.status is Status.READY and lease_of(record) is None


def is_busy(record: Instance) -> bool:
    """Whether it is on lease, or runs a task without one."""
    is_ending = record.status is Status.STOPPING
    return not is_ending and (lease_of(record) is not None or record.status is Status.RUNNING)


def is_counted(record: Instance) -> bool:
    """Whether it counts as one of the most a pool may have: until its provider has accepted the termination."""
    return record.is_active and not (record.status is Status.STOPPING and record.deleted_by_us_at is not None)


def free_instances(
    records: Sequence[Instance], pool: Pool, lease: Lease, now: datetime
) -> tuple[list[Instance], list[Instance]]:
    """The idle instances that the lease may take, the most recently used first, and the starting ones, oldest first."""
    free = [record for record in members(records, pool.name) if _objection(record, pool, lease, now) is None]
    idle = sorted(
        (record for record in free if is_idle(record)),
        key=lambda record: (_membership(record).idle_since or record.created_at, record.id),
        reverse=True,
    )
    return idle, sorted((record for record in free if is_starting(record)), key=lambda record: record.created_at)


def with_new_lease(record: Instance, pool: Pool, lease: Lease, now: datetime) -> Instance:
    """The record with that lease. NotFree unless the instance, as it is now, may be leased for it."""
    if (reason := _objection(record, pool, lease, now)) is not None:
        raise NotFree(f"{record.label} {reason}")
    membership = _membership(record).with_lease(lease)
    membership = membership.with_fields(group=pool.reuse_group(lease.user, lease.purpose))
    # Cost and history belong to the holder of the lease.
    owner_fields: dict[str, Any] = {"user": lease.user, "task": lease.task, "purpose": lease.purpose}
    if record.status is Status.READY:
        record = advance(record, Status.RUNNING, now, detail=lease.id)
    return note(record, EventName.LEASED, now, detail=lease.summary, pool=membership, **owner_fields)


def being_cleaned(record: Instance, pool: Pool, lease_id: str, clean_up: CleanUp, now: datetime) -> Instance:
    """The record with that clean-up under way. The record itself where the lease is released already.

    BeingCleaned while another clean-up is under way, Dirty where that was not finished in time, NotFree where the
    instance must not be used again.
    """
    lease = _lease(record, lease_id)
    if lease.is_open and lease.clean_up is not None and lease.clean_up.by != clean_up.by and lease.lapse(now) is None:
        raise BeingCleaned(f"{record.label} is being cleaned by another release", lease.clean_up.until)
    if returned(record, pool, lease_id, now, by=clean_up.by) is record:
        return record
    marked = lease.model_copy(update={"clean_up": clean_up})
    return record.with_fields(pool=_membership(record).with_lease(marked), updated_at=now)


def returned(
    record: Instance, pool: Pool, lease_id: str, now: datetime, work: LeaseWork = NO_WORK, by: str | None = None
) -> Instance:
    """The record after that lease, idle again. The record itself where the lease is released already.

    NotFree where the instance must not be used again: it is draining, ending, or has had the most leases. Dirty where
    the lease has expired, or another release than `by` cleans the instance.
    """
    lease = _lease(record, lease_id)
    if not lease.is_open:
        return record
    membership = _membership(record)
    if pool.reuse_group(lease.user, lease.purpose) is None:
        raise NotFree(f"{record.label} is used once")
    if membership.is_draining or record.status is not Status.RUNNING or len(membership.leases) >= MOST_LEASES:
        raise NotFree(f"{record.label} is not used again")
    if (lapse := lease.lapse(now)) is not None:
        raise Dirty(f"the lease of {record.label} {lapse}")
    if lease.clean_up is not None and lease.clean_up.by != by:
        raise Dirty(f"{record.label} is cleaned by another release")
    over = lease.model_copy(
        update={"released_at": now, "outcome": LeaseOutcome.RETURNED, "clean_up": None, **work.facts}
    )
    free = advance(record, Status.READY, now)
    facts: dict[str, Any] = {
        "pool": membership.with_lease(over).with_fields(idle_since=now),
        "user": pool.user,
        "task": None,
    }
    return note(free, EventName.RELEASED, now, detail=lease.id, purpose=pool.purpose, **facts)


def ended(
    record: Instance,
    lease_id: str,
    now: datetime,
    *,
    is_dirty: bool,
    reason: Reason = Reason.USER,
    work: LeaseWork = NO_WORK,
) -> Instance:
    """The record after that lease, about to be terminated. The record itself where the lease is released already."""
    lease = _lease(record, lease_id)
    if not lease.is_open:
        return record
    update = {"released_at": now, "outcome": LeaseOutcome.ENDED, "is_dirty": is_dirty, "clean_up": None}
    over = lease.model_copy(update=update | work.facts)
    membership = _membership(record).with_lease(over).with_fields(is_draining=True)
    detail = f"{lease.id}, dirty" if is_dirty else lease.id
    record = note(record, EventName.RELEASED, now, detail=detail, pool=membership)
    return record if record.status.is_ended else advance(record, Status.STOPPING, now, reason)


def extended(record: Instance, lease_id: str, until: datetime, now: datetime) -> Instance:
    """The record with a later end of that lease. UsageError where the lease is over, or the end would be earlier."""
    lease = _lease(record, lease_id)
    if not lease.is_open or lease.lapse(now) is not None or record.status is Status.STOPPING or not record.is_active:
        raise UsageError(f"{lease_id} is over: it can no longer be extended", hint="gpuctl lease POOL")
    if lease.clean_up is not None:
        raise UsageError(f"{lease_id} is being released: it can no longer be extended", hint="gpuctl lease POOL")
    if until < lease.expires_at:
        raise UsageError(f"the new end of {lease_id} would be earlier", hint=f"gpuctl release {lease_id}")
    membership = _membership(record).with_lease(lease.model_copy(update={"expires_at": until}))
    detail = f"{lease.id} until {until:%Y-%m-%dT%H:%M:%SZ}"
    return note(record, EventName.LEASED, now, detail=detail, pool=membership)


def given_back(record: Instance, lease_id: str, now: datetime) -> Instance:
    """The record as if that lease, of which nobody made use, had never been: the instance is free for another.

    The record itself where the lease is over.
    """
    membership = record.pool
    if membership is None or membership.lease is None or membership.lease.id != lease_id:
        return record
    remaining = membership.with_fields(
        leases=membership.leases[:-1], group=membership.group if membership.leases[:-1] else None
    )
    if record.status is Status.RUNNING:
        record, remaining = advance(record, Status.READY, now), remaining.with_fields(idle_since=now)
    return note(record, EventName.RELEASED, now, detail=f"{lease_id}, not used", pool=remaining)


def drained(record: Instance, now: datetime) -> Instance:
    """The record of an instance that nobody may lease any more; itself if that is so already."""
    membership = _membership(record)
    if membership.is_draining:
        return record
    return record.with_fields(pool=membership.with_fields(is_draining=True), updated_at=now)


def _objection(record: Instance, pool: Pool, lease: Lease, now: datetime) -> str | None:
    """Why the lease may not have that instance; None if it may."""
    membership = record.pool
    if membership is None or membership.pool != pool.name or not (is_idle(record) or is_starting(record)):
        return "is not free"
    if membership.is_draining or len(membership.leases) >= MOST_LEASES:
        return "is not leased any more"
    if membership.leases and membership.group != (pool.reuse_group(lease.user, lease.purpose) or ""):
        return "is of another reuse group"
    if record.expires_at - now < _LEAST_LEFT or lease.expires_at > record.created_at + pool.max_age:
        return "will be terminated too soon"
    # While a new deadline is on its way to the provider, another one could be overwritten by it.
    return "is about to get another deadline" if record.unconfirmed_deadlines else None


def _membership(record: Instance) -> Membership:
    if record.pool is None:
        raise NotFree(f"{record.label} belongs to no pool")
    return record.pool


def _lease(record: Instance, lease_id: str) -> Lease:
    for lease in _membership(record).leases:
        if lease.id == lease_id:
            return lease
    raise NotFree(f"{record.label} has no lease {lease_id}")
