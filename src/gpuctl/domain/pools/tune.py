"""Chooses the policy of a pool by replaying its own past against each policy of a family."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gpuctl.domain.pools.choice import FALLBACK, Evidence, candidate
from gpuctl.domain.pools.demand import Job
from gpuctl.domain.pools.policy import AUTO, TUNED, Policy, parse_policy
from gpuctl.domain.pools.replay import Replay, Setup, replay

FAMILY = tuple(
    map(
        parse_policy,
        ("on-demand", "keep:5m", "keep:10m", "keep:30m", "keep:60m", "reactive", "predict", "predict:10"),
    )
)


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
    """The cheapest policy, and the scores of the whole family, the cheapest first."""

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


def tune(jobs: Sequence[Job], setup: Setup, family: Sequence[Policy] = FAMILY) -> Tuned:
    """The policy of the family that would have cost least; the fallback without jobs. Of equals, the first."""
    scores = sorted(shadow(jobs, family, setup), key=lambda score: score.total_cost_s)
    return Tuned(scores[0].policy if jobs else FALLBACK, scores)


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
