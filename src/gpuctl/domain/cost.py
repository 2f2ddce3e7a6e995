"""What machines cost: so far, until their deadlines, and summed up. Dollars as Decimal, per second, never guessed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from gpuctl.domain.instance import Instance, Status

_HOUR = Decimal(3600)
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Breakdown:
    """One machine's cost in parts, in dollars; a part whose price is unknown is None, and so is a sum that needs it."""

    machine: Decimal | None
    disk: Decimal | None
    address: Decimal | None
    end_is_estimate: bool

    @property
    def total(self) -> Decimal | None:
        """All parts together."""
        if self.machine is None or self.disk is None or self.address is None:
            return None
        return self.machine + self.disk + self.address


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures over many records. Money is in dollars, `average_duration_h` in hours.

    Averages are over ended machines only. Launches that never became a machine cost nothing and count in neither
    average. Machines whose price is unknown are left out of every sum of money and counted in `unpriced`.
    `always_on_cost` is what keeping the same machines from the first launch until now would have cost: per type, region
    and market, as many as ever ran at once.
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
    unpriced: int


def lifetime(instance: Instance, now: datetime) -> timedelta:
    """How long the machine has billed: from the cloud's launch time to its proven end, or until now."""
    if instance.launched_at is None:
        return timedelta(0)
    return max((instance.terminated_at or now) - instance.launched_at, timedelta(0))


def accrued(instance: Instance, now: datetime) -> Decimal | None:
    """Dollars the machine has cost by now; frozen once it has ended; None where its price is unknown."""
    if instance.price is None:
        return None
    return _for(instance.price.usd_per_hour, lifetime(instance, now))


def projected(instance: Instance, now: datetime) -> Decimal | None:
    """Dollars it will have cost if it runs to its deadline; what it cost if it ended; None where unknown."""
    if instance.price is None:
        return None
    if instance.status.is_ended:
        return accrued(instance, now)
    start = instance.launched_at or instance.created_at
    return _for(instance.price.usd_per_hour, max(instance.expires_at, now, start) - start)


def breakdown(instance: Instance, now: datetime) -> Breakdown:
    """The parts of what it has cost by now. Prices of disks and addresses are not in the catalog: unknown."""
    return Breakdown(machine=accrued(instance, now), disk=None, address=None, end_is_estimate=instance.end_is_estimate)


def statistics(records: Iterable[Instance], now: datetime) -> Statistics:
    """The figures over these records; all zero for none."""
    every = list(records)
    launched = [one for one in every if one.launched_at is not None]
    ended = [one for one in launched if one.status is Status.TERMINATED]
    priced = [one for one in launched if one.price is not None]
    total = sum((accrued(one, now) or _ZERO for one in priced), _ZERO)
    always_on = _always_on(priced, now)
    return Statistics(
        total_provisioned=len(every),
        currently_running=sum(one.status in (Status.READY, Status.RUNNING) for one in every),
        currently_billing=sum(one.is_live and one.launched_at is not None for one in every),
        total_cost=total,
        average_duration_h=_mean([_hours(lifetime(one, now)) for one in ended]),
        average_cost=_mean([accrued(one, now) or _ZERO for one in ended if one.price is not None]),
        provider_breakdown=_counted(one.provider.upper() for one in every),
        instance_type_breakdown=_counted(one.instance_type for one in every),
        always_on_cost=always_on,
        savings=always_on - total,
        savings_percent=(always_on - total) * 100 / always_on if always_on else _ZERO,
        unpriced=len(launched) - len(priced),
    )


def to_cents(usd: Decimal) -> Decimal:
    """Rounded half up to whole cents, as a bill is."""
    return usd.quantize(Decimal("0.01"), ROUND_HALF_UP)


def _for(usd_per_hour: Decimal, span: timedelta) -> Decimal:
    return usd_per_hour * _seconds(span) / _HOUR


def _seconds(span: timedelta) -> Decimal:
    return Decimal(span // timedelta(microseconds=1)) / 1_000_000


def _hours(span: timedelta) -> Decimal:
    return _seconds(span) / _HOUR


def _mean(values: Sequence[Decimal]) -> Decimal:
    return sum(values, _ZERO) / len(values) if values else _ZERO


def _counted(words: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _always_on(priced: Iterable[Instance], now: datetime) -> Decimal:
    alike: dict[tuple[str, ...], list[Instance]] = {}
    for one in priced:
        alike.setdefault((one.provider, one.instance_type, one.region, one.market), []).append(one)
    return sum((_kept_on(group, now) for group in alike.values()), _ZERO)


def _kept_on(group: Sequence[Instance], now: datetime) -> Decimal:
    starts = [one.launched_at for one in group if one.launched_at is not None]
    newest = max(group, key=lambda one: one.created_at)
    rate = newest.price.usd_per_hour if newest.price else _ZERO
    return _for(rate, now - min(starts)) * _most_at_once(group, now)


def _most_at_once(group: Iterable[Instance], now: datetime) -> int:
    # An end at the very instant of a launch comes first: those two were never on together.
    changes = []
    for one in group:
        if one.launched_at is not None:
            changes += [(one.launched_at, 1), (one.launched_at + lifetime(one, now), -1)]
    running = most = 0
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    return max(most, 1)
