"""Dollars per unit of work: what offers cost for the same work, by past runs or by the throughput of their GPU."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from gpuctl.domain.history import quantile
from gpuctl.domain.market.offers import InstanceType, Offer

# Fewer runs say too little about the next one.
LEAST_RUNS = 3
_TYPICAL, _SLOW = 0.5, 0.9
REFERENCE_UNIT = "V100 hours"

Relative = Callable[[str], float | None]


class Basis(StrEnum):
    """Where the speed of an instance type comes from."""

    HISTORY = "history"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class WorkRun:
    """One past run: how much it did of what, in how many hours, on which instance type."""

    instance_type: str
    amount: Decimal
    unit: str
    hours: Decimal


@dataclass(frozen=True, slots=True)
class Speed:
    """The hours that one unit takes on an instance type: typically, and in the slowest tenth of the runs."""

    hours: float
    slow_hours: float
    basis: Basis
    runs: int = 0


@dataclass(frozen=True, slots=True)
class WorkCost:
    """What one unit of work costs by an offer, in dollars; None where its price or its speed is unknown."""

    offer: Offer
    speed: Speed | None
    usd: Decimal | None
    slow_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class WorkHistory:
    """The past runs of one purpose, in the unit that most of them have; `anchor` turns the table into that unit.

    `anchor` is None where no instance type with enough runs has a GPU of known throughput: then a unit is one hour of a
    V100.
    """

    unit: str
    hours: Mapping[str, Sequence[float]] = field(default_factory=dict)
    anchor: float | None = None
    relative: Relative = lambda gpu: None

    @property
    def runs(self) -> int:
        """How many runs count."""
        return sum(len(hours) for hours in self.hours.values())

    def speed_of(self, kind: InstanceType) -> Speed | None:
        """The speed of an instance type: by at least three runs on it, else by its GPU; None where nothing is known."""
        own = self.hours.get(kind.name, ())
        if len(own) >= LEAST_RUNS:
            return Speed(quantile(own, _TYPICAL), quantile(own, _SLOW), Basis.HISTORY, len(own))
        share = _throughput(kind, self.relative)
        if share is None or (self.has_history and self.anchor is None):
            return None
        hours = (self.anchor or 1.0) / share
        return Speed(hours, hours, Basis.TABLE, len(own))

    @property
    def has_history(self) -> bool:
        """Whether some instance type has enough runs."""
        return any(len(hours) >= LEAST_RUNS for hours in self.hours.values())

    def cost_of(self, offer: Offer) -> WorkCost:
        """What one unit costs by that offer."""
        speed = self.speed_of(offer.type)
        if speed is None or offer.price is None:
            return WorkCost(offer, speed, None, None)
        usd = offer.price.usd_per_hour
        return WorkCost(offer, speed, usd * Decimal(speed.hours), usd * Decimal(speed.slow_hours))

    def ranked(self, offers: Iterable[Offer]) -> Sequence[WorkCost]:
        """The offers by dollars per unit, unknown ones last in the order in which they came."""
        costs = [self.cost_of(offer) for offer in offers]
        return sorted(costs, key=lambda cost: (cost.usd is None, cost.usd or Decimal(0)))


def work_history(
    runs: Iterable[WorkRun], types: Callable[[str], InstanceType | None], relative: Relative
) -> WorkHistory:
    """What the runs of one purpose say. `types` finds an instance type by name, `relative` the throughput of a GPU."""
    every = list(runs)
    units = [run.unit for run in every]
    unit = max(dict.fromkeys(units), key=units.count, default=None)
    hours: dict[str, list[float]] = {}
    for run in every:
        if run.unit == unit and run.hours > 0:
            hours.setdefault(run.instance_type, []).append(float(run.hours / run.amount))
    anchors = []
    for name, spans in hours.items():
        kind = types(name)
        share = _throughput(kind, relative) if kind is not None and len(spans) >= LEAST_RUNS else None
        if share is not None:
            anchors.append(quantile(spans, _TYPICAL) * share)
    has_enough = any(len(spans) >= LEAST_RUNS for spans in hours.values())
    return WorkHistory(
        unit if unit is not None and has_enough else REFERENCE_UNIT,
        hours,
        quantile(anchors, _TYPICAL) if anchors else None,
        relative,
    )


def _throughput(kind: InstanceType, relative: Relative) -> float | None:
    """Of all GPUs of the type together: assumed to grow with their number."""
    share = relative(kind.gpu_model)
    return None if share is None else share * float(kind.gpu_count)
