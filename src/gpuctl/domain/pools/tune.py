"""Chooses the policy of a pool by replaying its own past against each policy of a family."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

from gpuctl.domain.pools.choice import FALLBACK, Evidence, candidate
from gpuctl.domain.pools.demand import Job
from gpuctl.domain.pools.policy import AUTO, PREDICT, TUNED, Policy, PolicyKind, parse_policy
from gpuctl.domain.pools.replay import Replay, Setup, replay

_FIXED = tuple(map(parse_policy, ("on-demand", "keep:5m", "keep:10m", "keep:30m", "keep:1h", "reactive", "predict")))
# The forecast takes every wait for a whole boot, which is too much where short jobs free instances.
_WORTHS = (0.1, 0.3, 3)
# How much cheaper than the forecast another policy must have been, of 1, divided by the root of the number of jobs.
_DOUBT = 0.8


@dataclass(frozen=True, slots=True)
class Score:
    """What a policy would have cost: instance seconds, waits in seconds, and both in seconds of an instance."""

    policy: Policy
    instance_s: float
    mean_wait_s: float
    p50_wait_s: float
    p95_wait_s: float
    total_cost_s: float


@dataclass(frozen=True, slots=True)
class Tuned:
    """The policy to use, and the scores of the whole family, the cheapest first."""

    policy: Policy
    scores: Sequence[Score]


def shadow(
    jobs: Sequence[Job], policies: Iterable[Policy], setup: Setup, since_s: float | None = None
) -> tuple[Score, ...]:
    """What each policy would have cost from `since_s` on; what came before is for learning. Only finished jobs count.

    The order is that of the policies.
    """
    finished = [job for job in jobs if job.duration_s is not None]
    return tuple(score(policy, replay(finished, policy, setup, since_s), setup) for policy in policies)


def family(waiting_value: float) -> tuple[Policy, ...]:
    """The policies that are compared."""
    worths = (float(f"{factor * waiting_value:.3g}") for factor in _WORTHS)
    return (*_FIXED, *(Policy(PolicyKind.PREDICT, worth=worth) for worth in worths))


def tune(jobs: Sequence[Job], setup: Setup) -> Tuned:
    """The policy that would have cost least; the fallback without jobs.

    With few jobs chance decides which policy looks cheapest, so the forecast stays unless another was clearly cheaper.
    """
    scores = sorted(shadow(jobs, family(setup.waiting_value), setup), key=lambda score: score.total_cost_s)
    if not jobs:
        return Tuned(FALLBACK, scores)
    doubt = 1 + _DOUBT / sqrt(len(jobs))
    chosen = min(scores, key=lambda score: score.total_cost_s * (1 if score.policy == PREDICT else doubt))
    return Tuned(chosen.policy, scores)


def simulate(jobs: Sequence[Job], policy: Policy, setup: Setup, since_s: float | None = None) -> tuple[Policy, Replay]:
    """The replay of a policy, and the policy that `tuned` stands for.

    `tuned` is chosen from what was over at `since_s`; with too little history it is what `auto` would be.
    """
    played = policy
    if policy == TUNED:
        past = _until(jobs, jobs[0].arrival_s if jobs and since_s is None else since_s or 0.0)
        evidence = Evidence(past[-1].arrival_s - past[0].arrival_s if past else 0.0, len(past))
        played = tune(past, setup).policy if evidence.is_enough else candidate(AUTO, None, evidence)
    return played, replay(jobs, played, setup, since_s)


def _until(jobs: Sequence[Job], until_s: float) -> list[Job]:
    return [
        job._replace(duration_s=min(job.duration_s or 0.0, until_s - job.arrival_s))
        for job in jobs
        if job.arrival_s < until_s
    ]


def score(policy: Policy, result: Replay, setup: Setup) -> Score:
    """The figures of one replay."""
    return Score(
        policy,
        result.instance_s,
        result.mean_wait_s,
        result.wait_s(0.5),
        result.wait_s(0.95),
        result.total_cost_s(setup.waiting_value),
    )
