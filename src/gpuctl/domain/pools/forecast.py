"""The counted excess: how much more demand there was, within one boot, after times that looked like now.

At each tick of the past the excess is the highest demand until an instance requested then would have been ready, minus
the demand at that tick. It is counted by the rates of arrivals over 5 and 60 minutes.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, exp, log, log2
from typing import Any

from gpuctl.domain.pools.demand import Job, Step, steps
from gpuctl.domain.pools.policy import Policy, PolicyKind

_SHORT_S, _LONG_S = 300, 3600
_PRIOR_WEIGHT = 60
# The cost with waits is flat around its minimum; on its dearer side the waits are a tenth shorter.
_IMPATIENCE = 1.08
_LEAST_RATE = 2**-10  # arrivals in a tick; below it there were none for hours
_VERSION = 1

Bucket = tuple[int, ...]


@dataclass(slots=True)
class _Row:
    """The ticks of one bucket, and how many of them had which excess."""

    ticks: int = 0
    by_excess: dict[int, int] = field(default_factory=dict)

    def add(self, excess: int, ticks: int) -> None:
        self.ticks += ticks
        self.by_excess[excess] = self.by_excess.get(excess, 0) + ticks


@dataclass(slots=True)
class _Open:
    """A tick whose excess is not known yet."""

    bucket: Bucket
    demand: int
    peak: int


@dataclass(slots=True)
class Learned:
    """What the past until `until_s` has shown. `observe` adds one tick; `learn` continues a copy."""

    until_s: float
    boot_s: float
    tick_s: float
    demand: int = 0
    short_rate: float = 0.0
    long_rate: float = 0.0
    counts: dict[Bucket, _Row] = field(default_factory=dict)
    open_ticks: deque[_Open] = field(default_factory=deque)

    def observe(self, arrivals: int, peak: int, demand: int) -> None:
        """Add the next tick: arrivals since the last one, the highest demand since then, and the demand now."""
        self.until_s += self.tick_s
        self.demand = demand
        waiting = self.open_ticks
        for tick in waiting:
            if peak > tick.peak:
                tick.peak = peak
        if len(waiting) >= self._ticks_of_a_boot:
            tick = waiting.popleft()
            self._count(tick.bucket, tick.peak - tick.demand, 1)
        short_weight, long_weight = exp(-log(2) * self.tick_s / _SHORT_S), exp(-log(2) * self.tick_s / _LONG_S)
        self.short_rate = _or_zero(self.short_rate * short_weight + arrivals * (1 - short_weight))
        self.long_rate = _or_zero(self.long_rate * long_weight + arrivals * (1 - long_weight))
        waiting.append(_Open(self.bucket(), demand, demand))

    def skip(self, ticks: int) -> int:
        """Add most of so many ticks without any event in them, if the time before is quiet, too: how many are added.

        The last ones are left, because an event after them is an excess of theirs; one more for an event at the
        instant of a tick, which is part of that tick.
        """
        ticks = max(0, ticks - self._ticks_of_a_boot - 1) if self.short_rate == self.long_rate == 0 else 0
        if ticks:
            self.until_s += ticks * self.tick_s
            self._count(self.bucket(), 0, ticks)
        return ticks

    @property
    def _ticks_of_a_boot(self) -> int:
        return ceil((self.boot_s + self.tick_s) / self.tick_s)

    def bucket(self) -> Bucket:
        """What a time looks like: steps of half a power of two of both rates of arrivals."""
        return (_half_powers(self.long_rate), _half_powers(self.short_rate))

    def _count(self, bucket: Bucket, excess: int, ticks: int) -> None:
        for size in range(len(bucket) + 1):
            self.counts.setdefault(bucket[:size], _Row()).add(excess, ticks)


def learn(learned: Learned, jobs: Iterable[Job], until_s: float) -> Learned:
    """What the past until then has shown, on top of `learned`, which stays as it is.

    `jobs` holds every job that arrived after `learned.until_s`, or was not over then; more does no harm.
    """
    return learn_steps(learned, steps(jobs), until_s)


def learn_steps(learned: Learned, changes: Iterable[Step], until_s: float) -> Learned:
    """The same from changes of demand, in order of time."""
    result = _copy(learned)
    pending = deque(change for change in changes if change.at_s > learned.until_s)
    tick_s = result.tick_s
    while result.until_s + tick_s <= until_s:
        next_s = pending[0].at_s if pending else until_s
        result.skip(int((min(next_s, until_s) - result.until_s) // tick_s))
        now_s = result.until_s + tick_s
        arrivals, demand = 0, result.demand
        peak = demand
        while pending and pending[0].at_s <= now_s:
            change = pending.popleft().change
            demand += change
            arrivals += change > 0
            peak = max(peak, demand)
        result.observe(arrivals, peak, demand)
    return result


def spares(policy: Policy, learned: Learned, waiting_value: float) -> int:
    """How many idle instances to hold beyond the demand at `learned.until_s`.

    For `always:N` it is N, and for the policies that hold none it is 0.
    """
    if policy.kind is PolicyKind.ALWAYS:
        return policy.count
    if policy.kind is not PolicyKind.PREDICT:
        return 0
    return expected_excess(learned, policy.worth or waiting_value)


def expected_excess(learned: Learned, waiting_value: float) -> int:
    """The smallest number of spare instances of which one more would cost more than the waits that it would save."""
    accepted = (learned.boot_s + learned.tick_s) / (learned.boot_s * (1 + _IMPATIENCE * waiting_value))
    bucket = learned.bucket()
    rows = [learned.counts[bucket[:size]] for size in range(len(bucket) + 1) if bucket[:size] in learned.counts]
    above = [row.ticks for row in rows]
    excess = 0
    while rows and above[0]:
        share = 0.0
        for number, row in enumerate(rows):
            above[number] -= row.by_excess.get(excess, 0)
            # Each level counts as much as it has seen; the coarser one as much as a fixed number of ticks.
            weight = _PRIOR_WEIGHT if number else 0
            share = (above[number] + weight * share) / (row.ticks + weight)
        if share < accepted:
            break
        excess += 1
    return excess


def learned_shape(learned: Learned) -> dict[str, Any]:
    """The counters as JSON."""
    return {
        "version": _VERSION,
        "untilS": learned.until_s,
        "bootS": learned.boot_s,
        "tickS": learned.tick_s,
        "demand": learned.demand,
        "rates": [learned.short_rate, learned.long_rate],
        "counts": {
            ",".join(map(str, bucket)): {str(excess): ticks for excess, ticks in row.by_excess.items()}
            for bucket, row in learned.counts.items()
        },
        "open": [[list(tick.bucket), tick.demand, tick.peak] for tick in learned.open_ticks],
    }


def learned_from(shape: Mapping[str, Any]) -> Learned:
    """The counters from their JSON. ValueError where they cannot be used: rebuild them from the history."""
    try:
        if shape["version"] != _VERSION:
            raise ValueError(f"version {shape['version']} of the counters")
        counts = {
            tuple(int(part) for part in bucket.split(",") if part): _row({int(key): int(row[key]) for key in row})
            for bucket, row in shape["counts"].items()
        }
        short_rate, long_rate = shape["rates"]
        return Learned(
            float(shape["untilS"]),
            float(shape["bootS"]),
            float(shape["tickS"]),
            int(shape["demand"]),
            float(short_rate),
            float(long_rate),
            counts,
            deque(_Open(tuple(bucket), int(demand), int(peak)) for bucket, demand, peak in shape["open"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"unreadable counters: {error}") from error


def _row(by_excess: dict[int, int]) -> _Row:
    return _Row(sum(by_excess.values()), by_excess)


def _or_zero(rate: float) -> float:
    return rate if rate >= _LEAST_RATE else 0.0


def _half_powers(rate: float) -> int:
    return round(2 * log2(max(rate, _LEAST_RATE)))


def _copy(learned: Learned) -> Learned:
    return Learned(
        learned.until_s,
        learned.boot_s,
        learned.tick_s,
        learned.demand,
        learned.short_rate,
        learned.long_rate,
        {bucket: _row(dict(row.by_excess)) for bucket, row in learned.counts.items()},
        deque(_Open(tick.bucket, tick.demand, tick.peak) for tick in learned.open_ticks),
    )
