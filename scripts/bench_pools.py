"""Replays jobs against the policies of a pool, beside what other autoscalers do, and checks the goals.

usage: bench_pools.py [FILE ...]

Without files, over three published traces and two made from a seed. A file is a trace as `gpuctl pool simulate` reads
it; it is shown beside them. Cost is relative to an oracle that knows the future and never lets a job wait; it comes
from the same run. A boot takes 150 s, a tick comes every 60 s, an hour of waiting is worth 30 instances; the first week
is for learning. The exit code is 1 if a goal is missed.
"""

import gzip
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean

from gpuctl.domain.pools.demand import Job
from gpuctl.domain.pools.forecast import Learned, learn
from gpuctl.domain.pools.policy import PREDICT, Policy, PolicyKind, parse_policy
from gpuctl.domain.pools.replay import Replay, Setup, oracle_s, replay, run
from gpuctl.domain.pools.timeline import demand_counts
from gpuctl.domain.pools.trace import jobs_of_trace
from gpuctl.domain.pools.tune import family, simulate, tune
from pool_traces import DAY_S, inference, philly, training

WEEK_S = 7 * DAY_S
SEEDS = (1, 2, 3)
RULES = ("on-demand", "keep:10m", "reactive", "predict", "tuned")
WORTHS = (10.0, 30.0, 100.0)


class SkyPilotRule:
    """The autoscaler of SkyPilot's pools (`QueueLengthAutoscaler`, its defaults): one worker more after 5 minutes with
    more than one waiting job, none after 20 minutes without any; a worker with a job stays."""

    launches_for_jobs = False
    # As soon as it is idle and beyond the target.
    idle_limit_s: float | None = 0.001
    initial = 0

    def __init__(self) -> None:
        self.workers = self.up_ticks = self.down_ticks = 0

    def target(self, arrivals: int, peak: int, waiting: int, busy: int, active: int) -> int:
        if waiting == 0:
            wanted = 0
        elif waiting > 1 or self.workers == 0:
            wanted = self.workers + 1
        else:
            wanted = self.workers
        self.up_ticks = self.up_ticks + 1 if wanted > self.workers else 0
        self.down_ticks = self.down_ticks + 1 if wanted < self.workers else 0
        if self.up_ticks >= 5 or self.down_ticks >= 20:
            self.workers, self.up_ticks, self.down_ticks = wanted, 0, 0
        return self.workers

    def skip(self, ticks: int) -> int:
        return 0


def main(files: Sequence[str]) -> int:
    """Print the tables; the exit code."""
    traces = {
        "training (seed)": training(SEEDS[0]),
        "inference (seed)": inference(SEEDS[0]),
        **{f"philly-{name}": philly(name) for name in ("b436b2", "11cb48", "2869ce")},
    }
    extra = {Path(name).name: _read(name) for name in files}
    rows = {name: compare(name, jobs) for name, jobs in {**traces, **extra}.items()}
    print()
    return 1 if list(_missed(_goals(traces, rows))) else 0


def compare(name: str, jobs: Sequence[Job]) -> dict[str, Replay]:
    """Print a table of the rules for one trace, and return their replays."""
    setup = Setup()
    base_s = oracle_s(jobs, setup.boot_s, WEEK_S)
    busiest = max((number for _, number in demand_counts(jobs)), default=1)
    results = {
        f"always:{busiest}": replay(jobs, Policy(PolicyKind.ALWAYS, count=busiest), setup, WEEK_S),
        **{rule: simulate(jobs, parse_policy(rule), setup, WEEK_S)[1] for rule in RULES},
        "SkyPilot": run(jobs, SkyPilotRule(), setup, WEEK_S, name="SkyPilot"),
    }
    print(f"\n{name}: {len(results['predict'].waits_s)} jobs after the first week, at most {busiest} at a time")
    print(
        f"  {'rule':12} {'cost/oracle':>11} {'mean wait':>9} {'p50':>6} {'p95':>7} {'peak':>5} {'cost with waits':>15}"
    )
    for rule, result in results.items():
        waits = f"{result.mean_wait_s:9.1f} {result.wait_s(0.5):6.0f} {result.wait_s(0.95):7.0f}"
        total = result.total_cost_s(setup.waiting_value) / base_s
        print(f"  {rule:12} {result.instance_s / base_s:11.3f} {waits} {result.peak:5d} {total:15.2f}")
    results["oracle"] = Replay("oracle", base_s, (), 0, 0, 0, ())
    return results


Goal = tuple[str, str, bool]


def _goals(traces: dict[str, list[Job]], rows: dict[str, dict[str, Replay]]) -> Iterable[Goal]:
    def cost(trace: str, rule: str) -> float:
        return rows[trace][rule].instance_s / rows[trace]["oracle"].instance_s

    seeded = [training(seed) for seed in SEEDS]
    ratio, mean_s, p95_s = _predicted(seeded, Setup())
    met = ratio <= 1.28 and mean_s <= 10 and p95_s <= 95
    figures = f"{ratio:.3f} / {mean_s:.1f} s / {p95_s:.0f} s"
    yield "predict: cost <= 1.28, mean wait <= 10 s, p95 <= 95 s", figures, met

    burst = rows["philly-b436b2"]["reactive"]
    ratio = cost("philly-b436b2", "reactive")
    met = burst.wait_s(0.95) <= 210 and ratio <= 1.10
    yield "reactive, burst: p95 <= 210 s at cost <= 1.10", f"{burst.wait_s(0.95):.0f} s / {ratio:.3f}", met

    yield from _held_out(traces)

    ratio, mean_s, _ = _predicted(seeded, Setup(one_shot=True))
    met = ratio <= 1.28 and mean_s <= 14
    yield "predict, used once: cost <= 1.28, mean wait <= 14 s", f"{ratio:.3f} / {mean_s:.1f} s", met

    month = [job for job in seeded[0] if job.arrival_s < 30 * DAY_S]
    taken_s = _cpu_s(lambda: tune(month, Setup()))
    yield f"tune 30 days x {len(family(30))} policies <= 10 s", f"{taken_s:.1f} s", taken_s <= 10
    taken_s = _cpu_s(lambda: learn(Learned(0, 150, 60), seeded[0], 35 * DAY_S))
    yield "learn 35 days <= 0.5 s", f"{taken_s:.2f} s", taken_s <= 0.5


def _predicted(traces: Sequence[Sequence[Job]], setup: Setup) -> tuple[float, float, float]:
    """Cost, mean wait and p95 of the forecast, each as the mean over the traces."""
    results = [replay(jobs, PREDICT, setup, WEEK_S) for jobs in traces]
    ratios = [
        result.instance_s / oracle_s(jobs, setup.boot_s, WEEK_S, one_shot=setup.one_shot)
        for jobs, result in zip(traces, results, strict=True)
    ]
    return fmean(ratios), fmean(each.mean_wait_s for each in results), fmean(each.wait_s(0.95) for each in results)


def _held_out(traces: dict[str, list[Job]]) -> Iterable[Goal]:
    """Tune on the first half of the time, score on the second, against the best of the family in hindsight."""
    print("tuned on the first half, scored on the second: cost with waits / best policy in hindsight")
    for worth in WORTHS:
        setup, ratios = Setup(waiting_value=worth), {}
        for name, jobs in traces.items():
            half_s = (jobs[0].arrival_s + jobs[-1].arrival_s) / 2
            chosen, result = simulate(jobs, parse_policy("tuned"), setup, half_s)
            best = min(replay(jobs, policy, setup, half_s).total_cost_s(worth) for policy in family(worth))
            ratios[name] = result.total_cost_s(worth) / best
            print(f"  w = {worth:3.0f}  {name:17} {chosen!s:11} {ratios[name]:6.3f}")
        mean, worst = sum(ratios.values()) / len(ratios), max(ratios.values())
        met = mean <= 1.03 and worst <= 1.10
        yield f"tuned, w = {worth:.0f}: mean <= 1.03, worst <= 1.10", f"{mean:.3f} / {worst:.3f}", met


def _missed(goals: Iterable[Goal]) -> Iterable[str]:
    lines = list(goals)
    print()
    for goal, figures, met in lines:
        print(f"{'met   ' if met else 'MISSED'}  {goal:55} {figures}")
        if not met:
            yield goal


def _cpu_s(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def _read(name: str) -> list[Job]:
    content = Path(name).read_bytes()
    text = (gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content).decode("utf-8")
    return jobs_of_trace(text.splitlines(keepends=True), name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
