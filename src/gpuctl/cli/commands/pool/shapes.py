"""Pools and leases as JSON, as rows and as tables."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gpuctl.cli.render.figures import money, rate
from gpuctl.cli.render.tables import labeled, right, table
from gpuctl.cli.terminal.text import brief
from gpuctl.documents import dollars, instant, minutes
from gpuctl.domain.duration import exact
from gpuctl.domain.instance import Instance
from gpuctl.domain.membership import Lease
from gpuctl.domain.money.cost import current_hourly, spent_between
from gpuctl.domain.money.report import cost_sum, start_of_day
from gpuctl.domain.pools.leasing import members
from gpuctl.domain.pools.load import Demand
from gpuctl.domain.pools.plan import Outlook, counts_of
from gpuctl.domain.pools.spec import Pool

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = ("name", "status", "min", "max", "policy", "starting", "idle", "leased", "draining", "costPerHour")


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
        "leases": [lease_shape(record, record.pool.lease) for record in _leased(pool, records)],
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
        "costPerHour": dollars(_per_hour(pool, records)),
        "costToday": dollars(_today(pool, records, now)),
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


def lease_shape(record: Instance, lease: Lease | None) -> dict[str, Any]:
    """A lease; an open one has no `releasedAt` and no `outcome`."""
    if lease is None:
        return {}
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


def pool_row(pool: Pool, records: Sequence[Instance]) -> list[str]:
    """The pool for scripts, in the order of COLUMNS."""
    counts, per_hour = counts_of(records, pool.name), _per_hour(pool, records)
    numbers = (counts.starting, counts.idle, counts.leased, counts.draining)
    return [
        pool.name,
        pool.status.value,
        str(pool.min),
        str(pool.max),
        pool.policy,
        *map(str, numbers),
        f"{per_hour:f}",
    ]


def pools_table(pools: Sequence[Pool], records: Sequence[Instance]) -> "Table":
    """The pools, one line each."""
    numbers = ("STARTING", "IDLE", "LEASED", "DRAINING", "$/H")
    drawn = table("NAME", "STATUS", "SIZE", "POLICY", *map(right, numbers))
    for pool in pools:
        counts = counts_of(records, pool.name)
        figures = (counts.starting, counts.idle, counts.leased, counts.draining)
        per_hour = rate(_per_hour(pool, records))
        size = f"{pool.min}-{pool.max}"
        drawn.add_row(pool.name, pool.status.value, size, pool.policy, *map(str, figures), per_hour)
    return drawn


def pool_table(pool: Pool, records: Sequence[Instance], now: datetime, demand: Demand, outlook: Outlook) -> "Table":
    """Everything about one pool."""
    counts, offer = counts_of(records, pool.name), pool.offer
    drawn = labeled()
    rows = [
        ("name", pool.name),
        ("status", pool.status.value + (f" ({pool.paused_because})" if pool.paused_because else "")),
        ("size", f"{pool.min} to {pool.max}"),
        ("demand", demand.summary + (f" ({demand.problem})" if demand.problem else "")),
        (
            "instances",
            f"{counts.starting} starting, {counts.idle} idle, {counts.leased} leased, {counts.draining} draining",
        ),
        ("policy", f"{pool.policy}: {outlook.policy}, {outlook.reason}"),
        ("spares", str(outlook.spares) if outlook.fixed is None else f"always {outlook.fixed} instances"),
        ("type", f"{offer.instance_type or offer.gpu or ''} in {offer.region or 'the default region'}, {pool.market}"),
        ("reuse", pool.reuse.value + (f", cleaned by `{pool.on_release}`" if pool.on_release else "")),
        ("max age", exact(pool.max_age)),
        ("queue", pool.queue or ""),
        ("wait cost", f"{money(pool.wait_cost)} an hour"),
        ("budget", "" if pool.budget_day is None else f"{money(pool.budget_day)} a day"),
        ("prewarm budget", "" if pool.prewarm_budget_day is None else f"{money(pool.prewarm_budget_day)} a day"),
        ("cost", f"{money(_today(pool, records, now))} today, ${rate(_per_hour(pool, records))}/h now"),
    ]
    for label, value in rows:
        if value:
            drawn.add_row(label, brief(value))
    for record in _leased(pool, records):
        lease = record.pool.lease if record.pool else None
        if lease is not None:
            until = f"{record.label} for {lease.user} until {instant(lease.expires_at)}"
            drawn.add_row(lease.id, brief(f"{until}, task {lease.task}" if lease.task else until))
    return drawn


def _leased(pool: Pool, records: Sequence[Instance]) -> list[Any]:
    return [record for record in members(records, pool.name) if record.pool is not None and record.pool.lease]


def _per_hour(pool: Pool, records: Sequence[Instance]) -> Decimal:
    return cost_sum(current_hourly(record) for record in members(records, pool.name)).total


def _today(pool: Pool, records: Sequence[Instance], now: datetime) -> Decimal:
    mine = [record for record in records if record.pool is not None and record.pool.pool == pool.name]
    return cost_sum(spent_between(record, start_of_day(now), record.terminated_at or now) for record in mine).total
