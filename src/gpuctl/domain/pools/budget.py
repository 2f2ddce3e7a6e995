"""What a pool may spend in a day: all of it together, and what its instances cost while nobody has them on lease."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from gpuctl.domain.instance import Instance
from gpuctl.domain.membership import Origin
from gpuctl.domain.money.cost import remaining, spent_between, to_cents
from gpuctl.domain.money.report import start_of_day
from gpuctl.domain.pools.leasing import lease_of
from gpuctl.domain.pools.spec import Pool
from gpuctl.errors import BudgetError

_ZERO = Decimal(0)


def refuse_over_pool_budget(pool: Pool, records: Sequence[Instance], now: datetime, origin: Origin) -> None:
    """Raise BudgetError where the pool's instances, the new ones among them, would exceed one of its limits today.

    Counts what they cost since midnight UTC and until their deadlines. Only spares are held to the prewarm budget, and
    they have no other share of it than what instances cost without a lease.
    """
    limits = (
        (pool.budget_day, "budget", False),
        (pool.prewarm_budget_day if origin is Origin.SPARE else None, "prewarm budget", True),
    )
    for limit, name, is_prewarm in limits:
        if limit is None:
            continue
        pool_records = [record for record in records if record.pool is not None and record.pool.pool == pool.name]
        if (
            any(record.is_active and record.price is None for record in pool_records)
            and not pool.offer.allow_unknown_price
        ):
            raise BudgetError(
                f"cannot check the {name} of pool `{pool.name}`: instances of unknown price",
                hint="add `--allow-unknown-price` to the pool",
            )
        total = sum((_cost_today(record, now, is_prewarm=is_prewarm) for record in pool_records), _ZERO)
        if total > limit:
            raise BudgetError(
                f"{name} of pool `{pool.name}` exceeded: ${to_cents(total)} of ${to_cents(limit)} a day",
                hint=f"gpuctl pool show {pool.name}",
            )


def _cost_today(record: Instance, now: datetime, *, is_prewarm: bool) -> Decimal:
    """Dollars since midnight and until the deadline; with `is_prewarm` without the time on lease."""
    since = start_of_day(now)
    spent = spent_between(record, since, record.terminated_at or now).counted or _ZERO
    ahead = remaining(record, now).counted or _ZERO
    if not is_prewarm:
        return spent + ahead
    begun = max(record.launched_at or now, since)
    lifetime = max((record.terminated_at or now) - begun, timedelta(0))
    leased = sum((_leased_since(record, begun, now)), timedelta(0))
    idle = Decimal(1) if not lifetime else max(_ZERO, 1 - Decimal(leased / lifetime))
    return spent * idle + (_ZERO if lease_of(record) is not None else ahead)


def _leased_since(record: Instance, since: datetime, now: datetime) -> list[timedelta]:
    leases = record.pool.leases if record.pool else ()
    spans = [(max(lease.since, since), min(lease.released_at or now, record.terminated_at or now)) for lease in leases]
    return [end - begin for begin, end in spans if end > begin]
