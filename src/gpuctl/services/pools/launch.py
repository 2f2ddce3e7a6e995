"""Launches instances of a pool by the ordinary services, and checks the limits of the pool in their transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gpuctl.domain.instance import Attempt, Instance
from gpuctl.domain.market.request import MAX_COUNT, Request
from gpuctl.domain.membership import Membership, Origin
from gpuctl.domain.pools.budget import refuse_over_pool_budget
from gpuctl.domain.pools.leasing import is_counted, members
from gpuctl.domain.pools.plan import MOST_AHEAD, PoolAction
from gpuctl.domain.pools.spec import Pool
from gpuctl.errors import BudgetError, NotReadyError
from gpuctl.services.budgets import allowance_of
from gpuctl.services.launch.offers import Choice
from gpuctl.services.launch.prepare import prepare
from gpuctl.services.launch.provision import ProvisionResult, start
from gpuctl.services.pools.tools import PoolTools
from gpuctl.store.base import Guard


class PoolFullError(NotReadyError):
    """The pool has as many instances as it may have, and none is free."""


def launch_ttl(tools: PoolTools) -> timedelta:
    """The TTL of an instance that is launched without a lease: it ends soon if no tick renews it."""
    return min(MOST_AHEAD, tools.runtime.max_ttl)


def admission(pool: Pool, now: datetime, origin: Origin, extra: Guard = lambda records: None) -> Guard:
    """The guard of new records of the pool: at most `max`, and within its own budgets. `extra` is called first."""

    def admit(records: Sequence[Instance]) -> None:
        extra(records)
        refuse_over_max(pool, records)
        refuse_over_pool_budget(pool, records, now, origin)

    return admit


def refuse_over_max(pool: Pool, records: Sequence[Instance]) -> None:
    """Raise PoolFullError if these records, new ones among them, are more than the pool may have."""
    if _count(pool, records) > pool.max:
        raise _full(pool)


def refuse_without_room(pool: Pool, records: Sequence[Instance]) -> None:
    """Raise PoolFullError if one more than these records would be too many."""
    if _count(pool, records) >= pool.max:
        raise _full(pool)


def _count(pool: Pool, records: Sequence[Instance]) -> int:
    return sum(is_counted(record) for record in members(records, pool.name))


def _full(pool: Pool) -> PoolFullError:
    return PoolFullError(
        f"pool `{pool.name}` is full: all {pool.max} instances are in use", hint=f"gpuctl pool show {pool.name}"
    )


def launch(
    tools: PoolTools,
    request: Request,
    admit: Guard,
    patience: timedelta | None,
    created: list[Instance],
    on_written: Callable[[Sequence[Instance]], None],
) -> ProvisionResult:
    """Write the records of the request, send their creates, and wait for them as `provision.start` does.

    Raises what `prepare` and `start` raise; then nothing was created. Other offers are tried without asking.
    """
    prepared = replace(prepare(tools.choose(request), tools.runtime), admit=admit)

    def agree(launchable: object, line: str) -> bool:
        tools.runtime.progress.info(line)
        return True

    return start(prepared, tools.runtime, on_written, patience, agree=agree, created=created)


def launch_members(
    tools: PoolTools,
    pool: Pool,
    count: int,
    origin: Origin,
    extra: Guard,
    on_written: Callable[[Sequence[Instance]], None],
) -> ProvisionResult:
    """Launch that many instances without a lease, and return without waiting until they are ready."""
    result = ProvisionResult([])
    while count > 0:
        batch = min(count, MAX_COUNT)
        request = pool.request(launch_ttl(tools), Membership(pool=pool.name, origin=origin), count=batch)
        admit = admission(pool, tools.now(), origin, extra)
        launched = launch(tools, request, admit, None, [], on_written)
        result.records += launched.records
        result.errors |= launched.errors
        count -= batch
    return result


@dataclass(frozen=True, slots=True)
class Affordable:
    """How many launches every budget allows, and what refuses one more; None if all of them are allowed."""

    count: int
    refusal: BudgetError | None = None


def affordable_count(
    tools: PoolTools,
    pool: Pool,
    choice: Choice,
    launches: Sequence[PoolAction],
    present: Sequence[Instance],
    *,
    before: int,
) -> Affordable:
    """How many of these launches, all of one origin, fit every budget after `before` others. Calls no cloud."""
    now, runtime = tools.now(), tools.runtime
    allowance = allowance_of(choice.request, runtime.store, runtime.budgets, now)
    refusal: BudgetError | None = None
    least, most = 0, len(launches)
    while least < most:
        middle = (least + most + 1) // 2
        origin = launches[0].origin
        drafts = [_draft(tools, pool, choice, origin, number, now) for number in range(before + middle)]
        try:
            allowance.check(drafts)
            refuse_over_pool_budget(pool, [*present, *drafts], now, origin)
        except BudgetError as error:
            refusal, most = error, middle - 1
        else:
            least = middle
    return Affordable(least, refusal)


def _draft(tools: PoolTools, pool: Pool, choice: Choice, origin: Origin, number: int, now: datetime) -> Instance:
    """The record that the first offer would make, as far as its cost is concerned."""
    offer, ttl = choice.offers[0], launch_ttl(tools)
    extras = tools.runtime.extras_of(offer.type.provider, offer.region, pool.offer.disk_gb)
    attempt = Attempt(
        number=1,
        token="",
        at=now,
        provider=offer.type.provider,
        region=offer.region,
        instance_type=offer.type.name,
        market=offer.market,
    )
    return Instance(
        id=f"draft-{number}",
        user=pool.user,
        purpose=pool.purpose,
        provider=offer.type.provider,
        account="",
        region=offer.region,
        instance_type=offer.type.name,
        market=offer.market,
        image="",
        disk_gb=pool.offer.disk_gb,
        ttl=ttl,
        max_ttl=ttl,
        expires_at=now + ttl,
        tags=dict(pool.offer.tags),
        price=offer.price,
        disk_price=extras.disk,
        address_price=extras.public_ip,
        billing=extras.billing,
        pool=Membership(pool=pool.name, origin=origin),
        attempts=(attempt,),
        created_at=now,
        updated_at=now,
    )
