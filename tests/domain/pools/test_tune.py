"""Tuning by replay."""

from gpuctl.domain.pools.demand import Job
from gpuctl.domain.pools.policy import parse_policy
from gpuctl.domain.pools.replay import Setup
from gpuctl.domain.pools.tune import family, shadow, tune

RARE = [Job(40_000.0 * number, 600) for number in range(60)]
CLOSE = [Job(700.0 * number, 300) for number in range(400)]


def test_jobs_that_are_far_apart_are_served_on_demand() -> None:
    assert str(tune(RARE, Setup(waiting_value=1)).policy) == "on-demand"


def test_jobs_that_follow_each_other_are_served_by_kept_instances() -> None:
    tuned = tune(CLOSE, Setup(waiting_value=30))
    assert tuned.scores[0].p50_wait_s == 0


def test_the_scores_are_in_order_of_cost() -> None:
    costs = [score.total_cost_s for score in tune(CLOSE, Setup()).scores]
    assert costs == sorted(costs) and len(costs) == len(family(30))


def test_with_few_jobs_the_forecast_stays_unless_another_policy_was_clearly_cheaper() -> None:
    def choice(count: int) -> tuple[str, float]:
        tuned = tune([Job(7_000.0 * number, 6_000) for number in range(count)], Setup(waiting_value=2))
        costs = {str(score.policy): score.total_cost_s for score in tuned.scores}
        return str(tuned.policy), costs["predict"] / min(costs.values())

    (few, excess), (many, _) = choice(60), choice(1_000)
    assert (few, many) == ("predict", "on-demand") and 1.02 < excess < 1.1


def test_without_jobs_the_fallback_is_chosen() -> None:
    assert str(tune([], Setup()).policy) == "on-demand"


def test_jobs_that_still_run_do_not_count() -> None:
    policies = [parse_policy("on-demand")]
    assert shadow([*RARE, Job(9e9, None)], policies, Setup()) == shadow(RARE, policies, Setup())
