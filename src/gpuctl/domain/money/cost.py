"""What an instance costs, in parts: so far, within a window, and if it runs to its deadline. Never guessed, never 0.

Everything bills by the second, from the provider's launch time until the instance is confirmed terminated, STOPPING
included, and at least for the minimum in the record's billing terms.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from gpuctl.domain.instance import BillingTerms, Instance, Price
from gpuctl.domain.lifecycle import powered_off_since

_HOUR = Decimal(3600)
_ZERO = Decimal(0)
_NOTHING = timedelta(0)


@dataclass(frozen=True, slots=True)
class Cost:
    """Dollars in parts. A part whose price is unknown is None."""

    compute: Decimal | None = _ZERO
    disk: Decimal | None = _ZERO
    public_ip: Decimal | None = _ZERO

    @property
    def total(self) -> Decimal | None:
        """All parts together; None if one of them is unknown."""
        if self.compute is None or self.disk is None or self.public_ip is None:
            return None
        return self.compute + self.disk + self.public_ip

    @property
    def counted(self) -> Decimal | None:
        """Compute and what else is known; None if the compute price is unknown."""
        if self.compute is None:
            return None
        return self.compute + (self.disk or _ZERO) + (self.public_ip or _ZERO)

    @property
    def is_whole(self) -> bool:
        """Whether every part is known."""
        return self.total is not None

    def for_span(self, span: timedelta) -> "Cost":
        """What these dollars an hour come to in that time."""
        return Cost(
            *(None if amount is None else _times(amount, span) for amount in (self.compute, self.disk, self.public_ip))
        )

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            _sum(self.compute, other.compute), _sum(self.disk, other.disk), _sum(self.public_ip, other.public_ip)
        )


@dataclass(frozen=True, slots=True)
class Extras:
    """The prices of what an instance needs besides compute, None if unknown, and the provider's billing terms."""

    disk: Price | None = None
    public_ip: Price | None = None
    billing: BillingTerms = field(default_factory=BillingTerms)


def lifetime(instance: Instance, now: datetime) -> timedelta:
    """The time from the provider's launch time until the instance was confirmed terminated, or until now."""
    if instance.launched_at is None:
        return _NOTHING
    return max((instance.terminated_at or now) - instance.launched_at, _NOTHING)


def accrued(instance: Instance, now: datetime) -> Decimal | None:
    """Dollars of compute until now; final once it is terminated; None if its price is unknown."""
    if instance.price is None:
        return None
    return spent(instance, now).compute


def spent(instance: Instance, now: datetime) -> Cost:
    """Dollars until now, in parts; final once it is terminated."""
    return spent_between(instance, None, instance.terminated_at or now)


def spent_between(instance: Instance, since: datetime | None, until: datetime) -> Cost:
    """The cost between two instants; the costs of adjacent periods add up to the total.

    `since` of None means from the beginning. A minimum billing time counts at the launch.
    """
    end, powered_off_at = instance.terminated_at, powered_off_since(instance)
    span = _billed(instance, end, since, until)
    compute_span = _billed(
        instance, min(powered_off_at, end or powered_off_at) if powered_off_at else end, since, until
    )
    return Cost(
        _amount(instance.price, compute_span, instance),
        _amount(instance.disk_price, span, instance),
        _amount(instance.address_price, compute_span if instance.billing.releases_address else span, instance),
    )


def remaining(instance: Instance, now: datetime) -> Cost:
    """What the instance will still cost until its deadline; 0 once terminated.

    A record whose instance was not observed yet counts from its creation. A powered-off instance counts as running,
    because it can be started at any moment.
    """
    if not instance.is_active:
        return Cost()
    left = max(instance.expires_at - _paid_until(instance, now), _NOTHING)
    return Cost(
        _amount(instance.price, left, instance),
        _amount(instance.disk_price, left, instance),
        _amount(instance.address_price, left, instance),
    )


def by_deadline(instance: Instance, now: datetime) -> Cost:
    """The cost until the deadline; the final cost if terminated."""
    return spent(instance, now) + remaining(instance, now)


def hourly(instance: Instance) -> Cost:
    """Dollars an hour in parts, as they were frozen at its launch."""
    return rates(instance.price, instance.disk_price, instance.address_price)


def rates(compute: Price | None, disk: Price | None, public_ip: Price | None) -> Cost:
    """Dollars an hour in parts at these prices."""
    return Cost(*(None if price is None else price.usd_per_hour for price in (compute, disk, public_ip)))


def current_hourly(instance: Instance) -> Cost:
    """Dollars an hour now: nothing once terminated, disk and, where it is kept, public IP while powered off."""
    if not instance.is_active:
        return Cost()
    return hourly_when_stopped(instance) if powered_off_since(instance) else hourly(instance)


def hourly_when_stopped(instance: Instance) -> Cost:
    """Dollars an hour while it is powered off but not deleted: disk and, where it is kept, public IP."""
    running = hourly(instance)
    return Cost(_ZERO, running.disk, _ZERO if instance.billing.releases_address else running.public_ip)


def to_cents(usd: Decimal) -> Decimal:
    """Rounded half up to whole cents, as a bill is."""
    return usd.quantize(Decimal("0.01"), ROUND_HALF_UP)


def _paid_until(instance: Instance, now: datetime) -> datetime:
    start = instance.launched_at
    if start is None or now <= start:
        return start or instance.created_at
    return max(now, start + instance.billing.minimum)


def seconds(span: timedelta) -> Decimal:
    """The span in seconds, exactly."""
    return Decimal(span // timedelta(microseconds=1)) / 1_000_000


def _billed(instance: Instance, end: datetime | None, since: datetime | None, until: datetime) -> timedelta:
    before = _NOTHING if since is None else _billed_by(instance, end, since)
    return max(_billed_by(instance, end, until) - before, _NOTHING)


def _billed_by(instance: Instance, end: datetime | None, at: datetime) -> timedelta:
    start = instance.launched_at
    # Where a cloud reports whole seconds, an instance can end in the second of its launch and be billed the minimum.
    if start is None or at < start or (at == start and end != start):
        return _NOTHING
    stop = at if end is None else min(at, end)
    return max(stop - start, instance.billing.minimum)


def _amount(price: Price | None, span: timedelta, instance: Instance) -> Decimal | None:
    if price is None:
        # What did not exist in that time cost nothing at any price; the cost of what is active is unknown.
        return None if span or instance.is_active else _ZERO
    return _times(price.usd_per_hour, span)


def _times(usd_per_hour: Decimal, span: timedelta) -> Decimal:
    return usd_per_hour * seconds(span) / _HOUR


def _sum(amount: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if amount is None or other is None else amount + other
