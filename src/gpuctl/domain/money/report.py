"""What many machines cost together, all in: sums that leave nothing unknown out unsaid, groups, and the outlook."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from gpuctl.domain.instance import Instance, Market
from gpuctl.domain.money.cost import Cost, burning, by_deadline, remaining, seconds, spent, spent_between
from gpuctl.domain.money.statistics import Statistics, ended_within, statistics, within

_ZERO = Decimal(0)
_HOUR = Decimal(3600)
_DAY = timedelta(days=1)

SIDES: Mapping[str, Callable[[Instance], str]] = {
    "user": lambda one: one.user,
    "type": lambda one: one.instance_type,
    "provider": lambda one: one.provider.upper(),
    "market": lambda one: one.market.value,
    "region": lambda one: one.region,
}
DAY, TAG = "day", "tag:"


@dataclass(frozen=True, slots=True)
class Sum:
    """Dollars of several machines in parts.

    A machine of unknown price is in no part and counts in `unpriced`; one whose disk or address is of unknown price is
    in the others and counts in `bare`.
    """

    machine: Decimal = _ZERO
    disk: Decimal = _ZERO
    address: Decimal = _ZERO
    unpriced: int = 0
    bare: int = 0

    @property
    def total(self) -> Decimal:
        """Everything that is known, together."""
        return self.machine + self.disk + self.address

    def __add__(self, other: "Sum") -> "Sum":
        return Sum(
            self.machine + other.machine,
            self.disk + other.disk,
            self.address + other.address,
            self.unpriced + other.unpriced,
            self.bare + other.bare,
        )


@dataclass(frozen=True, slots=True)
class Outlook:
    """What machines cost together: an hour right now, by now, what is still to come, and both together."""

    live: int
    hourly: Sum
    spent: Sum
    remaining: Sum
    by_deadline: Sum


@dataclass(frozen=True, slots=True)
class Group:
    """The machines that are alike on one side: how many, their hours, their cost, and what of that was spot.

    `key` is None for those that have nothing on that side.
    """

    key: str | None
    machines: int
    hours: Decimal
    cost: Sum
    spot: Sum


@dataclass(frozen=True, slots=True)
class Report:
    """What machines cost together since an instant (None: from the beginning) until now, and by a side if one is named.

    `each` is what one that ended cost on average, over its whole life; None where none ended at a known price.
    """

    since: datetime | None
    now: datetime
    figures: Statistics
    outlook: Outlook
    spot: Sum
    each: Decimal | None
    side: str | None
    groups: Sequence[Group]

    @property
    def spent(self) -> Sum:
        """What they cost in that time."""
        return self.outlook.spent


def report(
    records: Iterable[Instance], now: datetime, since: datetime | None = None, side: str | None = None
) -> Report:
    """Everything there is to say of what these cost; a side is what `groups` takes."""
    every = within(records, since, now)
    return Report(
        since,
        now,
        figures=statistics(every, now, since),
        outlook=outlook(every, now, since),
        spot=_cost_of(every, now, since, Market.SPOT),
        each=_average(every, now, since),
        side=side,
        groups=groups(every, side, now, since) if side else (),
    )


def together(costs: Iterable[Cost]) -> Sum:
    """The costs summed up."""
    machine = disk = address = _ZERO
    unpriced = bare = 0
    for one in costs:
        if one.machine is None:
            unpriced += 1
            continue
        bare += not one.is_whole
        machine += one.machine
        disk += one.disk or _ZERO
        address += one.address or _ZERO
    return Sum(machine, disk, address, unpriced, bare)


def outlook(records: Sequence[Instance], now: datetime, since: datetime | None = None) -> Outlook:
    """What these cost together; with `since` only what they cost after that is spent."""
    return Outlook(
        live=sum(one.is_live for one in records),
        hourly=together(burning(one) for one in records),
        spent=_cost_of(records, now, since),
        remaining=together(remaining(one, now) for one in records),
        by_deadline=together(by_deadline(one, now) for one in records),
    )


def groups(records: Iterable[Instance], side: str, now: datetime, since: datetime | None = None) -> list[Group]:
    """The machines grouped by a side (one of SIDES, `day`, or `tag:KEY`), the dearest first, days in their order.

    A machine counts in every day it was there, with the part of its cost that fell on it; UTC days, none left out in
    between.
    """
    every = within(records, since, now)
    if side == DAY:
        return _days(every, now, since)
    key_of = _tag(side.removeprefix(TAG)) if side.startswith(TAG) else SIDES[side]
    alike: dict[str | None, list[Instance]] = {}
    for one in every:
        alike.setdefault(key_of(one), []).append(one)
    found = [_group(key, some, since, now) for key, some in alike.items()]
    return sorted(found, key=lambda one: (-one.cost.total, one.key is None, one.key or ""))


def start_of_day(at: datetime) -> datetime:
    """The beginning of the UTC day of that instant."""
    return datetime.combine(at.astimezone(UTC).date(), time(), UTC)


def _spent(one: Instance, since: datetime | None, now: datetime) -> Cost:
    # Without a window an ended machine's cost is frozen, whatever this machine's clock says.
    return spent(one, now) if since is None else spent_between(one, since, now)


def _cost_of(records: Iterable[Instance], now: datetime, since: datetime | None, market: Market | None = None) -> Sum:
    return together(_spent(one, since, now) for one in records if market in (None, one.market))


def _average(records: Iterable[Instance], now: datetime, since: datetime | None) -> Decimal | None:
    costs = [cost for one in ended_within(records, since, now) if (cost := spent(one, now).counted) is not None]
    return sum(costs, _ZERO) / len(costs) if costs else None


def _group(key: str | None, some: Sequence[Instance], since: datetime | None, now: datetime) -> Group:
    return Group(
        key,
        machines=len(some),
        hours=sum((_hours(one, since, now) for one in some), _ZERO),
        cost=_cost_of(some, now, since),
        spot=_cost_of(some, now, since, Market.SPOT),
    )


def _days(every: Sequence[Instance], now: datetime, since: datetime | None) -> list[Group]:
    there = [one for one in every if one.launched_at is not None]
    if not there:
        return []
    first = min(one.launched_at for one in there if one.launched_at is not None)
    start = max(first, since) if since else first
    found = []
    while start < now:
        end = min(start_of_day(start) + _DAY, now)
        some = [one for one in there if _was_there(one, start, end)]
        found.append(_group(f"{start.astimezone(UTC):%Y-%m-%d}", some, start, end))
        start = end
    return found


def _was_there(one: Instance, since: datetime, until: datetime) -> bool:
    if one.launched_at is None or one.launched_at >= until:
        return False
    return one.launched_at >= since or (one.terminated_at or until) > since


def _hours(one: Instance, since: datetime | None, until: datetime) -> Decimal:
    if one.launched_at is None:
        return _ZERO
    start = max(one.launched_at, since) if since else one.launched_at
    return seconds(max(min(one.terminated_at or until, until) - start, timedelta(0))) / _HOUR


def _tag(key: str) -> Callable[[Instance], str | None]:
    return lambda one: one.tags.get(key)
