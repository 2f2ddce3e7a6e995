"""Pools as rows and as tables."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from gpuctl.cli.render.figures import money, rate
from gpuctl.cli.render.tables import Labeled, right, table
from gpuctl.cli.terminal.text import brief
from gpuctl.documents.pools import leased_instances, pool_cost_today, pool_per_hour
from gpuctl.documents.values import instant
from gpuctl.domain.duration import exact
from gpuctl.domain.instance import Instance
from gpuctl.domain.pools.load import Demand
from gpuctl.domain.pools.plan import Outlook, counts_of
from gpuctl.domain.pools.spec import Pool

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = ("name", "status", "min", "max", "policy", "starting", "idle", "leased", "draining", "costPerHour")


def pool_row(pool: Pool, records: Sequence[Instance]) -> list[str]:
    """The pool for scripts, in the order of COLUMNS."""
    counts, per_hour = counts_of(records, pool.name), pool_per_hour(pool, records)
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
    grid = table("NAME", "STATUS", "SIZE", "POLICY", *map(right, numbers))
    for pool in pools:
        counts = counts_of(records, pool.name)
        figures = (counts.starting, counts.idle, counts.leased, counts.draining)
        per_hour = rate(pool_per_hour(pool, records))
        size = f"{pool.min}-{pool.max}"
        grid.add_row(pool.name, pool.status.value, size, pool.policy, *map(str, figures), per_hour)
    return grid


def pool_table(pool: Pool, records: Sequence[Instance], now: datetime, demand: Demand, outlook: Outlook) -> Labeled:
    """Everything about one pool."""
    counts, offer = counts_of(records, pool.name), pool.offer
    grid = Labeled()
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
        ("cost", f"{money(pool_cost_today(pool, records, now))} today, ${rate(pool_per_hour(pool, records))}/h now"),
    ]
    for label, value in rows:
        if value:
            grid.add_row(label, brief(value))
    for record in leased_instances(pool, records):
        lease = record.pool.lease if record.pool else None
        if lease is not None:
            until = f"{record.label} for {lease.user} until {instant(lease.expires_at)}"
            grid.add_row(lease.id, brief(f"{until}, task {lease.task}" if lease.task else until))
    return grid
