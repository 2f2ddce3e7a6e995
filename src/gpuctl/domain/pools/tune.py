"""Chooses the policy of a pool by replaying its own past against each policy of a family."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gpuctl.domain.pools.choice import FALLBACK
from gpuctl.domain.pools.demand import Job
from gpuctl.domain.pools.policy import Policy, parse_policy
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
