"""The counted excess."""

import json
import random

import pytest

from gpuctl.domain.pools.demand import Job, jobs_from_samples, steps
from gpuctl.domain.pools.forecast import Learned, expected_excess, learn, learned_from, learned_shape, spares
from gpuctl.domain.pools.policy import parse_policy

DAY = 86_400.0


def learner(at_s: float = 0.0) -> Learned:
    return Learned(at_s, boot_s=150, tick_s=60)


def busy_days(days: float, seed: int = 1) -> list[Job]:
    chance = random.Random(seed)
    at_s, jobs = 0.0, []
    while at_s < days * DAY:
        at_s += chance.expovariate(1 / 200)
        jobs.append(Job(at_s, chance.expovariate(1 / 700)))
    return jobs


def test_nothing_is_held_before_anything_was_learned() -> None:
    assert expected_excess(learner(), 30) == 0


def test_nothing_is_held_where_demand_never_rose() -> None:
    assert spares(parse_policy("predict"), learn(learner(), [], 3 * DAY), 30) == 0


def test_a_pair_of_jobs_every_three_minutes_needs_two_spares() -> None:
    jobs = [Job(180.0 * number + extra, 30) for number in range(2_000) for extra in (1, 2)]
    assert spares(parse_policy("predict"), learn(learner(), jobs, 180.0 * 1_900), 30) == 2


def test_more_valuable_waiting_never_holds_fewer() -> None:
    learned = learn(learner(), busy_days(5), 5 * DAY)
    held = [expected_excess(learned, value) for value in (0.1, 1, 10, 30, 100, 1_000)]
    assert held == sorted(held) and held[0] == 0 < held[-1]


def test_a_policy_with_a_value_of_its_own_ignores_that_of_the_pool() -> None:
    learned = learn(learner(), busy_days(5), 5 * DAY)
    assert spares(parse_policy("predict:100"), learned, 1) == expected_excess(learned, 100)


def test_other_policies_hold_nothing_and_always_holds_its_number() -> None:
    learned = learn(learner(), busy_days(2), 2 * DAY)
    assert [spares(parse_policy(text), learned, 30) for text in ("on-demand", "keep:10m", "reactive")] == [0, 0, 0]
    assert spares(parse_policy("always:4"), learned, 30) == 4


def test_learning_in_parts_gives_the_same_as_learning_at_once() -> None:
    jobs = busy_days(3)
    at_once = learn(learner(), jobs, 3 * DAY)
    in_parts = learner()
    for hour in range(1, 73):
        in_parts = learn(in_parts, jobs, hour * 3_600.0)
    assert learned_shape(in_parts) == learned_shape(at_once)


def test_learning_leaves_the_earlier_counters_as_they_were() -> None:
    jobs = busy_days(2)
    first = learn(learner(), jobs, DAY)
    before = json.dumps(learned_shape(first))
    learn(first, jobs, 2 * DAY)
    assert json.dumps(learned_shape(first)) == before


def test_the_counters_survive_json_and_stay_small() -> None:
    learned = learn(learner(), busy_days(35), 35 * DAY)
    text = json.dumps(learned_shape(learned))
    assert len(text) < 20_000
    assert learned_from(json.loads(text)) == learned


@pytest.mark.parametrize("shape", [{}, {"version": 1}, {"version": 99}, {"version": 1, "counts": [], "untilS": 0}])
def test_unreadable_counters_are_a_value_error(shape: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="counters"):
        learned_from(shape)


def test_years_without_a_job_are_skipped_and_counted() -> None:
    jobs = [Job(10.0, 30), Job(20 * 365 * DAY, 30)]
    learned = learn(learner(), jobs, 20 * 365 * DAY + 600)
    assert learned.counts[()].ticks > 10_000_000
    assert learned.counts[()].by_excess[1] == 4


def test_skipping_quiet_ticks_changes_no_count() -> None:
    chance, at_s, jobs = random.Random(0), 0.0, []
    for _ in range(6):
        # At the instants of ticks, where one more tick belongs to the job.
        at_s += 60 * chance.randrange(1, 3000)
        jobs.append(Job(at_s, chance.choice([5.0, 100.0, 2000.0])))
    skipped, stepped = learn(learner(), jobs, at_s + DAY), learner()
    while stepped.until_s < at_s + DAY:
        # Three ticks are too few to skip any.
        stepped = learn(stepped, jobs, min(stepped.until_s + 180, at_s + DAY))
    assert skipped.counts == stepped.counts


def test_samples_of_a_queue_become_jobs() -> None:
    assert jobs_from_samples([(0, 2), (60, 3), (120, 1), (180, 0)]) == (
        Job(0, 120), Job(0, 120), Job(60, 120),
    )  # fmt: skip
    assert jobs_from_samples([(0, 1)]) == (Job(0, None),)
    assert jobs_from_samples([]) == ()


def test_a_job_that_still_runs_has_no_end() -> None:
    assert [step.change for step in steps([Job(0, None), Job(5, 10, wait_s=2)])] == [1, 1, -1]
    assert steps([Job(5, 10, wait_s=2)])[-1].at_s == 17
