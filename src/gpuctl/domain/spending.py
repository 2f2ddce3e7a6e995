"""What many machines cost together, all in: sums that leave nothing unknown out unsaid, groups, and the outlook."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from gpuctl.domain.cost import Cost, burning, by_deadline, remaining, seconds, spent, spent_between
from gpuctl.domain.instance import Instance
from gpuctl.domain.statistics import within

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
    """The machines that are alike on one side: how many, their hours, their cost. `key` is None for those without."""

    key: str | None
    machines: int
    hours: Decimal
    cost: Sum


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
        spent=together(_spent(one, since, now) for one in records),
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


def _group(key: str | None, some: Sequence[Instance], since: datetime | None, now: datetime) -> Group:
    hours = sum((_hours(one, since, now) for one in some), _ZERO)
    return Group(key, len(some), hours, together(_spent(one, since, now) for one in some))


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
