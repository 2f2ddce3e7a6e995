"""A forecast has to earn its place."""

import pytest

from gpuctl.domain.pools.choice import Evidence, policy_in_force
from gpuctl.domain.pools.policy import parse_policy

DAY = 86_400.0
AUTO, KEEP = parse_policy("auto"), parse_policy("keep:10m")


@pytest.mark.parametrize(
    ("history_s", "leases", "policy"),
    [(0, 0, "on-demand"), (3 * DAY - 1, 49, "on-demand"), (3 * DAY, 1, "predict"), (60, 50, "predict")],
)
def test_the_forecast_is_the_default_with_enough_history(history_s: float, leases: int, policy: str) -> None:
    assert str(policy_in_force(AUTO, None, Evidence(history_s, leases)).policy) == policy


def test_a_policy_set_by_the_user_stays_in_force_whatever_it_cost() -> None:
    evidence = Evidence(30 * DAY, 500, recent_cost=900, fallback_cost=100)
    assert policy_in_force(KEEP, None, evidence).policy == KEEP


@pytest.mark.parametrize("setting", ["auto", "tuned"])
def test_what_tune_chose_is_in_force(setting: str) -> None:
    assert policy_in_force(parse_policy(setting), KEEP, Evidence(0, 0)).policy == KEEP


def test_tuned_without_a_choice_is_auto() -> None:
    assert str(policy_in_force(parse_policy("tuned"), None, Evidence(4 * DAY, 0)).policy) == "predict"


@pytest.mark.parametrize("chosen", [None, KEEP])
@pytest.mark.parametrize(("recent", "falls_back"), [(105.0, False), (105.1, True)])
def test_it_falls_back_when_its_last_week_cost_over_five_percent_more(
    chosen: object, recent: float, falls_back: bool
) -> None:
    evidence = Evidence(30 * DAY, 500, recent_cost=recent, fallback_cost=100)
    in_force = policy_in_force(AUTO, chosen, evidence)  # type: ignore[arg-type]
    assert (str(in_force.policy) == "on-demand") == falls_back
    assert ("5 % more than `on-demand`" in in_force.reason) == falls_back


def test_it_does_not_fall_back_on_figures_that_are_missing() -> None:
    assert policy_in_force(AUTO, KEEP, Evidence(30 * DAY, 500, recent_cost=900)).policy == KEEP
