"""Moves a deadline: on the instance first, then in the record, so that no reader believes a life nobody granted."""

from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

from gpuctl.domain.duration import exact
from gpuctl.domain.events import EventName
from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.lifecycle import note
from gpuctl.domain.pools.leasing import needed_deadline
from gpuctl.domain.reconcile.actions import Rules
from gpuctl.domain.reconcile.deadlines import extended, extended_by_tags, with_unconfirmed, without_unconfirmed
from gpuctl.domain.reconcile.evidence import is_the_same_instance
from gpuctl.domain.reconcile.recovery import with_deadline_of
from gpuctl.domain.tags import ownership
from gpuctl.errors import GpuctlError, NotReadyError, UnresolvedError, UsageError
from gpuctl.services.budgets import Allowance
from gpuctl.services.runtime import Runtime
from gpuctl.services.sessions import Session
from gpuctl.store.base import RecordStore


def extend(
    runtime: Runtime,
    record: Instance,
    *,
    by: timedelta | None,
    ttl: timedelta | None,
    allow_unknown_price: bool = False,
) -> Instance:
    """Let the instance live longer: `by` adds to its deadline, `ttl` counts from now. The record with the new deadline.

    UsageError when it is over, ending or past its deadline, when the result is earlier than the present deadline or
    more than `max_ttl` from now, and where its timer cannot be moved any more; BudgetError when it would cost more than
    is allowed; UnresolvedError when the provider did not confirm it. Then the old deadline holds.
    """
    session = runtime.sessions.of(record)
    record, unread = _read_tags(runtime, session, record)
    moved = _new_deadline(record, session.now, runtime.max_ttl, by=by, ttl=ttl)
    if record.cloud_id is None:
        raise NotReadyError(f"{record.label} has no instance yet", hint=f"gpuctl get {record.id} --refresh")
    if unread is not None:
        raise UnresolvedError(f"{unread.message}; {_unchanged_text(record)}", hint=unread.hint) from unread
    allowance = Allowance(runtime.store, runtime.budgets, session.now, allow_unknown_price=allow_unknown_price)
    for warning in allowance.check([record.with_fields(expires_at=moved)]):
        runtime.progress.warn(warning)
    runtime.store.update(record.id, partial(with_unconfirmed, expires_at=moved, at=session.now))
    try:
        session.provider.set_deadline(record.region, record.cloud_id, moved)
    except GpuctlError as error:
        may_still_move = isinstance(error, UnresolvedError)
        _restore_deadline(runtime.store, session, record, moved, may_still_move=may_still_move)
        if isinstance(error, UsageError):
            raise UsageError(f"{error.message}; {_unchanged_text(record)}", hint=error.hint) from error
        raise UnresolvedError(
            f"the deadline could not be changed at the provider ({error.message}); {_unchanged_text(record)}",
            hint=error.hint,
        ) from error

    def granted(fresh: Instance) -> Instance:
        if fresh.expires_at != record.expires_at or fresh.cloud_id != record.cloud_id:
            raise UnresolvedError(f"{record.label} was changed in the meantime", hint=f"gpuctl get {record.id}")
        _refuse_over(fresh, session.now)
        detail = f"{record.expires_at:%Y-%m-%dT%H:%M:%SZ} to {moved:%Y-%m-%dT%H:%M:%SZ}"
        fresh = without_unconfirmed(fresh, moved, session.now)
        return note(fresh, EventName.EXTENDED, session.now, detail=detail, expires_at=moved, granted_deadline=moved)

    try:
        return runtime.store.update(record.id, granted, allowance.changing(record.id))
    except GpuctlError:
        _write_present_deadline(runtime.store, session, record, moved)
        raise


def _read_tags(runtime: Runtime, session: Session, record: Instance) -> tuple[Instance, GpuctlError | None]:
    """The record with the deadline that another copy of this state has granted meanwhile, and why that is not known."""
    if record.cloud_id is None or record.status.is_ended or record.status is Status.STOPPING:
        return record, None
    state = runtime.store.snapshot()
    rules = Rules(state.state_id or "")
    try:
        observed = session.provider.get(record.region, record.cloud_id)
    except GpuctlError as error:
        return record, error
    if observed is not None and observed.exists and not is_the_same_instance(record, observed, rules.state_id):
        return record, UnresolvedError(f"the gpuctl tags of {record.cloud_id} were changed")
    if state.is_restored and observed is not None and observed.exists:
        tagged = partial(with_deadline_of, observed=observed, now=session.now)
        return runtime.store.update(record.id, tagged), None
    later = extended_by_tags(record, observed, rules, session.now)
    if later is None:
        return record, None
    return runtime.store.update(record.id, partial(extended, expires_at=later, at=session.now)), None


def _restore_deadline(
    store: RecordStore, session: Session, record: Instance, moved: datetime, *, may_still_move: bool
) -> None:
    """After a failure: put the old deadline back into the tags, or forget the new one if it never arrived there.

    Otherwise another copy of this state would believe the new one, or grant the same and be denied it here.
    """
    # Where the tags cannot be read either, or may change later, the deadline stays unconfirmed.
    with suppress(GpuctlError):
        observed = session.provider.get(record.region, record.cloud_id or "")
        if observed is None:
            return
        if ownership(observed.tags).expires_at == moved:
            session.provider.set_deadline(record.region, observed.cloud_id, record.expires_at)
        elif may_still_move:
            return
        store.update(record.id, partial(without_unconfirmed, expires_at=moved, at=session.now))


def _write_present_deadline(store: RecordStore, session: Session, record: Instance, moved: datetime) -> None:
    """Another command was faster: replace the new deadline in the tags by the one that the record has by now.

    What cannot be written is written by the next run of the reaper.
    """
    with suppress(GpuctlError):
        fresh = next(other for other in store.snapshot().records if other.id == record.id)
        if fresh.is_active and fresh.status is not Status.STOPPING and fresh.cloud_id is not None:
            session.provider.set_deadline(record.region, fresh.cloud_id, needed_deadline(fresh))
            store.update(record.id, partial(without_unconfirmed, expires_at=moved, at=session.now))


def _new_deadline(
    record: Instance, now: datetime, max_ttl: timedelta, *, by: timedelta | None, ttl: timedelta | None
) -> datetime:
    if (by is None) == (ttl is None):
        raise UsageError("give either `--by` or `--ttl`", hint=f"gpuctl extend {record.label} --by 30m")
    _refuse_over(record, now)
    target = (record.expires_at + by if by is not None else now + (ttl or timedelta(0))).replace(microsecond=0)
    if target < record.expires_at.replace(microsecond=0):
        raise UsageError(
            f"the new deadline of {record.label} would be earlier; {_unchanged_text(record)}",
            hint=f"gpuctl terminate {record.label}",
        )
    if target > now + max_ttl:
        raise UsageError(
            f"the deadline of {record.label} can be at most {exact(max_ttl)} from now; {_unchanged_text(record)}",
            hint=f"gpuctl extend {record.label} --ttl {exact(max_ttl)}",
        )
    # Two copies of the state may extend to the same second: the microseconds show whose deadline is in the tags.
    return target.replace(microsecond=now.microsecond)


def _refuse_over(record: Instance, now: datetime) -> None:
    if record.status.is_ended or record.status is Status.STOPPING:
        raise UsageError(f"{record.label} is {record.status}: it can no longer be extended")
    if record.is_due(now):
        raise UsageError(f"{record.label} is past its deadline: it can no longer be extended")


def _unchanged_text(record: Instance) -> str:
    return f"the deadline stays {record.expires_at:%Y-%m-%d %H:%M:%S %z}"
