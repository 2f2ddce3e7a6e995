"""What policies would have cost with the past of a pool."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from gpuctl.domain.instance import Instance
from gpuctl.domain.pools.choice import FALLBACK, RECENT_S, Evidence, RecentCosts
from gpuctl.domain.pools.demand import Job
from gpuctl.domain.pools.policy import Policy, waiting_value
from gpuctl.domain.pools.replay import Setup
from gpuctl.domain.pools.spec import Pool, Reuse
from gpuctl.domain.pools.tune import shadow
from gpuctl.services.pools.boot import TICK_S, boot_seconds
from gpuctl.services.pools.history import jobs_of
from gpuctl.services.pools.tools import PoolTools

LEARNS_FROM = timedelta(days=35)

_COMPARED_EVERY_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Past:
    """The jobs of a pool, in order of arrival, and what a replay of them assumes."""

    jobs: tuple[Job, ...]
    setup: Setup

    @property
    def evidence(self) -> Evidence:
        """How much history there is."""
        length_s = self.jobs[-1].arrival_s - self.jobs[0].arrival_s if self.jobs else 0.0
        return Evidence(length_s, len(self.jobs))


def past_of(
    tools: PoolTools, pool: Pool, records: Sequence[Instance], price: Decimal | None, span: timedelta = LEARNS_FROM
) -> Past:
    """The past of the pool as far back as that. `price` is dollars an hour for an instance, None if unknown."""
    now = tools.now()
    jobs = jobs_of(tools.pools.history(pool.name, now - span), now)
    setup = Setup(
        boot_seconds(records, pool.name),
        TICK_S,
        waiting_value(pool.wait_cost, price),
        pool.max,
        pool.reuse is Reuse.NEVER,
    )
    return Past(jobs, setup)


def recent_costs(
    tools: PoolTools, pool: Pool, records: Sequence[Instance], price: Decimal | None, policy: Policy
) -> RecentCosts:
    """What the policy and the fallback would have cost in the last 7 days, compared once an hour.

    Without 7 days of history both are None.
    """
    now_s = tools.now().timestamp()
    stored = tools.forecasts.read_costs(pool.name)
    if stored is not None and stored.policy == str(policy) and 0 <= now_s - stored.at_s < _COMPARED_EVERY_S:
        return stored
    past, since_s = past_of(tools, pool, records, price), now_s - RECENT_S
    costs = RecentCosts(now_s, str(policy))
    if past.jobs and past.jobs[0].arrival_s <= since_s:
        policy_score, fallback = shadow(past.jobs, [policy, FALLBACK], past.setup, since_s)
        costs = RecentCosts(now_s, str(policy), policy_score.total_cost_s, fallback.total_cost_s)
    tools.forecasts.write_costs(pool.name, costs)
    return costs
