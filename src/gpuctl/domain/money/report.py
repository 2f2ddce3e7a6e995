"""What many instances cost together: sums that count what they cannot include, groups, and the outlook."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from gpuctl.domain.instance import Instance, Market
from gpuctl.domain.money.cost import Cost, by_deadline, current_hourly, remaining, seconds, spent, spent_between
from gpuctl.domain.money.shares import pool_of_idle_time, shares
from gpuctl.domain.money.statistics import Statistics, ended_within, existing_since, statistics
from gpuctl.domain.money.work_sums import WorkSum, work_sums

_ZERO = Decimal(0)
_HOUR = Decimal(3600)
_DAY = timedelta(days=1)

# An instance of a pool is divided among those who had it on lease.
_DIVIDED: Mapping[str, Callable[[Instance], str | None]] = {
    "user": lambda record: record.user,
    "task": lambda record: record.task,
    "purpose": lambda record: record.purpose,
}
_WHOLE: Mapping[str, Callable[[Instance], str | None]] = {
    "type": lambda record: record.instance_type,
    "provider": lambda record: record.provider.upper(),
    "market": lambda record: record.market.value,
    "region": lambda record: record.region,
}
SIDES = (*_DIVIDED, *_WHOLE)
DAY, TAG = "day", "tag:"
POOL = "pool:"


@dataclass(frozen=True, slots=True)
class CostSum:
    """Dollars of several instances in parts.

    `unknown_price_count`: instances of unknown price, which are in no part. `compute_only_count`: instances whose disk
    or public IP is of unknown price, which are in the other parts.
    """

    compute: Decimal = _ZERO
    disk: Decimal = _ZERO
    public_ip: Decimal = _ZERO
    unknown_price_count: int = 0
    compute_only_count: int = 0

    @property
    def total(self) -> Decimal:
        """Everything that is known, together."""
        return self.compute + self.disk + self.public_ip

    def __add__(self, other: "CostSum") -> "CostSum":
        return CostSum(
            self.compute + other.compute,
            self.disk + other.disk,
            self.public_ip + other.public_ip,
            self.unknown_price_count + other.unknown_price_count,
            self.compute_only_count + other.compute_only_count,
        )


@dataclass(frozen=True, slots=True)
class CostSummary:
    """The cost of several instances: per hour now, so far, remaining until the deadlines, and in total by then."""

    live: int
    hourly: CostSum
    spent: CostSum
    remaining: CostSum
    by_deadline: CostSum


@dataclass(frozen=True, slots=True)
class UsageGroup:
    """The instances that are alike on one side: how many, their hours, their cost, and what of that was spot.

    `key` is None for those that have nothing on that side.
    """

    key: str | None
    instance_count: int
    hours: Decimal
    cost: CostSum
    spot: CostSum
    work: Sequence[WorkSum] = ()


@dataclass(frozen=True, slots=True)
class UsageReport:
    """The cost of instances from `since` (None: from the beginning) until `now`, grouped if `side` is given.

    `each` is the average total cost of a terminated instance; None without any of known price.
    """

    since: datetime | None
    now: datetime
    figures: Statistics
    cost_summary: CostSummary
    spot: CostSum
    each: Decimal | None
    side: str | None
    groups: Sequence[UsageGroup]

    @property
    def spent(self) -> CostSum:
        """What they cost in that time."""
        return self.cost_summary.spent


def report(
    records: Iterable[Instance], now: datetime, since: datetime | None = None, side: str | None = None
) -> UsageReport:
    """The report of these records; `side` is one of those that `groups` takes."""
    every = existing_since(records, since, now)
    return UsageReport(
        since,
        now,
        figures=statistics(every, now, since),
        cost_summary=cost_summary(every, now, since),
        spot=_cost_of(every, now, since, Market.SPOT),
        each=_average(every, now, since),
        side=side,
        groups=groups(every, side, now, since) if side else (),
    )


def cost_sum(costs: Iterable[Cost]) -> CostSum:
    """The costs summed up."""
    compute = disk = public_ip = _ZERO
    unknown_price_count = compute_only_count = 0
    for cost in costs:
        if cost.compute is None:
            unknown_price_count += 1
            continue
        compute_only_count += not cost.is_whole
        compute += cost.compute
        disk += cost.disk or _ZERO
        public_ip += cost.public_ip or _ZERO
    return CostSum(compute, disk, public_ip, unknown_price_count, compute_only_count)


def cost_summary(records: Sequence[Instance], now: datetime, since: datetime | None = None) -> CostSummary:
    """What these cost together; with `since` only what they cost after that is spent."""
    return CostSummary(
        live=sum(record.is_active for record in records),
        hourly=cost_sum(current_hourly(record) for record in records),
        spent=_cost_of(records, now, since),
        remaining=cost_sum(remaining(record, now) for record in records),
        by_deadline=cost_sum(by_deadline(record, now) for record in records),
    )


def groups(records: Iterable[Instance], side: str, now: datetime, since: datetime | None = None) -> list[UsageGroup]:
    """The instances grouped by a side (one of SIDES, `day`, or `tag:KEY`), most expensive first, days in their order.

    An instance counts in every day it existed, with the part of its cost that fell on it; UTC days, none left out in
    between. By user, task and purpose an instance of a pool counts for each of its leases with the cost of that time;
    the key of the time without a lease is `pool:NAME`.
    """
    every = existing_since(records, since, now)
    if side == DAY:
        return _days(every, now, since)
    if side in _DIVIDED:
        every = existing_since((share for record in every for share in shares(record, now)), since, now)
    key_of = _key_of(side)
    alike: dict[str | None, list[Instance]] = {}
    for record in every:
        alike.setdefault(key_of(record), []).append(record)
    groups = [_group(key, some, since, now) for key, some in alike.items()]
    return sorted(groups, key=lambda group: (-group.cost.total, group.key is None, group.key or ""))


def start_of_day(at: datetime) -> datetime:
    """The beginning of the UTC day of that instant."""
    return datetime.combine(at.astimezone(UTC).date(), time(), UTC)


def _spent(record: Instance, since: datetime | None, now: datetime) -> Cost:
    # Without a window an ended instance's cost is frozen, whatever this computer's clock says.
    return spent(record, now) if since is None else spent_between(record, since, now)


def _cost_of(
    records: Iterable[Instance], now: datetime, since: datetime | None, market: Market | None = None
) -> CostSum:
    return cost_sum(_spent(record, since, now) for record in records if market in (None, record.market))


def _average(records: Iterable[Instance], now: datetime, since: datetime | None) -> Decimal | None:
    costs = [cost for record in ended_within(records, since, now) if (cost := spent(record, now).counted) is not None]
    return sum(costs, _ZERO) / len(costs) if costs else None


def _group(key: str | None, records: Sequence[Instance], since: datetime | None, now: datetime) -> UsageGroup:
    return UsageGroup(
        key,
        instance_count=len({record.id for record in records}),
        hours=sum((_hours(record, since, now) for record in records), _ZERO),
        cost=_cost_of(records, now, since),
        spot=_cost_of(records, now, since, Market.SPOT),
        work=work_sums(records, now),
    )


def _days(every: Sequence[Instance], now: datetime, since: datetime | None) -> list[UsageGroup]:
    records = [record for record in every if record.launched_at is not None]
    if not records:
        return []
    first = min(record.launched_at for record in records if record.launched_at is not None)
    start = max(first, since) if since else first
    groups = []
    while start < now:
        end = min(start_of_day(start) + _DAY, now)
        some = [record for record in records if _is_billed_in(record, start, end)]
        groups.append(_group(f"{start.astimezone(UTC):%Y-%m-%d}", some, start, end))
        start = end
    return groups


def _is_billed_in(record: Instance, since: datetime, until: datetime) -> bool:
    if record.launched_at is None or record.launched_at >= until:
        return False
    return record.launched_at >= since or (record.terminated_at or until) > since


def _hours(record: Instance, since: datetime | None, until: datetime) -> Decimal:
    if record.launched_at is None:
        return _ZERO
    start = max(record.launched_at, since) if since else record.launched_at
    return seconds(max(min(record.terminated_at or until, until) - start, timedelta(0))) / _HOUR


def _key_of(side: str) -> Callable[[Instance], str | None]:
    if side.startswith(TAG):
        return lambda record: record.tags.get(side.removeprefix(TAG))
    if side in _WHOLE:
        return _WHOLE[side]

    def owner(record: Instance) -> str | None:
        pool = pool_of_idle_time(record)
        return f"{POOL}{pool}" if pool is not None else _DIVIDED[side](record)

    return owner
