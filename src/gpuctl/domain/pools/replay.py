"""Replays past demand against a policy: what it would have cost, and how long the jobs would have waited."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import ceil, floor, inf
from typing import Protocol

from gpuctl.domain.pools.choice import FALLBACK, Evidence
from gpuctl.domain.pools.demand import Job
from gpuctl.domain.pools.forecast import Learned, expected_excess
from gpuctl.domain.pools.policy import DEFAULT_WAITING_VALUE, PREDICT, Policy, PolicyKind, idle_limit_s

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Setup:
    """What a replay assumes.

    `waiting_value`: what an hour of waiting is worth, in hours of an instance. `limit`: most instances at one time;
    None is without limit. `one_shot`: an instance is used once. `day_limit_s`: instance seconds after which nothing
    more is launched on that day.
    """

    boot_s: float = 150.0
    tick_s: float = 60.0
    waiting_value: float = DEFAULT_WAITING_VALUE
    limit: int | None = None
    one_shot: bool = False
    day_limit_s: float | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """The result, of what happened from `since_s` to `until_s`, the end of the last job.

    `waits_s` are sorted. `counts` are the changes of the number of instances: (instant, number from then on).
    """

    policy: str
    instance_s: float
    waits_s: Sequence[float]
    peak: int
    since_s: float
    until_s: float
    counts: Sequence[tuple[float, int]] = field(repr=False)

    @property
    def mean_wait_s(self) -> float:
        """0 without jobs."""
        return sum(self.waits_s) / len(self.waits_s) if self.waits_s else 0.0

    def wait_s(self, share: float) -> float:
        """The wait that this share of the jobs did not exceed, interpolated; 0 without jobs."""
        if not self.waits_s:
            return 0.0
        place = (len(self.waits_s) - 1) * share
        lower, upper = self.waits_s[floor(place)], self.waits_s[ceil(place)]
        return lower + (upper - lower) * (place - floor(place))

    def total_cost_s(self, waiting_value: float) -> float:
        """Instances and waits together, in seconds of an instance."""
        return self.instance_s + waiting_value * sum(self.waits_s)


class Controller(Protocol):
    """A policy at work. `launches_for_jobs`: a job that finds no instance has one launched at once."""

    launches_for_jobs: bool
    idle_limit_s: float | None
    initial: int

    def target(self, arrivals: int, peak: int, waiting: int, busy: int, active: int) -> int:
        """The number of instances that this tick wants. `peak`: highest demand since the last tick."""
        ...

    def skip(self, ticks: int) -> int:
        """How many of the next ticks, in which nothing happens, can be left out; they count as done."""
        ...


class PolicyController:
    """The policies of a pool, as its tick follows them."""

    def __init__(self, policy: Policy, setup: Setup, start_s: float) -> None:
        self.launches_for_jobs = policy.kind not in (PolicyKind.REACTIVE, PolicyKind.ALWAYS)
        # `auto` begins with the fallback, until there is enough history for a forecast.
        self._is_auto = policy.kind is PolicyKind.AUTO
        self.idle_limit_s: float | None = idle_limit_s(FALLBACK if self._is_auto else policy)
        self.initial = policy.count
        self._is_one_shot, self._arrived = setup.one_shot, 0
        self._value = policy.worth or setup.waiting_value
        learns = policy.kind in (PolicyKind.PREDICT, PolicyKind.AUTO)
        self._learned = Learned(start_s, setup.boot_s, setup.tick_s) if learns else None
        self._start_s, self._excess = start_s, 0

    def target(self, arrivals: int, peak: int, waiting: int, busy: int, active: int) -> int:
        """Demand and spares; for `always:N` exactly N."""
        if self.initial:
            return self.initial
        if self._learned is None:
            return waiting + busy
        demand = waiting + busy
        self._arrived += arrivals
        if self._is_one_shot:
            # An instance that becomes free does not serve the next job.
            self._learned.observe(arrivals, self._arrived, self._arrived)
        else:
            self._learned.observe(arrivals, peak, demand)
        if self._is_auto:
            if not Evidence(self._learned.until_s - self._start_s, self._arrived).is_enough:
                return demand
            self._is_auto, self.idle_limit_s = False, idle_limit_s(PREDICT)
        self._excess = expected_excess(self._learned, self._value)
        return demand + self._excess

    def skip(self, ticks: int) -> int:
        """All of them, or those that teach the forecast nothing."""
        if self._learned is None:
            return ticks
        return 0 if self._excess else self._learned.skip(ticks)


def oracle_s(jobs: Iterable[Job], boot_s: float, since_s: float | None = None, *, one_shot: bool = False) -> float:
    """The instance seconds of who knows the future and lets no job wait, for jobs in order of arrival.

    Each job takes the instance that became idle last; the gap before it costs the smaller of the gap and a boot.
    """
    since_s = -inf if since_s is None else since_s
    ends: list[float] = []
    idle: list[float] = []
    total = 0.0
    for arrival_s, duration_s, _ in jobs:
        length_s = duration_s or 0.0
        while ends and ends[0] <= arrival_s:
            idle.append(heappop(ends))
        gap_s = arrival_s - idle.pop() if idle and not one_shot else inf
        if arrival_s >= since_s:
            total += min(gap_s, boot_s)
        heappush(ends, arrival_s + length_s)
        total += max(0.0, arrival_s + length_s - max(arrival_s, since_s))
    return total


def replay(jobs: Sequence[Job], policy: Policy, setup: Setup, since_s: float | None = None) -> Replay:
    """What the policy would have done with these jobs, in order of arrival; each has a duration.

    Only what happens at `since_s` and later counts, the time before is for learning; None counts everything.
    """
    start_s = _first_tick(jobs, setup.tick_s) - setup.tick_s
    return run(jobs, PolicyController(policy, setup, start_s), setup, since_s, name=str(policy))


def run(jobs: Sequence[Job], controller: Controller, setup: Setup, since_s: float | None, *, name: str) -> Replay:
    """The same with any controller."""
    if not jobs:
        at_s = since_s or 0.0
        return Replay(name, 0.0, (), 0, at_s, at_s, ())
    state = _Run(jobs, controller, setup, jobs[0].arrival_s if since_s is None else since_s)
    state.go()
    return Replay(
        name, state.instance_s, tuple(sorted(state.waits_s)), state.peak, state.since_s, state.last_s, state.counts
    )


class _Run:
    """The state of one replay: waiting jobs, idle instances (the last is the one used most recently), and events."""

    def __init__(self, jobs: Sequence[Job], controller: Controller, setup: Setup, since_s: float) -> None:
        self.jobs, self.controller, self.setup, self.since_s = jobs, controller, setup, since_s
        self.limit = inf if setup.limit is None else setup.limit
        self.next_tick_s = _first_tick(jobs, setup.tick_s)
        initial = int(min(controller.initial, self.limit))
        self.idle: deque[float] = deque([jobs[0].arrival_s] * initial)
        self.waiting: deque[Job] = deque()
        # (instant, whether a job ends; else a boot ends)
        self.events: list[tuple[float, bool]] = []
        self.busy = self.booting = 0
        self.active = initial
        self.instance_s = self.today_s = 0.0
        self.counted_s = jobs[0].arrival_s
        self.last_s = since_s
        self.peak = 0
        self.waits_s: list[float] = []
        self.counts: list[tuple[float, int]] = []
        self.arrivals = self.demand_peak = 0

    def go(self) -> None:
        """Run until every job is done."""
        jobs, events = self.jobs, self.events
        position, count = 0, len(jobs)
        while position < count or self.waiting or self.busy:
            arrival_s = jobs[position].arrival_s if position < count else inf
            event_s = events[0][0] if events else inf
            if event_s <= arrival_s and event_s <= self.next_tick_s:
                self._advance(event_s)
                _, is_job = heappop(events)
                self._free(event_s, was_booting=not is_job)
            elif arrival_s <= self.next_tick_s:
                self._advance(arrival_s)
                self._arrive(jobs[position])
                position += 1
            else:
                self._advance(self.next_tick_s)
                self._tick(self.next_tick_s)
                self.next_tick_s += self.setup.tick_s
                if not (self.booting or self.idle or (self.waiting and self._may_launch())):
                    ticks = floor((min(arrival_s, event_s, self._next_day_s()) - self.next_tick_s) / self.setup.tick_s)
                    if ticks > 0:
                        self.next_tick_s += self.controller.skip(ticks) * self.setup.tick_s

    def _advance(self, now_s: float) -> None:
        if now_s > self.last_s:
            self.instance_s += self.active * (now_s - self.last_s)
            self.peak = max(self.peak, self.active)
            if not self.counts or self.counts[-1][1] != self.active:
                self.counts.append((self.last_s, self.active))
            self.last_s = now_s
        if self.setup.day_limit_s is not None:
            day_s = max(self.counted_s, now_s // _DAY_S * _DAY_S)
            self.today_s = self.today_s * (day_s == self.counted_s) + self.active * (now_s - day_s)
            self.counted_s = now_s

    def _arrive(self, job: Job) -> None:
        self.arrivals += 1
        if self.idle:
            self.idle.pop()
            self._start(job, job.arrival_s)
        else:
            self.waiting.append(job)
            if self.controller.launches_for_jobs and len(self.waiting) > self.booting and self._may_launch():
                self._launch(job.arrival_s)
        self.demand_peak = max(self.demand_peak, len(self.waiting) + self.busy)

    def _free(self, now_s: float, *, was_booting: bool) -> None:
        """An instance is ready for a job, or done with one."""
        if was_booting:
            self.booting -= 1
        else:
            self.busy -= 1
            if self.setup.one_shot:
                self.active -= 1
                return
        if self.waiting:
            self._start(self.waiting.popleft(), now_s)
        elif self.controller.idle_limit_s == 0:
            self.active -= 1
        else:
            self.idle.append(now_s)

    def _start(self, job: Job, now_s: float) -> None:
        self.busy += 1
        if job.arrival_s >= self.since_s:
            self.waits_s.append(now_s - job.arrival_s)
        heappush(self.events, (now_s + (job.duration_s or 0.0), True))

    def _tick(self, now_s: float) -> None:
        waiting, controller = len(self.waiting), self.controller
        target = controller.target(self.arrivals, self.demand_peak, waiting, self.busy, self.active)
        target = int(min(target, self.limit))
        while self.active < target and self._may_launch():
            self._launch(now_s)
        limit_s = controller.idle_limit_s
        if limit_s is not None:
            while self.idle and self.active > target and now_s - self.idle[0] >= limit_s:
                self.idle.popleft()
                self.active -= 1
        self.arrivals, self.demand_peak = 0, waiting + self.busy

    def _next_day_s(self) -> float:
        """When a budget that is used up allows launches again."""
        return inf if self._may_launch() else (self.last_s // _DAY_S + 1) * _DAY_S

    def _may_launch(self) -> bool:
        limit_s = self.setup.day_limit_s
        planned_s = self.today_s + self.booting * self.setup.boot_s
        return self.active < self.limit and (limit_s is None or planned_s < limit_s)

    def _launch(self, now_s: float) -> None:
        self.booting += 1
        self.active += 1
        heappush(self.events, (now_s + self.setup.boot_s, False))


def _first_tick(jobs: Sequence[Job], tick_s: float) -> float:
    return floor(jobs[0].arrival_s / tick_s) * tick_s if jobs else 0.0
