"""The plan of a tick: what to launch, drain, terminate and renew, from the pool, its instances and the demand alone.

Up at once by any number; down only idle instances, the oldest idle first, after a quiet time. Instances have short
deadlines, so that the pool disappears by itself when nobody plans for it any more.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from gpuctl.domain.duration import exact
from gpuctl.domain.instance import Instance, Reason, Status
from gpuctl.domain.membership import Membership, Origin
from gpuctl.domain.pools.leasing import (
    AFTER_LEASE,
    is_busy,
    is_counted,
    is_idle,
    is_starting,
    lease_of,
    members,
)
from gpuctl.domain.pools.load import Demand
from gpuctl.domain.pools.spec import Pool, PoolStatus

# No deadline of an instance without a lease is further ahead.
MOST_AHEAD = timedelta(minutes=15)
AFTER_IDLE = timedelta(minutes=5)
# How long an instance may take to become ready; then its deadline is not moved any more.
STARTS_WITHIN = timedelta(minutes=30)
_QUIET = timedelta(minutes=5)
_SLACK = timedelta(minutes=1)
_LEAST_USE = timedelta(minutes=5)


class PoolActionKind(StrEnum):
    """What a tick does. HOLD changes nothing, and says why."""

    LAUNCH = "launch"
    DRAIN = "drain"
    END = "end"
    RENEW = "renew"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class PoolAction:
    """One decision. `record` is the instance; None for a launch and a hold.

    `deadline` belongs to RENEW, `origin` to LAUNCH. `unresolved`: a person should look, and the exit code says so.
    """

    kind: PoolActionKind
    pool: str
    reason: str
    record: Instance | None = None
    deadline: datetime | None = None
    origin: Origin = Origin.DEMAND
    because: Reason = Reason.IDLE
    unresolved: bool = False


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the policy in force wants beyond the demand.

    `spares`: idle instances to hold. `idle_limit`: how long an instance beyond those may be idle; None for ever.
    `fixed`: the pool has exactly that many, whatever the demand is.
    """

    spares: int = 0
    idle_limit: timedelta | None = timedelta(0)
    fixed: int | None = None
    policy: str = "on-demand"
    reason: str = "set by you"

    @property
    def ahead(self) -> timedelta:
        """How far ahead the deadline of an instance without a lease is set."""
        if self.idle_limit is None:
            return MOST_AHEAD
        return min(self.idle_limit + AFTER_IDLE, MOST_AHEAD)


@dataclass(frozen=True, slots=True)
class PoolCounts:
    """How many instances of a pool are launched and not ready, idle, in use, or about to be terminated."""

    starting: int
    idle: int
    leased: int
    draining: int


def counts_of(records: Iterable[Instance], pool: str) -> PoolCounts:
    """The instances of that pool, each in one of the four numbers."""
    pool_records = members(records, pool)
    staying = [record for record in pool_records if not _is_leaving(record)]
    return PoolCounts(
        starting=sum(is_starting(record) for record in staying),
        idle=sum(is_idle(record) for record in staying),
        leased=sum(is_busy(record) for record in staying),
        draining=len(pool_records) - len(staying),
    )


def plan_pool(
    pool: Pool, records: Sequence[Instance], demand: Demand, outlook: Outlook, now: datetime
) -> list[PoolAction]:
    """Everything to do about a pool, in the order in which it should be done: terminations first, launches last."""
    pool_records = [record for record in members(records, pool.name) if record.status is not Status.STOPPING]
    ends = [action for record in pool_records if (action := _end_of(pool, record, now)) is not None]
    going = {action.record.id for action in ends if action.record}
    drains = [
        PoolAction(PoolActionKind.DRAIN, pool.name, _why_drained(pool), record)
        for record in pool_records
        if record.id not in going and lease_of(record) is not None and _is_to_drain(pool, record, now)
    ]
    going |= {action.record.id for action in drains if action.record}
    active = [record for record in pool_records if record.id not in going and not _is_leaving(record)]
    # The work on an instance that is to go afterwards needs no other one.
    leaving = [record for record in pool_records if is_busy(record) and _is_leaving(record) and record.id not in going]
    served = len(leaving) + len(drains)
    needed = max(demand.instances - served, 0)
    target = _target(pool, needed, outlook)
    if demand.is_known:
        surplus = _surplus(pool, active, target, outlook, now)
        ends += surplus
        going |= {action.record.id for action in surplus if action.record}
    renewals = [
        action
        for record in pool_records
        if record.id not in {ending.record.id for ending in ends if ending.record}
        and (action := _renewal(pool, record, demand, outlook, now)) is not None
    ]
    launches = _launches(pool, records, len(active), target, needed, demand) if demand.is_known else []
    holds = [] if demand.is_known else [_hold(pool, demand.problem or "the demand is unknown")]
    return [*ends, *drains, *renewals, *launches, *holds]


def _hold(pool: Pool, reason: str) -> PoolAction:
    return PoolAction(PoolActionKind.HOLD, pool.name, reason, unresolved=True)


def _is_leaving(record: Instance) -> bool:
    return record.status is Status.STOPPING or _membership(record).is_draining


def _end_of(pool: Pool, record: Instance, now: datetime) -> PoolAction | None:
    """The termination of an instance that nobody may use any more, whatever the demand is."""
    lease = lease_of(record)
    if lease is not None:
        lapse = lease.lapse(now)
        if lapse is None:
            return None
        reason, because = f"{lease.id} {lapse}", Reason.EXPIRED
    elif is_busy(record):
        return None
    elif _membership(record).is_draining:
        reason, because = "is not used again", Reason.USER
    elif pool.status is PoolStatus.DRAINING:
        reason, because = "the pool is draining", Reason.USER
    elif _is_old(pool, record, now):
        reason, because = f"reached the age of {exact(pool.max_age)}", Reason.EXPIRED
    else:
        return None
    return PoolAction(PoolActionKind.END, pool.name, reason, record, because=because)


def _is_old(pool: Pool, record: Instance, now: datetime) -> bool:
    return record.created_at + pool.max_age - now < _LEAST_USE


def _is_to_drain(pool: Pool, record: Instance, now: datetime) -> bool:
    is_wanted = pool.status is not PoolStatus.DRAINING and not _is_old(pool, record, now)
    return not (is_wanted or _membership(record).is_draining)


def _why_drained(pool: Pool) -> str:
    is_pool = pool.status is PoolStatus.DRAINING
    return "the pool is draining" if is_pool else f"reaches the age of {exact(pool.max_age)}"


def _target(pool: Pool, needed: int, outlook: Outlook) -> int:
    if pool.status is not PoolStatus.ACTIVE:
        return min(needed, pool.max)
    wanted = outlook.fixed if outlook.fixed is not None else needed + outlook.spares
    return min(max(wanted, pool.min), pool.max)


def _surplus(pool: Pool, active: Sequence[Instance], target: int, outlook: Outlook, now: datetime) -> list[PoolAction]:
    limit = _QUIET if outlook.idle_limit is None else outlook.idle_limit
    idle = sorted((record for record in active if is_idle(record)), key=_idle_since)
    too_many = max(len(active) - target, 0)
    return [
        PoolAction(PoolActionKind.END, pool.name, f"idle for {exact(now - _idle_since(record))}", record)
        for record in idle[:too_many]
        if now - _idle_since(record) >= limit
    ]


def _renewal(pool: Pool, record: Instance, demand: Demand, outlook: Outlook, now: datetime) -> PoolAction | None:
    """The next deadline of an instance that stays, where its present one is too near or too far."""
    lease = lease_of(record)
    if record.cloud_id is None or record.is_due(now):
        return None
    if lease is not None:
        deadline = lease.expires_at + AFTER_LEASE
        is_right = record.expires_at >= deadline and not record.unconfirmed_deadlines
        return None if is_right else _renew(pool, record, max(deadline, record.expires_at), f"leased as {lease.id}")
    # Without a known demand nothing is kept: the deadlines drain the pool. Who runs a task without a lease moves the
    # deadline himself.
    is_unwanted = not demand.is_known or pool.status is PoolStatus.DRAINING or _is_leaving(record)
    is_late = is_starting(record) and now - record.created_at >= STARTS_WITHIN
    if is_unwanted or is_late or not (is_idle(record) or is_starting(record)):
        return None
    ahead = MOST_AHEAD if is_starting(record) else outlook.ahead
    left = record.expires_at - now
    if left >= ahead / 2 and left <= MOST_AHEAD + _SLACK and not record.unconfirmed_deadlines:
        return None
    deadline = min(now + ahead, record.created_at + pool.max_age)
    return _renew(pool, record, deadline, f"{exact(left)} left")


def _renew(pool: Pool, record: Instance, deadline: datetime, reason: str) -> PoolAction:
    return PoolAction(PoolActionKind.RENEW, pool.name, reason, record, deadline=deadline.replace(microsecond=0))


def _launches(
    pool: Pool, records: Sequence[Instance], active: int, target: int, needed: int, demand: Demand
) -> list[PoolAction]:
    if pool.status is not PoolStatus.ACTIVE:
        return []
    free = pool.max - sum(is_counted(record) for record in members(records, pool.name))
    by_demand = min(max(needed, pool.min), target) - active
    origins = [Origin.DEMAND if number < by_demand else Origin.SPARE for number in range(min(target - active, free))]
    return [
        PoolAction(PoolActionKind.LAUNCH, pool.name, _why_launched(pool, demand, origin), origin=origin)
        for origin in origins
    ]


def _why_launched(pool: Pool, demand: Demand, origin: Origin) -> str:
    if origin is Origin.SPARE:
        return "spare"
    return f"at least {pool.min}" if demand.instances < pool.min else demand.summary


def _idle_since(record: Instance) -> datetime:
    return _membership(record).idle_since or record.ready_at or record.created_at


def _membership(record: Instance) -> Membership:
    return record.pool or Membership(pool="")
