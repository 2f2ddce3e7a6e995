"""Replays work with a deadline over a trace of spot capacity, without a cloud, by the rule that `gpuctl run` uses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from gpuctl.domain.instance import Market
from gpuctl.domain.market.deadline_rule import RESTART, TICK, Decision, MarketAction, Running, Situation, Zone, decide
from gpuctl.domain.market.spot_trace import Trace

Rule = Callable[[Situation], Decision]

_ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)
_MOMENT = timedelta(microseconds=1)
_NONE = timedelta(0)


@dataclass(frozen=True, slots=True)
class TimedJob:
    """Work to be done by a deadline, `finish_by` after its start. `spot_share`: the price of spot over on-demand."""

    work: timedelta
    finish_by: timedelta
    is_checkpointed: bool = False
    spot_share: float = 0.3
    restart: timedelta = RESTART
    tick: timedelta = TICK


@dataclass(frozen=True, slots=True)
class SpotRun:
    """The replay of one start. `cost` is a share of the cost of the same work on-demand, its start-up included.

    `on_demand_share` is the share of the instance time that was on-demand. `switches` counts the instances after the
    first.
    """

    start_s: float
    cost: float
    on_demand_share: float
    is_late: bool
    interruptions: int
    switches: int


def replay(trace: Trace, job: TimedJob, start_s: float, rule: Rule = decide) -> SpotRun:
    """The work started at that second of the trace. It ends when the work is done, however late that is."""
    return _Replay(trace, job, start_s, rule).run()


@dataclass(slots=True)
class _Replay:
    trace: Trace
    job: TimedJob
    start_s: float
    rule: Rule

    def run(self) -> SpotRun:
        job, begun = self.job, _instant(self.start_s)
        situation = Situation(
            now=begun,
            begun=begun,
            deadline=begun + job.finish_by,
            work=job.work,
            work_left=job.work,
            zones=(),
            is_checkpointed=job.is_checkpointed,
            restart=job.restart,
            tick=job.tick,
            spot_share=job.spot_share,
        )
        spot = on_demand = _NONE
        launches = 0
        interrupted: dict[str, datetime] = {}
        while situation.work_left > _NONE:
            situation = replace(situation, zones=self._zones(situation.now, interrupted))
            decision = self.rule(situation)
            if decision.action is MarketAction.WAIT:
                situation = replace(situation, running=None, now=self._next_tick(situation))
                continue
            if not _continues(situation.running, decision):
                launches += 1
                running = Running(Market(decision.action.value), situation.now + job.restart, decision.zone)
                left = situation.work_left if job.is_checkpointed else job.work
                situation = replace(situation, running=running, work_left=left)
            after = self._until(situation)
            ran = after.now - situation.now
            if decision.action is MarketAction.SPOT:
                spot += ran
            else:
                on_demand += ran
            if after.running is None and decision.zone is not None:
                interrupted[decision.zone] = after.now
                after = replace(after, now=self._next_tick(replace(after, now=after.now - _MOMENT)))
            situation = after
        every = spot + on_demand
        return SpotRun(
            self.start_s,
            (spot * job.spot_share + on_demand) / (job.work + job.restart),
            on_demand / every,
            situation.now > situation.deadline,
            situation.losses,
            launches - 1,
        )

    def _until(self, situation: Situation) -> Situation:
        """The situation at the next decision, at the end of the work, or at the interruption if that is first."""
        running, now = situation.running, situation.now
        assert running is not None
        works_from = max(running.ready_at, now)
        done_at = works_from + situation.work_left
        if running.market is Market.ON_DEMAND:
            # Without checkpoints nothing moves from on-demand any more.
            at = min(done_at, self._next_tick(situation)) if self.job.is_checkpointed else done_at
            return replace(situation, now=at, work_left=situation.work_left - max(at - works_from, _NONE))
        end_s = self.trace.zones[running.zone or ""].up_until(_seconds(now))
        end = now if end_s is None else _instant(end_s)
        # Until its end, work and time left shrink alike: nothing that a rule weighs changes.
        if done_at <= end:
            return replace(situation, now=done_at, work_left=_NONE)
        done = max(end - works_from, _NONE) if self.job.is_checkpointed else _NONE
        return replace(
            situation, now=end, work_left=situation.work_left - done, running=None, losses=situation.losses + 1
        )

    def _zones(self, now: datetime, interrupted: Mapping[str, datetime]) -> tuple[Zone, ...]:
        at_s = _seconds(now)
        return tuple(
            Zone(name, zone.up_until(at_s) is not None, interrupted.get(name))
            for name, zone in self.trace.zones.items()
        )

    def _next_tick(self, situation: Situation) -> datetime:
        """The first tick after now; decisions are made at ticks, however long an instance lived."""
        return situation.begun + ((situation.now - situation.begun) // self.job.tick + 1) * self.job.tick


def _continues(running: Running | None, decision: Decision) -> bool:
    return running is not None and (running.market.value, running.zone) == (decision.action.value, decision.zone)


def _instant(seconds: float) -> datetime:
    return _ORIGIN + timedelta(seconds=seconds)


def _seconds(at: datetime) -> float:
    return (at - _ORIGIN).total_seconds()
