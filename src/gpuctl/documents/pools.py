"""The JSON of pools and leases."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from gpuctl.documents.values import dollars, instant, minutes
from gpuctl.domain.instance import Instance
from gpuctl.domain.membership import Lease
from gpuctl.domain.money.cost import current_hourly, spent_between
from gpuctl.domain.money.report import cost_sum, start_of_day
from gpuctl.domain.pools.choice import FALLBACK, RECENT_S, RecentCosts
from gpuctl.domain.pools.leasing import lease_of, members
from gpuctl.domain.pools.load import Demand
from gpuctl.domain.pools.plan import Outlook, counts_of
from gpuctl.domain.pools.spec import Pool
from gpuctl.domain.pools.tune import Score


def pool_shape(
    pool: Pool, records: Sequence[Instance], now: datetime, demand: Demand, outlook: Outlook | None = None
) -> dict[str, Any]:
    """A pool with its instances. `outlook` is what its policy wants now, where that was computed."""
    counts, offer = counts_of(records, pool.name), pool.offer
    shape: dict[str, Any] = {
        "name": pool.name,
        "status": pool.status.value,
        "min": pool.min,
        "max": pool.max,
        "policy": pool.policy,
        "demand": {"waiting": demand.waiting, "running": demand.running, "known": demand.is_known},
        "machines": {
            "starting": counts.starting,
            "idle": counts.idle,
            "leased": counts.leased,
            "draining": counts.draining,
        },
        "leases": [
            lease_shape(record, lease) for record in leased_instances(pool, records) if (lease := lease_of(record))
        ],
        "userId": pool.user,
        "purpose": pool.purpose,
        "provider": offer.provider.upper() if offer.provider else None,
        "instanceType": offer.instance_type,
        "gpu": offer.gpu,
        "region": offer.region,
        "market": pool.market.value,
        "reuse": pool.reuse.value,
        "maxAgeMinutes": minutes(pool.max_age.total_seconds()),
        "waitCost": dollars(pool.wait_cost),
        "queue": pool.queue,
        "perMachine": pool.per_instance,
        "budgetDay": dollars(pool.budget_day),
        "prewarmBudgetDay": dollars(pool.prewarm_budget_day),
        "onRelease": pool.on_release,
        "pausedBecause": pool.paused_because,
        "costPerHour": dollars(pool_per_hour(pool, records)),
        "costToday": dollars(pool_cost_today(pool, records, now)),
        "createdAt": instant(pool.created_at),
        "updatedAt": instant(pool.updated_at),
    }
    if demand.problem is not None:
        shape["demand"]["problem"] = demand.problem
    if outlook is not None:
        shape |= {
            "policyInForce": outlook.policy,
            "policyReason": outlook.reason,
            "spares": outlook.spares if outlook.fixed is None else None,
        }
    return shape


def lease_shape(record: Instance, lease: Lease) -> dict[str, Any]:
    """A lease; an open one has no `releasedAt` and no `outcome`."""
    shape = {
        "id": lease.id,
        "pool": record.pool.pool if record.pool else None,
        "instanceId": record.id,
        "task": lease.task,
        "expiresAt": instant(lease.expires_at),
        "userId": lease.user,
        "purpose": lease.purpose,
        "since": instant(lease.since),
    }
    if lease.is_open:
        return shape
    return {
        **shape,
        "releasedAt": instant(lease.released_at),
        "outcome": lease.outcome.value if lease.outcome else None,
        "dirty": lease.is_dirty,
        "work": None if lease.work is None else float(lease.work),
        "unit": lease.unit,
    }


def score_shape(score: Score, price: Decimal | None) -> dict[str, Any]:
    """What a policy would have cost, in dollars where the price of an instance is known."""
    costs = (score.instance_s, score.total_cost_s)
    cost, with_waits = (None if price is None else dollars(Decimal(each) / 3_600 * price) for each in costs)
    return {
        "policy": str(score.policy),
        "machineSeconds": round(score.instance_s, 3),
        "cost": cost,
        "costWithWaits": with_waits,
        "waitSeconds": {
            "mean": round(score.mean_wait_s, 3),
            "p50": round(score.p50_wait_s, 3),
            "p95": round(score.p95_wait_s, 3),
        },
    }


def shadow_shape(costs: RecentCosts | None, price: Decimal | None) -> dict[str, Any] | None:
    """What a policy and the fallback would have cost in the last 7 days, waits included. None where nobody knows."""
    if costs is None or costs.cost is None or costs.fallback_cost is None or price is None:
        return None
    return {
        "policy": costs.policy,
        "costWithWaits": dollars(Decimal(costs.cost) / 3_600 * price),
        "fallback": str(FALLBACK),
        "fallbackCostWithWaits": dollars(Decimal(costs.fallback_cost) / 3_600 * price),
        "days": RECENT_S // 86_400,
    }


def leased_instances(pool: Pool, records: Sequence[Instance]) -> list[Instance]:
    """The instances of the pool that are on lease."""
    return [record for record in members(records, pool.name) if record.pool is not None and record.pool.lease]


def pool_per_hour(pool: Pool, records: Sequence[Instance]) -> Decimal:
    """Dollars an hour for all instances of the pool, as they are now."""
    return cost_sum(current_hourly(record) for record in members(records, pool.name)).total


def pool_cost_today(pool: Pool, records: Sequence[Instance], now: datetime) -> Decimal:
    """Dollars that the instances of the pool have cost since midnight UTC."""
    pool_records = [record for record in records if record.pool is not None and record.pool.pool == pool.name]
    return cost_sum(
        spent_between(record, start_of_day(now), record.terminated_at or now) for record in pool_records
    ).total
