"""Moves the deadline of an instance of a pool, also to an earlier instant, while leases and ticks race for it."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from gpuctl.domain.duration import exact
from gpuctl.domain.events import EventName
from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.lifecycle import note, with_facts
from gpuctl.domain.pools.leasing import NotFree, needed_deadline
from gpuctl.domain.reconcile.deadlines import with_unconfirmed
from gpuctl.errors import GpuctlError, NotReadyError, UnresolvedError, UsageError
from gpuctl.services.runtime import Runtime
from gpuctl.services.sessions import Session
from gpuctl.store.base import Guard

_MOST_REPAIRS = 3

Applies = Callable[[Instance], bool]


def move_deadline(
    runtime: Runtime,
    record: Instance,
    deadline: datetime,
    applies: Applies,
    allow: Guard | None = None,
) -> Instance:
    """Set the deadline at the provider, then in the record, and return the record.

    NotFree where `applies` is false for the record as it is before or after: then the deadline that it has by now is
    written to the provider again. UsageError where the provider cannot move it any more, UnresolvedError where the
    provider did not confirm it: then the record keeps its deadline. `allow` is the guard of the last transaction.
    """
    if record.cloud_id is None:
        raise NotReadyError(f"{record.label} has no instance yet", hint=f"gpuctl get {record.id} --refresh")
    session = runtime.sessions.of(record)
    now = session.now

    def announced(fresh: Instance) -> Instance:
        _refuse_over(fresh, applies, now)
        # In the tags neither the new deadline counts before it is granted, nor the old one after that.
        return with_unconfirmed(with_unconfirmed(fresh, fresh.expires_at, now), deadline, now)

    runtime.store.update(record.id, announced)
    try:
        session.provider.set_deadline(record.region, record.cloud_id, deadline)
    except UsageError:
        runtime.store.update(record.id, lambda fresh: with_facts(fresh, session.now, unconfirmed_deadlines=()))
        raise
    except GpuctlError as error:
        raise UnresolvedError(
            f"the deadline of {record.label} could not be changed at the provider ({error.message})", hint=error.hint
        ) from error

    def granted(fresh: Instance) -> Instance:
        _refuse_over(fresh, applies, now)
        if fresh.cloud_id != record.cloud_id:
            raise NotFree(f"{record.label} was changed in the meantime")
        # The provider has confirmed this one: nothing that was sent before is in the tags any more.
        fresh = with_facts(fresh, session.now, unconfirmed_deadlines=())
        if fresh.expires_at == deadline:
            return fresh
        detail = f"{fresh.expires_at:%Y-%m-%dT%H:%M:%SZ} to {deadline:%Y-%m-%dT%H:%M:%SZ}"
        return note(fresh, EventName.EXTENDED, session.now, detail=detail, expires_at=deadline)

    try:
        return runtime.store.update(record.id, granted, allow)
    except GpuctlError:
        _repair(runtime, session, record)
        raise


def _refuse_over(record: Instance, applies: Applies, now: datetime) -> None:
    if not record.is_active or record.status is Status.STOPPING:
        raise NotFree(f"{record.label} is {record.status}")
    if record.is_due(now):
        raise NotFree(f"{record.label} is {exact(now - record.expires_at)} past its deadline")
    if not applies(record):
        raise NotFree(f"{record.label} was changed in the meantime")


def _repair(runtime: Runtime, session: Session, record: Instance) -> None:
    """Write the deadline to the provider that the instance has by now: another process may have been faster.

    What cannot be written stays unconfirmed in the record, and the next tick tries again.
    """
    for _ in range(_MOST_REPAIRS):
        fresh = next((other for other in runtime.store.snapshot().records if other.id == record.id), None)
        if fresh is None or not fresh.is_active or fresh.status is Status.STOPPING or record.cloud_id is None:
            return
        deadline = needed_deadline(fresh)
        try:
            session.provider.set_deadline(record.region, record.cloud_id, deadline)
        except GpuctlError:
            return
        after = runtime.store.update(record.id, partial(_confirmed, deadline=deadline, now=session.now))
        if not after.unconfirmed_deadlines:
            return


def _confirmed(record: Instance, deadline: datetime, now: datetime) -> Instance:
    is_current = needed_deadline(record) == deadline
    return with_facts(record, now, unconfirmed_deadlines=()) if is_current else record
