"""Proposes the policy of a pool from its own past, and puts it in force."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from gpuctl.domain.pools.choice import FALLBACK
from gpuctl.domain.pools.events import PoolEvent, PoolEventName
from gpuctl.domain.pools.policy import AUTO, TUNED, parse_policy
from gpuctl.domain.pools.spec import Chosen, Pool
from gpuctl.domain.pools.tune import Score, Tuned, shadow, tune
from gpuctl.errors import NotFoundError, UsageError
from gpuctl.services.pools.past import Past
from gpuctl.services.pools.tools import PoolTools


@dataclass(frozen=True, slots=True)
class Proposal:
    """The policy that is proposed, with its figures.

    `held_out` has the figures of the second half of the time for the policy that the first half proposes, and for the
    fallback; None without jobs in one of the halves.
    """

    tuned: Tuned
    tested: tuple[Score, Score] | None


def propose(past: Past) -> Proposal:
    """Replay the past against each policy. UsageError if there is too little history."""
    if not past.evidence.is_enough:
        raise UsageError(
            f"too little history: {len(past.jobs)} leases; tuning needs 3 days or 50 leases",
            hint="gpuctl pool simulate --trace FILE",
        )
    half_s = (past.jobs[0].arrival_s + past.jobs[-1].arrival_s) / 2
    first = [job for job in past.jobs if job.arrival_s < half_s]
    tested = None
    if first and len(first) < len(past.jobs):
        known = [job._replace(duration_s=min(job.duration_s or 0.0, half_s - job.arrival_s)) for job in first]
        policies = [tune(known, past.setup).policy, FALLBACK]
        policy_score, fallback = shadow(past.jobs, policies, past.setup, half_s)
        tested = (policy_score, fallback)
    return Proposal(tune(past.jobs, past.setup), tested)


def apply_policy(tools: PoolTools, name: str, tuned: Tuned) -> Pool:
    """The pool with that policy as its chosen one; its setting becomes `tuned` unless it is `auto`.

    NotFoundError if the pool was deleted in the meantime.
    """
    now = tools.now()
    chosen = Chosen(policy=str(tuned.policy), at=now, figures=_figures(tuned.scores))

    def changed(present: Pool | None) -> Pool | None:
        if present is None:
            raise NotFoundError(f"no pool is named `{name}`", hint="gpuctl pool list")
        wanted = parse_policy(present.policy)
        setting = present.policy if wanted in (AUTO, TUNED) else str(TUNED)
        return present.with_fields(chosen=chosen, policy=setting, updated_at=now)

    pool = tools.pools.change(name, changed)
    if pool is None:
        raise NotFoundError(f"no pool is named `{name}`", hint="gpuctl pool list")
    tools.append(name, [PoolEvent(at=now, event=PoolEventName.CHANGED, detail=f"tuned: {tuned.policy}")])
    return pool


def dollars_of(seconds: float, price: Decimal) -> Decimal:
    """What so many seconds of an instance cost."""
    return Decimal(seconds) / 3_600 * price


def _figures(scores: Sequence[Score]) -> dict[str, float]:
    return {str(score.policy): round(score.total_cost_s, 1) for score in scores}
