"""What the policy of a pool wants now, from the pool's own past as far as the policy needs it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from gpuctl.domain.instance import Instance
from gpuctl.domain.pools.choice import (
    ENOUGH_HISTORY_S,
    ENOUGH_LEASES,
    FALLBACK,
    Evidence,
    InForce,
    candidate,
    policy_in_force,
)
from gpuctl.domain.pools.demand import Step
from gpuctl.domain.pools.events import PoolEvent, PoolEventName
from gpuctl.domain.pools.forecast import Learned, learn_steps, spares
from gpuctl.domain.pools.plan import Outlook
from gpuctl.domain.pools.policy import AUTO, TUNED, Policy, PolicyKind, idle_limit_s, parse_policy
from gpuctl.domain.pools.policy import waiting_value as value_of_waiting
from gpuctl.domain.pools.spec import Pool, Reuse
from gpuctl.services.pools.boot import TICK_S, boot_seconds
from gpuctl.services.pools.history import steps_of
from gpuctl.services.pools.past import LEARNS_FROM, recent_costs
from gpuctl.services.pools.tools import PoolTools

_SAVED_EVERY_S = 3_600.0
# The counters belong to one time of a boot; by how much it may change before they are counted anew.
_BOOT_CHANGE = (0.8, 1.25)


def outlook_of(tools: PoolTools, pool: Pool, records: Sequence[Instance], price: Decimal | None) -> Outlook:
    """What the pool's policy wants now. The history is only read where the policy depends on it.

    `price` is that of one instance in dollars an hour, None where it is unknown.
    """
    now, wanted = tools.now(), parse_policy(pool.policy)
    if wanted not in (AUTO, TUNED) and wanted.kind is not PolicyKind.PREDICT:
        return _outlook(InForce(wanted, "set by you"), 0)
    stored = tools.forecasts.read(pool.name)
    chosen = parse_policy(pool.chosen.policy) if pool.chosen else None
    evidence = _evidence(tools, pool, stored, now)
    policy = candidate(wanted, chosen, evidence)
    if policy not in (wanted, FALLBACK):
        costs = recent_costs(tools, pool, records, price, policy)
        evidence = replace(evidence, recent_cost=costs.cost, fallback_cost=costs.fallback_cost)
    in_force = policy_in_force(wanted, chosen, evidence)
    if in_force.policy.kind is not PolicyKind.PREDICT:
        return _outlook(in_force, 0)
    learned = learned_until(tools, pool, records, stored, now)
    return _outlook(in_force, spares(in_force.policy, learned, value_of_waiting(pool.wait_cost, price)))


def learned_until(
    tools: PoolTools, pool: Pool, records: Sequence[Instance], stored: Learned | None, now: datetime
) -> Learned:
    """What the history has shown until now: from the counters that were kept, else from the whole history."""
    boot_s = boot_seconds(records, pool.name)
    is_usable = stored is not None and _BOOT_CHANGE[0] < boot_s / stored.boot_s < _BOOT_CHANGE[1]
    if stored is None or stored.until_s > now.timestamp() or not is_usable:
        since = max(now - LEARNS_FROM, pool.created_at - timedelta(days=90))
        events = tools.pools.history(pool.name, since)
        begin = min((event.at.timestamp() for event in events), default=now.timestamp())
        empty = Learned(until_s=begin, boot_s=boot_s, tick_s=TICK_S)
        learned = learn_steps(empty, _steps(pool, events, now), now.timestamp())
        tools.forecasts.write(pool.name, learned)
        return learned
    since = datetime.fromtimestamp(stored.until_s, now.tzinfo)
    events = tools.pools.history(pool.name, since - timedelta(hours=24))
    learned = learn_steps(stored, _steps(pool, events, now), now.timestamp())
    if learned.until_s - stored.until_s >= _SAVED_EVERY_S:
        tools.forecasts.write(pool.name, learned)
    return learned


def _steps(pool: Pool, events: Sequence[PoolEvent], now: datetime) -> list[Step]:
    """The changes of demand; without the ends where an instance that becomes free does not serve the next lease."""
    changes = steps_of(events, now)
    return [step for step in changes if step.change > 0] if pool.reuse is Reuse.NEVER else changes


def _evidence(tools: PoolTools, pool: Pool, stored: Learned | None, now: datetime) -> Evidence:
    if stored is not None:
        return Evidence(ENOUGH_HISTORY_S, ENOUGH_LEASES)
    events = tools.pools.history(pool.name, now - LEARNS_FROM)
    leases = sum(event.event is PoolEventName.LEASED for event in events)
    first = min((event.at for event in events), default=now)
    return Evidence((now - first).total_seconds(), leases)


def _outlook(in_force: InForce, spare_count: int) -> Outlook:
    policy: Policy = in_force.policy
    limit = idle_limit_s(policy)
    return Outlook(
        spares=spare_count,
        idle_limit=None if limit is None else timedelta(seconds=limit),
        fixed=policy.count if policy.kind is PolicyKind.ALWAYS else None,
        policy=str(policy),
        reason=in_force.reason,
    )
