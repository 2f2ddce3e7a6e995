"""Replays work with a deadline over traces of spot capacity: the rule of gpuctl beside four others.

usage: bench_spot.py [--starts N] [FILE.csv ...]

Without files, over traces made here from a seed, whose spells have the shape of measured ones: heavy tails, a median of
half an hour to an hour and a half with capacity, a tenth of the spells under 10 minutes. Cost is a share of the same
work on-demand, start-up included; spot is 0.30 of on-demand, a start takes 6 minutes.
"""

import argparse
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from pathlib import Path

from gpuctl.domain.instance import Market
from gpuctl.domain.market.deadline_rule import Decision, DecisionReason, MarketAction, Situation, decide
from gpuctl.domain.market.spot_replay import Rule, TimedJob, replay
from gpuctl.domain.market.spot_trace import Trace, ZoneTrace, parse_trace

CHECKPOINTED = ((2, 1.25), (10, 1.15), (10, 1.5))
FROM_ZERO = ((0.5, 3), (1, 2.5), (1, 1.5), (2, 2.5), (6, 2.5))
_CLAIRVOYANT_STARTS = 20
_GRID_S = 120
_DAY_S = 86_400
_NEVER = float("inf")


@dataclass(frozen=True)
class Figures:
    """The mean cost over all starts, and how many were late."""

    cost: float
    late: int

    def __str__(self) -> str:
        return f"{self.cost:5.3f} {self.late:4d}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--starts", type=int, default=100)
    options = parser.parse_args()
    print("mean cost and number of late starts; clairvoyant: mean cost of the first starts, and the rule over it there")
    for name, trace in traces(options.files).items():
        days = (trace.end_s - trace.begin_s) / _DAY_S
        print(f"\n{name}: {len(trace.zones)} zones, {days:.1f} days")
        header = ("on-demand", "greedy spot", "1-zone progress", "the rule", "clairvoyant")
        print(f"  {'':28}" + "".join(f"{text:>17}" for text in header))
        for is_checkpointed, cells in ((True, CHECKPOINTED), (False, FROM_ZERO)):
            for hours, slack in cells:
                work = timedelta(hours=hours)
                job = TimedJob(work, work * slack, is_checkpointed)
                print(cell(trace, job, options.starts), flush=True)


def traces(files: Sequence[Path]) -> Mapping[str, Trace]:
    """The traces of the files, else three from a seed."""
    if files:
        return {path.name: parse_trace(path.read_text("utf-8").splitlines()) for path in files}
    return {
        "4 zones, scarce": generated(4, median_up_h=0.4, median_down_h=0.4, seed=1),
        "3 zones, plentiful": generated(3, median_up_h=1.4, median_down_h=0.3, seed=2),
        "9 zones, mixed": generated(9, median_up_h=0.5, median_down_h=1.0, seed=3),
    }


def generated(count: int, *, median_up_h: float, median_down_h: float, seed: int, days: int = 14) -> Trace:
    """Zones independent of each other, with log-normal spells: the mean is about four times the median."""
    draw = random.Random(seed)
    zones = {}
    for number in range(count):
        starts, ends, at_s, is_up = [], [], 0.0, draw.random() < 0.5
        while at_s < days * _DAY_S:
            median_h = median_up_h if is_up else median_down_h
            length_s = median_h * 3600 * draw.lognormvariate(0, 1.6)
            if is_up:
                starts.append(at_s)
                ends.append(at_s + length_s)
            at_s, is_up = at_s + length_s, not is_up
        zones[f"zone-{number + 1}"] = ZoneTrace(tuple(starts), tuple(ends))
    return Trace(zones, 0, days * _DAY_S)


def cell(trace: Trace, job: TimedJob, count: int) -> str:
    """One line: every rule over the same starts."""
    spare_s = trace.end_s - trace.begin_s - job.finish_by.total_seconds()
    starts = [trace.begin_s + spare_s * number / count for number in range(count)]
    first_zone = Trace(dict([next(iter(trace.zones.items()))]), trace.begin_s, trace.end_s)
    rules: Sequence[tuple[Trace, Rule]] = (
        (trace, lambda _: Decision(MarketAction.ON_DEMAND, DecisionReason.NO_SPOT)),
        (trace, greedy),
        (first_zone, uniform_progress),
        (trace, decide),
    )
    figures = "".join(f"{measured(where, job, starts, rule)!s:>17}" for where, rule in rules)
    some = starts[:: max(1, count // _CLAIRVOYANT_STARTS)]
    least = sum(clairvoyant(trace, job, start_s) for start_s in some) / len(some)
    ratio = measured(trace, job, some, decide).cost / least
    hours = job.work.total_seconds() / 3600
    kind = "checkpointed" if job.is_checkpointed else "from zero"
    return f"  {kind:12} {hours:4g} h in {job.finish_by / job.work:4g} x {figures} {least:10.3f} {ratio:4.2f}x"


def measured(trace: Trace, job: TimedJob, starts: Sequence[float], rule: Rule) -> Figures:
    runs = [replay(trace, job, start_s, rule) for start_s in starts]
    return Figures(sum(run.cost for run in runs) / len(runs), sum(run.is_late for run in runs))


def greedy(situation: Situation) -> Decision:
    """Spot wherever there is any, else on-demand as soon as it would no longer finish in time."""
    running = situation.running
    if running is not None and (running.market is Market.SPOT or not situation.is_checkpointed):
        return Decision(MarketAction(running.market.value), DecisionReason.CONTINUE, running.zone)
    zone = next((zone for zone in situation.zones if zone.is_up), None)
    if zone is not None and running is None:
        return Decision(MarketAction.SPOT, DecisionReason.SPOT_FITS, zone.name)
    is_last = situation.left - situation.tick < situation.work_left + situation.restart
    return (
        Decision(MarketAction.ON_DEMAND, DecisionReason.LAST_MOMENT)
        if is_last or running
        else Decision(MarketAction.WAIT, DecisionReason.WAIT)
    )


def uniform_progress(situation: Situation) -> Decision:
    """Uniform Progress (Wu et al., NSDI 2024), for checkpointed work: on-demand while progress is behind the clock."""
    if not situation.is_checkpointed:
        return decide(situation)
    running, restart = situation.running, situation.restart
    spare = situation.left - situation.tick - situation.work_left
    pace = situation.work / (situation.deadline - situation.begun)
    progress, elapsed = situation.work - situation.work_left, situation.now - situation.begun
    if running is not None and running.market is Market.SPOT:
        return decide(situation)
    if spare < 2 * restart:
        return Decision(MarketAction.ON_DEMAND, DecisionReason.LAST_MOMENT)
    zone = next((zone for zone in situation.zones if zone.is_up), None)
    if running is not None:
        # Hysteresis: back to spot only with progress for two starts.
        is_ahead = progress >= pace * (elapsed + 2 * restart)
        if zone is not None and is_ahead:
            return Decision(MarketAction.SPOT, DecisionReason.SPOT_FITS, zone.name)
        return Decision(MarketAction.ON_DEMAND, DecisionReason.CONTINUE)
    if zone is not None:
        return Decision(MarketAction.SPOT, DecisionReason.SPOT_FITS, zone.name)
    return (
        Decision(MarketAction.WAIT, DecisionReason.WAIT)
        if progress >= pace * elapsed
        else Decision(MarketAction.ON_DEMAND, DecisionReason.NO_SPOT)
    )


def clairvoyant(trace: Trace, job: TimedJob, start_s: float) -> float:
    """The least cost with all of the trace known, on a grid of two minutes; checkpointed or from zero."""
    return (_with_checkpoints if job.is_checkpointed else _from_zero)(trace, job, start_s)


def _from_zero(trace: Trace, job: TimedJob, start_s: float) -> float:
    needed_s = (job.work + job.restart).total_seconds()
    last_s = start_s + job.finish_by.total_seconds() - needed_s
    for zone in trace.zones.values():
        for begin_s, end_s in zip(zone.starts, zone.ends, strict=True):
            first_s = max(begin_s, start_s)
            if first_s <= last_s and first_s + needed_s <= end_s:
                return job.spot_share
    return 1.0


def _with_checkpoints(trace: Trace, job: TimedJob, start_s: float) -> float:
    """`costs[mode][n]` is the least cost of `n` steps of work done, ending in that mode; a start takes `boot` steps."""
    steps = int(job.finish_by.total_seconds() // _GRID_S)
    needed = -int(-job.work.total_seconds() // _GRID_S)
    boot = int(job.restart.total_seconds() // _GRID_S)
    nothing = [_NEVER] * (needed + 1)
    markets: list[tuple[float, Callable[[int], bool]]] = [(1.0, lambda _: True)]
    for zone in trace.zones.values():
        ends = [zone.up_until(start_s + step * _GRID_S) for step in range(steps + 1)]
        is_up = [end is not None and end >= start_s + (step + 1) * _GRID_S for step, end in enumerate(ends)]
        markets.append((job.spot_share, is_up.__getitem__))
    costs = [nothing for _ in markets]
    best: list[list[float]] = []
    latest = [0.0, *nothing[1:]]
    for step in range(steps + 1):
        for mode, (price, is_up_at) in enumerate(markets):
            if step >= boot and all(map(is_up_at, range(step - boot, step))):
                started = [cost + price * boot for cost in best[step - boot]]
                costs[mode] = list(map(min, costs[mode], started))
        latest = [min(column) for column in zip(latest, *costs, strict=True)]
        best.append(latest)
        for mode, (price, is_up_at) in enumerate(markets):
            going = chain([_NEVER], (cost + price for cost in costs[mode][:-1]))
            costs[mode] = list(going) if step < steps and is_up_at(step) else nothing
    return latest[needed] * _GRID_S / (job.work + job.restart).total_seconds()


if __name__ == "__main__":
    main()
