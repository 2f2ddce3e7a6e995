"""Which policy a pool follows now: a forecast has to earn its place, and loses it when it costs more than it saves."""

from dataclasses import dataclass

from gpuctl.domain.pools.policy import AUTO, ON_DEMAND, PREDICT, TUNED, Policy

ENOUGH_HISTORY_S = 3 * 86_400
ENOUGH_LEASES = 50
RECENT_S = 7 * 86_400
TOLERATED = 1.05
FALLBACK = ON_DEMAND


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a pool when its policy is chosen.

    The costs are those of the last 7 days, instances and waits together (`Score.total_cost_s`), of the policy that
    would be in force and of the fallback; None where they were not computed.
    """

    history_s: float
    leases: int
    recent_cost: float | None = None
    fallback_cost: float | None = None

    @property
    def is_enough(self) -> bool:
        """Whether there is enough history for a forecast."""
        return self.history_s >= ENOUGH_HISTORY_S or self.leases >= ENOUGH_LEASES


@dataclass(frozen=True, slots=True)
class InForce:
    """The policy in force, and the reason in a few words."""

    policy: Policy
    reason: str


@dataclass(frozen=True, slots=True)
class RecentCosts:
    """What a policy and the fallback would have cost in the 7 days before `at_s`; None with less history."""

    at_s: float
    policy: str
    cost: float | None = None
    fallback_cost: float | None = None


def candidate(wanted: Policy, chosen: Policy | None, evidence: Evidence) -> Policy:
    """The policy that would be in force if it costs no more than the fallback; compute its recent cost first."""
    if wanted not in (AUTO, TUNED):
        return wanted
    if chosen is not None:
        return chosen
    return PREDICT if evidence.is_enough else FALLBACK


def policy_in_force(wanted: Policy, chosen: Policy | None, evidence: Evidence) -> InForce:
    """The policy that the pool follows.

    `wanted` is its setting: any policy other than `auto` and `tuned` is in force as it is. `chosen` is what
    `pool tune --apply` saved.
    """
    policy = candidate(wanted, chosen, evidence)
    if policy == wanted:
        return InForce(policy, "set by you")
    if chosen is None and not evidence.is_enough:
        return InForce(policy, f"fewer than 3 days and fewer than {ENOUGH_LEASES} leases of history")
    costs = (evidence.recent_cost, evidence.fallback_cost)
    if costs[0] is not None and costs[1] is not None and costs[0] > TOLERATED * costs[1]:
        more = f"{(costs[0] / costs[1] - 1) * 100:.0f} % more" if costs[1] else "more"
        return InForce(FALLBACK, f"`{policy}` cost {more} than `{FALLBACK}` in the last 7 days")
    return InForce(policy, "chosen by `gpuctl pool tune`" if chosen is not None else "default with enough history")
