"""Carries out the plan of a tick: each decision is made again in the transaction that makes it true."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.lifecycle import advance, was_refused
from gpuctl.domain.pools.events import PoolEvent, PoolEventName, released_event
from gpuctl.domain.pools.leasing import NotFree, drained, ended, is_counted, is_idle, is_starting, lease_of, members
from gpuctl.domain.pools.plan import PoolAction, PoolActionKind
from gpuctl.domain.pools.spec import Pool
from gpuctl.errors import BudgetError, GpuctlError
from gpuctl.services.budgets import Allowance
from gpuctl.services.pools.deadline import move_deadline
from gpuctl.services.pools.launch import PoolFullError, launch_members
from gpuctl.services.pools.result import PoolActionResult
from gpuctl.services.pools.tools import PoolTools
from gpuctl.services.terminate import end
from gpuctl.store.base import Guard


def carried_out(
    tools: PoolTools, pool: Pool, actions: Sequence[PoolAction], planned: Sequence[Instance]
) -> list[PoolActionResult]:
    """Do all of it, terminations first and launches last, and return what became of each.

    `planned` are the records that the plan was made from: nothing is launched where there are more by now. What another
    process has done meanwhile, or has made needless, is left out. Raises what the store raises.
    """
    by_kind = {kind: [action for action in actions if action.kind is kind] for kind in PoolActionKind}
    done = _end(tools, pool, by_kind[PoolActionKind.END])
    done += _drain(tools, by_kind[PoolActionKind.DRAIN])
    done += [result for action in by_kind[PoolActionKind.RENEW] for result in _renew(tools, action)]
    done += _launch(tools, pool, by_kind[PoolActionKind.LAUNCH], planned)
    return [*done, *(PoolActionResult(action, None) for action in by_kind[PoolActionKind.HOLD])]


def _end(tools: PoolTools, pool: Pool, actions: Sequence[PoolAction]) -> list[PoolActionResult]:
    """Write STOPPING into each record that is still not on lease, then request the terminations."""
    store, done, stopped, events = tools.runtime.store, [], list[Instance](), list[PoolEvent]()
    for action in actions:
        if action.record is None:
            continue
        try:
            now = _checked_now(tools, action.record)
        except GpuctlError as error:
            # Without the provider's clock nothing is terminated because of a time; the deadline does it later.
            done.append(PoolActionResult(action, action.record, error))
            continue
        try:
            record = store.update(action.record.id, partial(_stopping, action=action, now=now))
        except NotFree:
            continue
        stopped.append(record)
        lease = lease_of(action.record)
        events += [
            released_event(over, record, now)
            for over in (record.pool.leases if record.pool else ())
            if lease is not None and over.id == lease.id
        ]
        events.append(PoolEvent(at=now, event=PoolEventName.ENDED, instance=record.id, detail=action.reason))
    outcome = end(tools.runtime, [record.id for record in stopped], actions[0].because) if stopped else None
    present = {record.id: record for record in outcome.records} if outcome else {}
    by_id = {action.record.id: action for action in actions if action.record}
    for record in stopped:
        failure = outcome.errors.get(record.id) if outcome else None
        done.append(PoolActionResult(by_id[record.id], present.get(record.id, record), failure))
    tools.append(pool.name, events)
    return done


def _stopping(record: Instance, action: PoolAction, now: datetime) -> Instance:
    """The record about to be terminated. NotFree if it is on lease by now, or was used since the plan was made."""
    planned, lease = action.record, lease_of(record)
    if planned is None or record.status.is_ended or record.status is Status.STOPPING:
        raise NotFree(f"{record.label} is {record.status}")
    if lease is not None:
        if lease.lapse(now) is None:
            raise NotFree(f"{record.label} is leased")
        return ended(record, lease.id, now, is_dirty=True, reason=action.because)
    is_same = record.pool is not None and planned.pool is not None and record.pool.leases == planned.pool.leases
    if lease_of(planned) is not None or not is_same or not (is_idle(record) or is_starting(record)):
        raise NotFree(f"{record.label} was used in the meantime")
    if was_refused(record):
        return advance(record, Status.FAILED, now, action.because)
    return advance(record, Status.STOPPING, now, action.because, detail=action.reason)


def _checked_now(tools: PoolTools, record: Instance) -> datetime:
    """The present instant by the provider's clock, where that replies with one."""
    return tools.runtime.sessions.of(record).now


def _drain(tools: PoolTools, actions: Sequence[PoolAction]) -> list[PoolActionResult]:
    now = tools.now()
    by_id = {action.record.id: action for action in actions if action.record}
    written = tools.runtime.store.update_each(list(by_id), lambda fresh: drained(fresh, now))
    return [
        PoolActionResult(by_id[key], by_id[key].record, reply)
        if isinstance(reply, GpuctlError)
        else PoolActionResult(by_id[key], reply)
        for key, reply in written.items()
    ]


def _renew(tools: PoolTools, action: PoolAction) -> list[PoolActionResult]:
    """Move the deadline, unless somebody leased or released the instance meanwhile."""
    planned, deadline = action.record, action.deadline
    if planned is None or deadline is None:
        return []
    lease = lease_of(planned)

    def applies(fresh: Instance) -> bool:
        current = lease_of(fresh)
        return current == lease if lease else current is None and (is_idle(fresh) or is_starting(fresh))

    guard: Guard | None = None
    if lease is None:
        # A lease was paid for when it was granted; an idle instance must fit the budgets anew.
        guard = Allowance(tools.runtime.store, tools.runtime.budgets, tools.now()).changing(planned.id)
    try:
        return [PoolActionResult(action, move_deadline(tools.runtime, planned, deadline, applies, guard))]
    except NotFree:
        return []
    except BudgetError as error:
        hold = replace(action, kind=PoolActionKind.HOLD, reason=f"not renewed: {error.message}", unresolved=True)
        return [PoolActionResult(hold, planned)]
    except GpuctlError as error:
        return [PoolActionResult(action, planned, error)]


def _launch(
    tools: PoolTools, pool: Pool, actions: Sequence[PoolAction], planned: Sequence[Instance]
) -> list[PoolActionResult]:
    done: list[PoolActionResult] = []
    most = _count(pool, planned)
    for origin in dict.fromkeys(action.origin for action in actions):
        some = [action for action in actions if action.origin is origin]
        most += len(some)
        done += _launched(tools, pool, some, most)
    return done


def _launched(tools: PoolTools, pool: Pool, actions: Sequence[PoolAction], most: int) -> list[PoolActionResult]:
    """Launch as many, unless the pool would have more than `most` then: another tick or a lease was faster.

    All of them are of one origin.
    """
    written: list[Instance] = []

    def not_overtaken(records: Sequence[Instance]) -> None:
        if _count(pool, records) > most:
            raise PoolFullError(f"pool `{pool.name}` grew in the meantime")

    try:
        result = launch_members(tools, pool, len(actions), actions[0].origin, not_overtaken, written.extend)
    except PoolFullError:
        result = None
    except BudgetError as error:
        hold = replace(actions[0], kind=PoolActionKind.HOLD, reason=error.message, unresolved=True)
        return [*_results(tools, pool, actions, written, {}), PoolActionResult(hold, None)]
    except GpuctlError as error:
        return [*_results(tools, pool, actions, written, {}), PoolActionResult(actions[len(written)], None, error)]
    return _results(tools, pool, actions, written, result.errors if result else {})


def _count(pool: Pool, records: Sequence[Instance]) -> int:
    return sum(is_counted(record) for record in members(records, pool.name))


def _results(
    tools: PoolTools,
    pool: Pool,
    actions: Sequence[PoolAction],
    written: Sequence[Instance],
    errors: dict[str, GpuctlError],
) -> list[PoolActionResult]:
    now = tools.now()
    done = [
        PoolActionResult(action, record, errors.get(record.id))
        for action, record in zip(actions, written, strict=False)
    ]
    events = [
        PoolEvent(
            at=now,
            event=PoolEventName.FAILED if result.error else PoolEventName.LAUNCHED,
            instance=result.record.id if result.record else None,
            detail=result.reason,
        )
        for result in done
    ]
    tools.append(pool.name, events)
    return done
