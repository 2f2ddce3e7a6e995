"""Replays small enough to be checked by hand: a boot takes 150 s, a tick comes every minute."""

import pytest

from gpuctl.domain.pools.demand import Job
from gpuctl.domain.pools.policy import parse_policy
from gpuctl.domain.pools.replay import Replay, Setup, oracle_s, replay

DAY = 86_400.0
TWO = [Job(0, 100), Job(400, 100)]


def played(policy: str, jobs: list[Job], since_s: float | None = None, **setup: float) -> Replay:
    return replay(jobs, parse_policy(policy), Setup(**setup), since_s)  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", ["on-demand", "keep:10m", "reactive", "predict", "always:2"])
def test_no_jobs_cost_nothing(policy: str) -> None:
    result = played(policy, [])
    assert (result.instance_s, result.mean_wait_s, result.wait_s(0.95), result.peak) == (0, 0, 0, 0)


def test_the_oracle_pays_the_smaller_of_gap_and_boot() -> None:
    assert oracle_s([Job(0, 100), Job(130, 100)], 150) == 150 + 100 + 30 + 100
    assert oracle_s(TWO, 150) == 150 + 100 + 150 + 100
    assert oracle_s([Job(0, 100), Job(130, 100)], 150, one_shot=True) == 500


def test_the_oracle_uses_the_instance_that_became_idle_last() -> None:
    jobs = [Job(0, 100), Job(0, 200), Job(210, 10)]
    assert oracle_s(jobs, 150) == 2 * 150 + 100 + 200 + 10 + 10


def test_the_oracle_counts_what_happens_from_an_instant_on() -> None:
    assert oracle_s([Job(0, 100), Job(130, 100)], 150, since_s=50) == 50 + 30 + 100


def test_on_demand_boots_for_each_job() -> None:
    result = played("on-demand", TWO)
    assert (list(result.waits_s), result.instance_s, result.peak) == ([150, 150], 500, 1)


def test_keep_serves_the_second_job_at_once() -> None:
    result = played("keep:10m", TWO)
    assert (list(result.waits_s), result.instance_s) == ([0, 150], 500)


def test_keep_terminates_at_the_tick_after_its_time() -> None:
    result = played("keep:2m", [Job(0, 100), Job(1_000, 100)])
    # Idle from 250 on, terminated at the tick at 420.
    assert result.instance_s == 420 + 250


def test_reactive_launches_at_ticks_only() -> None:
    assert list(played("reactive", [Job(10, 100)]).waits_s) == [50 + 150]


def test_always_has_its_instances_from_the_start_and_launches_no_more() -> None:
    result = played("always:1", [Job(0, 100), Job(50, 100)])
    assert (list(result.waits_s), result.instance_s, result.peak) == ([0, 50], 200, 1)


def test_a_job_that_finds_a_boot_under_way_for_another_takes_what_is_free_first() -> None:
    result = played("on-demand", [Job(0, 200), Job(300, 10)])
    # The instance of the first job is free at 350, before the one launched at 300 is ready.
    assert list(result.waits_s) == [50, 150]


def test_never_more_instances_than_the_limit() -> None:
    result = played("on-demand", [Job(0, 100), Job(0, 100), Job(0, 100)], limit=1)
    assert (list(result.waits_s), result.peak) == ([150, 250, 350], 1)
    assert played("always:9", TWO, limit=2).peak == 2


def test_an_instance_that_is_used_once_is_not_kept() -> None:
    result = played("keep:10m", TWO, one_shot=True)
    assert list(result.waits_s) == [150, 150]


def test_only_what_happens_after_the_training_counts() -> None:
    result = played("on-demand", TWO, since_s=200)
    assert (list(result.waits_s), result.instance_s) == ([150], 50 + 250)


def test_a_training_that_lasts_beyond_the_end_leaves_nothing_to_count() -> None:
    result = played("keep:10m", TWO, since_s=10_000)
    assert (list(result.waits_s), result.instance_s, result.peak) == ([], 0, 0)


def test_jobs_without_duration_are_served_too() -> None:
    result = played("on-demand", [Job(0, 0), Job(0, 0)])
    assert (list(result.waits_s), result.instance_s) == ([150, 150], 300)


def test_a_forecast_learns_a_rhythm_and_serves_it_without_waits() -> None:
    jobs = [Job(1_200.0 * number + extra, 60) for number in range(500) for extra in (0, 30, 60)]
    since_s = 1_200.0 * 250
    forecast, on_demand = played("predict", jobs, since_s), played("on-demand", jobs, since_s)
    assert forecast.mean_wait_s < on_demand.mean_wait_s / 3


def test_the_same_replay_gives_the_same_result() -> None:
    assert played("predict", TWO) == played("predict", TWO)


def test_a_budget_that_is_used_up_allows_launches_again_on_the_next_day() -> None:
    jobs = [Job(0, 1_000), Job(2_000, 1_000), Job(90_000, 1_000)]
    result = played("on-demand", jobs, day_limit_s=1_000)
    # The second job waits for midnight, and the third for the midnight after it.
    assert list(result.waits_s) == [150, 2 * DAY + 150 - 90_000, DAY + 150 - 2_000]
    assert played("on-demand", jobs, day_limit_s=1_500).mean_wait_s == 150


def test_a_tiny_budget_and_many_jobs_take_no_time() -> None:
    result = played("predict", [Job(float(number), 60) for number in range(500)], day_limit_s=1, one_shot=True)
    assert result.peak == 1 and result.wait_s(1) > 400 * DAY


def test_the_number_of_instances_changes_when_it_changes() -> None:
    assert list(played("on-demand", TWO).counts) == [(0, 1), (250, 0), (400, 1)]


def test_always_replaces_an_instance_that_was_used_once() -> None:
    result = played("always:1", [Job(0, 100), Job(50, 100)], one_shot=True)
    # Ready again 150 s after the tick at 120.
    assert list(result.waits_s) == [0, 220]
