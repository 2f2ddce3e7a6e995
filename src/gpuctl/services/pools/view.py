"""A pool as it is now: the demand by its queue and its leases, and what its policy wants."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from gpuctl.domain.instance import Instance, Market
from gpuctl.domain.pools.events import PoolEvent, PoolEventName
from gpuctl.domain.pools.leasing import is_busy, lease_of, members
from gpuctl.domain.pools.load import Demand, demand_of, unknown_demand
from gpuctl.domain.pools.plan import Outlook
from gpuctl.domain.pools.spec import Pool, PoolMarket
from gpuctl.errors import GpuctlError
from gpuctl.services.pools.outlook import outlook_of
from gpuctl.services.pools.tools import PoolTools

# The demand is written again after that time, although it is the same.
_SAME_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool with its demand and what its policy wants."""

    pool: Pool
    demand: Demand
    outlook: Outlook


def view_of(tools: PoolTools, pool: Pool, records: Sequence[Instance], *, saves: bool) -> PoolView:
    """The demand on the pool now, and what its policy wants.

    `saves` also adds the demand of a queue to the history where it has changed.
    """
    demand = current_demand(tools, pool, records)
    if saves and pool.queue is not None and demand.is_known:
        _save(tools, pool, demand)
    return PoolView(pool, demand, outlook_of(tools, pool, records, price_of(tools, pool, records)))


def current_demand(tools: PoolTools, pool: Pool, records: Sequence[Instance]) -> Demand:
    """The demand on the pool now. A queue that fails makes it unknown."""
    leased = leased_count(pool, records, tools.now())
    if pool.queue is None:
        return demand_of(None, leased, pool.per_instance)
    try:
        return demand_of(tools.read_queue(pool), leased, pool.per_instance)
    except GpuctlError as error:
        return unknown_demand(leased, f"the queue could not be read: {error.message}")


def demand_of_leases(pool: Pool, records: Sequence[Instance], now: datetime) -> Demand:
    """The demand on the pool by its leases; unknown where it depends on a queue, which is not read."""
    leased = leased_count(pool, records, now)
    return demand_of(None, leased, pool.per_instance) if pool.queue is None else unknown_demand(leased, "not read")


def leased_count(pool: Pool, records: Sequence[Instance], now: datetime) -> int:
    """How many instances of the pool are in use. A lease that is over is no use."""
    busy = [record for record in members(records, pool.name) if is_busy(record)]
    return sum((lease := lease_of(record)) is None or lease.lapse(now) is None for record in busy)


def price_of(tools: PoolTools, pool: Pool, records: Sequence[Instance]) -> Decimal | None:
    """Dollars an hour for an instance of the pool: of the newest one, else by the catalog. None where it is unknown."""
    priced_records = [
        record for record in records if record.pool is not None and record.pool.pool == pool.name and record.price
    ]
    if priced_records:
        newest = max(priced_records, key=lambda record: record.created_at)
        return newest.price.usd_per_hour if newest.price else None
    offer = pool.offer
    if offer.instance_type is None or offer.region is None:
        return None
    market = Market.ON_DEMAND if pool.market is PoolMarket.ON_DEMAND else Market.SPOT
    region = offer.region.split(",")[0].strip()
    names = [offer.provider] if offer.provider else list(tools.runtime.every_region())
    prices = (tools.runtime.price_of(name, offer.instance_type, region, market) for name in names)
    return next((price.usd_per_hour for price in prices if price is not None), None)


def _save(tools: PoolTools, pool: Pool, demand: Demand) -> None:
    """Add the demand to the history unless the last entry of a queue says the same."""
    since = tools.now() - _SAME_FOR
    samples = [event for event in tools.pools.history(pool.name, since) if event.event is PoolEventName.DEMAND]
    last = samples[-1] if samples else None
    if last is None or (last.waiting, last.running) != (demand.waiting, demand.running):
        event = PoolEvent(at=tools.now(), event=PoolEventName.DEMAND, waiting=demand.waiting, running=demand.running)
        tools.append(pool.name, [event])
