"""Figures over many instances: how many, how long, what the instances alone cost and what always-on would have."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.money.cost import accrued, lifetime, seconds, spent_between

_HOUR = Decimal(3600)
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures over many records. Money is the instances' alone, in dollars; `average_duration_h` is in hours.

    Averages are over terminated instances only. Launches that never became an instance cost nothing and count in no
    average. Instances of unknown price are in no sum of money and are counted in `unknown_price_count`.
    `always_on_cost` is the cost of keeping the same instances from the first launch until now: per type, region and
    market, as many as ever ran at once.
    """

    total_provisioned: int
    currently_running: int
    currently_billing: int
    total_cost: Decimal
    average_duration_h: Decimal
    average_cost: Decimal
    provider_breakdown: Mapping[str, int]
    instance_type_breakdown: Mapping[str, int]
    always_on_cost: Decimal
    savings: Decimal
    savings_percent: Decimal
    unknown_price_count: int


def existing_since(records: Iterable[Instance], since: datetime | None, now: datetime) -> list[Instance]:
    """The instances that were asked for, or were there, after that instant; all of them for None."""
    return [
        record
        for record in records
        if since is None or record.created_at >= since or _last_known_at(record, now) > since
    ]


def ended_within(records: Iterable[Instance], since: datetime | None, now: datetime) -> list[Instance]:
    """The instances that ran and ended, after that instant where one is given."""
    ended = [record for record in records if record.launched_at is not None and record.status is Status.TERMINATED]
    return [record for record in ended if since is None or _last_known_at(record, now) > since]


def statistics(records: Iterable[Instance], now: datetime, since: datetime | None = None) -> Statistics:
    """The figures over these records; all zero for none.

    With `since` over those of `within`, of whose cost and always-on cost only the part since then counts; averages are
    over those that ended since then.
    """
    every = existing_since(records, since, now)
    launched = [record for record in every if record.launched_at is not None]
    ended = ended_within(every, since, now)
    priced = [record for record in launched if record.price is not None]
    total = sum((spent_between(record, since, now).compute or _ZERO for record in priced), _ZERO)
    always_on = _always_on(priced, since, now)
    return Statistics(
        total_provisioned=len({record.id for record in every}),
        currently_running=sum(record.status in (Status.READY, Status.RUNNING) for record in every),
        currently_billing=sum(record.is_active and record.launched_at is not None for record in every),
        total_cost=total,
        average_duration_h=_mean([seconds(lifetime(record, now)) / _HOUR for record in ended]),
        average_cost=_mean([accrued(record, now) or _ZERO for record in ended if record.price is not None]),
        provider_breakdown=_counts(record.provider.upper() for record in every),
        instance_type_breakdown=_counts(record.instance_type for record in every),
        always_on_cost=always_on,
        savings=always_on - total,
        savings_percent=(always_on - total) * 100 / always_on if always_on else _ZERO,
        unknown_price_count=len(launched) - len(priced),
    )


def _last_known_at(record: Instance, now: datetime) -> datetime:
    """When it was last there, as far as is known."""
    if record.launched_at is None:
        return record.created_at
    return record.terminated_at or now


def _mean(values: Sequence[Decimal]) -> Decimal:
    return sum(values, _ZERO) / len(values) if values else _ZERO


def _counts(words: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _always_on(priced: Iterable[Instance], since: datetime | None, now: datetime) -> Decimal:
    alike: dict[tuple[str, ...], list[Instance]] = {}
    for record in priced:
        alike.setdefault((record.provider, record.instance_type, record.region, record.market), []).append(record)
    return sum((_always_on_cost(group, since, now) for group in alike.values()), _ZERO)


def _always_on_cost(group: Sequence[Instance], since: datetime | None, now: datetime) -> Decimal:
    first = min(record.launched_at for record in group if record.launched_at is not None)
    start = first if since is None else max(first, since)
    newest = max(group, key=lambda record: record.created_at)
    rate = newest.price.usd_per_hour if newest.price else _ZERO
    return rate * seconds(now - start) / _HOUR * _peak_count(group, now)


def _peak_count(group: Iterable[Instance], now: datetime) -> int:
    # An end at the very instant of a launch comes first: those two were never on together.
    changes = []
    for record in group:
        if record.launched_at is not None:
            changes += [(record.launched_at, 1), (record.launched_at + lifetime(record, now), -1)]
    running = most = 0
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    return max(most, 1)
