"""Grants a lease: on an idle instance of the pool, on one that is starting, or on a new one."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from gpuctl.domain.duration import exact
from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.membership import LEASE_ID_PREFIX, Lease, Membership, Origin
from gpuctl.domain.pools.events import PoolEvent, PoolEventName
from gpuctl.domain.pools.leasing import (
    AFTER_LEASE,
    NotFree,
    drained,
    ended,
    free_instances,
    given_back,
    lease_of,
    with_new_lease,
)
from gpuctl.domain.pools.spec import Pool, PoolStatus
from gpuctl.errors import GpuctlError, NotReadyError, UsageError
from gpuctl.services.budgets import Allowance
from gpuctl.services.pools.deadline import move_deadline
from gpuctl.services.pools.launch import PoolFullError, admission, launch, refuse_without_room
from gpuctl.services.pools.tools import PoolTools, pool_named
from gpuctl.services.query import current_record
from gpuctl.services.wait import Goal, wait_for
from gpuctl.store.base import Guard

LEAST_LEASE = timedelta(minutes=1)
_POLL = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """Who wants an instance, and for how long from now. `timeout` is how long to wait; None for not at all."""

    user: str
    task: str | None
    purpose: str | None
    span: timedelta
    timeout: timedelta | None


@dataclass(frozen=True, slots=True)
class LeasedInstance:
    """A lease that was granted, and the instance. `error`: the instance may not exist, and has to be looked for."""

    lease: Lease
    record: Instance
    error: GpuctlError | None = None


class _Freed(NotReadyError):
    """An instance became idle while a new one was about to be launched."""


OnWritten = Callable[[Sequence[Instance]], None]


def lease_instance(
    tools: PoolTools, name: str, wanted: LeaseRequest, created: list[Instance], on_written: OnWritten
) -> LeasedInstance:
    """Lease an instance of that pool, and wait until it is ready unless `wanted` says otherwise.

    PoolFullError where none is free in time and there is no room for another, NotReadyError where it is not ready in
    time; then nothing is on lease. BudgetError where a budget has no room for the lease. `on_written` gets the record
    of a launch as soon as it is durable; what was made, or may have been, is added to `made` at once.
    """
    requested_at, started = tools.now(), tools.runtime.clock.elapsed()
    _check_span(tools, pool_named(tools.pools, name), wanted.span)
    lease_id = LEASE_ID_PREFIX + tools.new_id()
    while True:
        pool = pool_named(tools.pools, name)
        if pool.status is PoolStatus.DRAINING:
            raise NotReadyError(f"pool `{name}` is draining", hint=f"gpuctl pool resume {name}")
        now = tools.now().replace(microsecond=0)
        lease = Lease(
            id=lease_id,
            user=wanted.user,
            task=wanted.task,
            purpose=wanted.purpose or pool.purpose,
            since=now,
            expires_at=now + wanted.span,
        )
        waited = tools.runtime.clock.elapsed() - started
        left = None if wanted.timeout is None else max(wanted.timeout - waited, timedelta(0))
        try:
            record, error = _leased_instance(tools, pool, lease, left), None
            if record is None:
                record, error = _launched(tools, pool, lease, left, created, on_written)
        except _Freed:
            continue
        except PoolFullError as full:
            if left is None or left <= timedelta(0):
                tools.append(name, [_event(PoolEventName.REFUSED, lease, requested_at, None, full.message)])
                raise
            tools.runtime.progress.step(f"{full.message}; waiting")
            tools.runtime.clock.sleep(min(_POLL, left))
            continue
        except NotFree as lost:
            # Its instance was terminated while it started.
            if left is None or left <= timedelta(0):
                raise NotReadyError(f"pool `{name}`: {lost.message}", hint=f"gpuctl lease {name}") from lost
            tools.runtime.progress.info(lost.message)
            continue
        granted = lease_of(record) or lease
        tools.append(name, [_event(PoolEventName.LEASED, granted, requested_at, record)])
        return LeasedInstance(granted, record, error)


def _check_span(tools: PoolTools, pool: Pool, span: timedelta) -> None:
    most = min(tools.runtime.max_ttl - AFTER_LEASE, pool.max_age - AFTER_LEASE)
    if not LEAST_LEASE <= span <= most:
        longer = "extend the lease later, or raise `max_ttl` in the config and `--max-age` of the pool"
        raise UsageError(
            f"a lease of pool `{pool.name}` takes {exact(LEAST_LEASE)} to {exact(most)}, not `{exact(span)}`",
            hint=longer if span > most else f"request at least `{exact(LEAST_LEASE)}`",
        )


def _leased_instance(tools: PoolTools, pool: Pool, lease: Lease, left: timedelta | None) -> Instance | None:
    """An instance of the pool that carries the lease now; None if none is free."""
    idle, starting = free_instances(tools.runtime.store.snapshot().records, pool, lease, tools.now())
    for candidate in idle:
        record = _with_lease(tools, pool, lease, candidate)
        if record is not None:
            return record
    for candidate in starting:
        # Without an ID its deadline cannot be moved yet, so that somebody has to wait for it.
        if candidate.cloud_id is None and left is None:
            continue
        record = _with_lease(tools, pool, lease, candidate)
        if record is not None:
            return record if left is None else _awaited(tools, lease, record, left)
    return None


def _with_lease(tools: PoolTools, pool: Pool, lease: Lease, candidate: Instance) -> Instance | None:
    """The instance with the lease and a deadline after it; None if it is not free any more, or keeps its deadline."""
    runtime, now = tools.runtime, tools.now()
    deadline = lease.expires_at + AFTER_LEASE

    def take(fresh: Instance) -> Instance:
        return with_new_lease(fresh, pool, lease, now)

    try:
        record = runtime.store.update(candidate.id, take, _affords(tools, candidate.id, deadline))
    except NotFree:
        return None
    if record.cloud_id is None or record.expires_at >= deadline:
        return record
    try:
        return move_deadline(runtime, record, deadline, lambda fresh: _has(fresh, lease))
    except GpuctlError as error:
        runtime.progress.info(f"{record.label} is not leased: {error.message}")
        is_final = isinstance(error, UsageError)

        def back(fresh: Instance) -> Instance:
            free = given_back(fresh, lease.id, now)
            return drained(free, now) if is_final and free.is_active else free

        runtime.store.update(record.id, back)
        return None


def _affords(tools: PoolTools, record_id: str, deadline: datetime) -> Guard:
    """The guard of a lease: what the instance costs until its new deadline must fit every budget."""
    guard = Allowance(tools.runtime.store, tools.runtime.budgets, tools.now()).changing(record_id)

    def affords(after: Sequence[Instance]) -> None:
        guard(
            [
                record.with_fields(expires_at=max(record.expires_at, deadline)) if record.id == record_id else record
                for record in after
            ]
        )

    return affords


def _awaited(tools: PoolTools, lease: Lease, record: Instance, left: timedelta) -> Instance:
    """The instance once it is ready. It goes back to the pool where it is not in time, with NotReadyError."""
    runtime = tools.runtime
    try:
        waited = wait_for(runtime, [record], Goal.READY, left)
        for error in waited.errors.values():
            is_ended = not current_record(runtime.store, record).is_active
            raise NotFree(error.message) if is_ended else NotReadyError(error.message, hint="add `--timeout 30m`")
        (record,) = waited.records
        deadline = lease.expires_at + AFTER_LEASE
        if record.expires_at < deadline:
            record = move_deadline(runtime, record, deadline, lambda fresh: _has(fresh, lease))
    except BaseException:
        # Also after a signal: nobody would release it.
        now = tools.now()
        with suppress(GpuctlError):
            runtime.store.update(record.id, lambda fresh: given_back(fresh, lease.id, now))
        raise
    return record


def _launched(
    tools: PoolTools,
    pool: Pool,
    lease: Lease,
    left: timedelta | None,
    created: list[Instance],
    on_written: OnWritten,
) -> tuple[Instance, GpuctlError | None]:
    """A new instance that carries the lease from its first record on, and what is not known about it."""
    # Before a cloud is asked anything: it is checked again in the transaction that writes the record.
    refuse_without_room(pool, tools.runtime.store.snapshot().records)
    if pool.status is PoolStatus.PAUSED:
        raise PoolFullError(f"pool `{pool.name}` is paused, and none of its instances is idle", hint=_resume(pool))
    group = pool.reuse_group(lease.user, lease.purpose)
    membership = Membership(pool=pool.name, origin=Origin.LEASE, group=group, leases=(lease,))
    request = pool.request(
        lease.expires_at + AFTER_LEASE - lease.since,
        membership,
        user=lease.user,
        task=lease.task,
        purpose=lease.purpose,
    )

    def nothing_is_free(records: Sequence[Instance]) -> None:
        # In the transaction that writes the record: what became idle since is used first.
        if free_instances(records, pool, lease, tools.now())[0]:
            raise _Freed(f"an instance of pool `{pool.name}` became idle")

    admit = admission(pool, lease.since, Origin.LEASE, nothing_is_free)
    result = launch(tools, request, admit, left, created, on_written)
    (record,) = result.records
    error = result.errors.get(record.id)
    if error is not None and (not record.is_active or record.status is Status.STOPPING):
        now = tools.now()
        tools.runtime.store.update(record.id, lambda fresh: ended(fresh, lease.id, now, is_dirty=False))
        raise error
    return record, error


def _resume(pool: Pool) -> str:
    return f"gpuctl pool resume {pool.name}"


def _has(record: Instance, lease: Lease) -> bool:
    current = lease_of(record)
    return current is not None and current.id == lease.id


def _event(
    name: PoolEventName, lease: Lease, requested_at: datetime, record: Instance | None, detail: str | None = None
) -> PoolEvent:
    return PoolEvent(
        at=lease.since,
        event=name,
        lease=lease.id,
        instance=record.id if record else None,
        requested_at=requested_at,
        until=lease.expires_at,
        user=lease.user,
        task=lease.task,
        detail=detail,
    )
