"""The tick: reads the demand of each pool, plans, and carries the plan out by the ordinary services.

Terminations come first, launches last. Two ticks at once do no harm: every decision is made again in the transaction
that carries it out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.membership import Membership
from gpuctl.domain.pools.events import released_event
from gpuctl.domain.pools.leasing import ended, lease_of, members
from gpuctl.domain.pools.plan import PoolAction, PoolActionKind, plan_pool
from gpuctl.domain.pools.spec import Pool, PoolStatus
from gpuctl.domain.reconcile.actions import ActionKind
from gpuctl.errors import GpuctlError, PartialError
from gpuctl.services.isolation import run_isolated
from gpuctl.services.pools.pausing import pause_if_failing
from gpuctl.services.pools.result import PoolActionResult
from gpuctl.services.pools.tools import PoolTools, pool_named
from gpuctl.services.pools.view import view_of
from gpuctl.services.query import records_of
from gpuctl.store.base import Snapshot
from gpuctl.store.moves import refuse_moved

_STARTING = (Status.PROVISIONING, Status.CONFIGURING)


@dataclass(slots=True)
class ScaleResult:
    """What a tick did, or would do, in the order in which it was done."""

    done: list[PoolActionResult] = field(default_factory=list)

    @property
    def error(self) -> GpuctlError | None:
        """What a person should look at; None if there is nothing."""
        problems = [result for result in self.done if result.is_unresolved]
        if not problems:
            return None
        first = problems[0]
        more = " …" if len(problems) > 1 else ""
        return PartialError(
            f"pool `{first.action.pool}`: {first.reason}{more}", hint=f"gpuctl pool show {first.action.pool}"
        )


def scale(tools: PoolTools, names: Sequence[str], *, is_dry_run: bool) -> ScaleResult:
    """One tick over these pools, or over all of them; also over instances whose pool was deleted.

    NotFoundError for an unknown name, before anything is done. What goes wrong with one pool is in the result and
    keeps no other from its turn. Where there is nothing to do, no provider is loaded and no request is sent.
    StateUnusableError where the state was moved.
    """
    refuse_moved(tools.runtime.store.snapshot().moved_to, tools.runtime.store.location)
    pools = [pool_named(tools.pools, name) for name in dict.fromkeys(names)] or list(tools.pools.read().values())
    if not names:
        pools += _without_pool(tools, {pool.name for pool in pools})
    result = ScaleResult()

    def work(some: Sequence[Pool]) -> None:
        for pool in some:
            try:
                result.done += scaled(tools, pool, is_dry_run=is_dry_run)
            except GpuctlError as error:
                result.done.append(_problem(pool, error.message))

    def on_bug(pool: Pool, trace: str) -> None:
        tools.runtime.progress.trace(trace)
        result.done.append(_problem(pool, "internal error in this tick"))

    for pool in pools:
        # Alone, so that neither a failure nor a bug in one pool keeps another from its turn.
        run_isolated([pool], work, on_bug)
    return result


def scaled(tools: PoolTools, pool: Pool, *, is_dry_run: bool) -> list[PoolActionResult]:
    """One tick over one pool. Raises what the store raises."""
    state = tools.runtime.store.snapshot()
    if not is_dry_run:
        if _refresh(tools, pool, state.records):
            state = tools.runtime.store.snapshot()
        pool = pause_if_failing(tools, pool, state.records)
    view = view_of(tools, pool, state.records, saves=not is_dry_run)
    actions = plan_pool(pool, state.records, view.demand, view.outlook, tools.now())
    if pool.paused_because is not None and pool.status is PoolStatus.PAUSED:
        actions.append(_hold(pool, f"paused: {pool.paused_because}"))
    if state.is_restored:
        actions = _held_back(pool, actions)
    actions = _within_budgets(tools, pool, actions, state)
    if is_dry_run or not actions:
        return [PoolActionResult(action, action.record) for action in actions]
    # Most ticks find nothing to do.
    from gpuctl.services.pools.carry_out import carried_out

    return carried_out(tools, pool, actions, state.records)


def _refresh(tools: PoolTools, pool: Pool, records: Sequence[Instance]) -> bool:
    """Bring the instances up to date that are starting, and close the leases of those that have ended.

    Whether there were any: otherwise no provider is called, and nothing is written.
    """
    starting = [record.id for record in members(records, pool.name) if record.status in _STARTING]
    if starting:
        from gpuctl.services.reconcile.reconcile import settle
        from gpuctl.services.ssh_check import check_booted

        settle(tools.runtime, starting, lambda action: action.kind is not ActionKind.TERMINATE)
        check_booted(tools.runtime, records_of(tools.runtime.store, starting))
        records = tools.runtime.store.snapshot().records
    return _close_leases(tools, pool, records) or bool(starting)


def _close_leases(tools: PoolTools, pool: Pool, records: Sequence[Instance]) -> bool:
    """Close the leases of instances that have ended, such as spot instances that were interrupted; whether any had."""
    now, closed = tools.now(), []
    for record in records:
        lease = lease_of(record)
        if record.is_active or lease is None or record.pool is None or record.pool.pool != pool.name:
            continue
        record = tools.runtime.store.update(record.id, partial(_without_lease, lease_id=lease.id, now=now))
        closed += [released_event(over, record, now) for over in (record.pool or Membership(pool="")).leases[-1:]]
    tools.append(pool.name, closed)
    return bool(closed)


def _without_lease(record: Instance, lease_id: str, now: datetime) -> Instance:
    return ended(record, lease_id, record.terminated_at or now, is_dirty=False)


def _held_back(pool: Pool, actions: Sequence[PoolAction]) -> list[PoolAction]:
    """The plan of a restored state: it may not know of leases and deadlines that were granted since."""
    renewals = [action for action in actions if action.kind is PoolActionKind.RENEW]
    reason = "the state was restored, and not all regions were queried since"
    return [*renewals, _hold(pool, reason)]


def _within_budgets(tools: PoolTools, pool: Pool, actions: Sequence[PoolAction], state: Snapshot) -> list[PoolAction]:
    """The plan with as many launches as every budget allows, and a hold that says what the others would exceed."""
    launches = [action for action in actions if action.kind is PoolActionKind.LAUNCH]
    if not launches:
        return list(actions)
    from gpuctl.services.pools.launch import affordable_count, launch_ttl

    others = [action for action in actions if action.kind is not PoolActionKind.LAUNCH]
    choice = tools.choose(pool.request(launch_ttl(tools), Membership(pool=pool.name)))
    allowed: list[PoolAction] = []
    holds: list[PoolAction] = []
    for origin in dict.fromkeys(action.origin for action in launches):
        some = [action for action in launches if action.origin is origin]
        fitting = affordable_count(tools, pool, choice, some, state.records, before=len(allowed))
        allowed += some[: fitting.count]
        if fitting.refusal is not None:
            reason = f"{fitting.refusal.message}; {fitting.count} of {len(some)} launched"
            holds.append(_hold(pool, reason))
    return [*others, *allowed, *holds]


def _without_pool(tools: PoolTools, known: set[str]) -> list[Pool]:
    """A draining pool for each name that instances have, and no pool any more."""
    now = tools.now()
    names = {
        record.pool.pool
        for record in tools.runtime.store.snapshot().records
        if record.is_active and record.pool is not None
    }
    return [
        Pool(name=name, user="", status=PoolStatus.DRAINING, created_at=now, updated_at=now)
        for name in sorted(names - known)
    ]


def _hold(pool: Pool, reason: str) -> PoolAction:
    return PoolAction(PoolActionKind.HOLD, pool.name, reason, unresolved=True)


def _problem(pool: Pool, reason: str) -> PoolActionResult:
    return PoolActionResult(_hold(pool, reason), None)
