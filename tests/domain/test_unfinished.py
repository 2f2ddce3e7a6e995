"""Work that its process left: what is continued, by whom, and that it never runs twice at once."""

from datetime import timedelta
from typing import Any

import pytest
from support.instances import NOON, an_instance

from gpuctl.domain.instance import Instance, Market, Reason, Status
from gpuctl.domain.lifecycle import advance
from gpuctl.domain.unfinished import (
    Here,
    TakenOverError,
    claimed,
    goes_on,
    is_driven,
    latest_of,
    left_alone,
    obstacle_of,
    others_of,
    over,
    refuse_second_run,
    unfinished,
)
from gpuctl.domain.work import Driver, TimedWork, WorkPlan

HOUR = timedelta(hours=1)
LAPTOP = Here("laptop-id", "laptop", {"HF_TOKEN"}, "ssh-ed25519 A")


def plan(**facts: Any) -> WorkPlan:
    return WorkPlan(**{"command": ("true",), "computer": "laptop-id", "host": "laptop", "request": {}, **facts})


def work(**facts: Any) -> TimedWork:
    known = {"begun": NOON, "finish_by": NOON + 6 * HOUR, "duration": HOUR, "source": "--work", "id": "w1"}
    return TimedWork(**{**known, "plan": plan(), **facts})


def record(number: int = 1, **facts: Any) -> Instance:
    """An instance of the work, created that many minutes after noon."""
    created = NOON + timedelta(minutes=number)
    own = {"created_at": created, "market": Market.SPOT, "timed_work": work()}
    return an_instance(
        f"inst-{number:012}", **{**own, "ssh_key": "ssh-ed25519 A", "expires_at": NOON + 2 * HOUR, **facts}
    )


def ended(reason: Reason, number: int = 1, **facts: Any) -> Instance:
    return record(number, status=Status.TERMINATED, reason=reason, terminated_at=NOON + HOUR, **facts)


def driven(by: str, until: timedelta, **facts: Any) -> Instance:
    return record(timed_work=work(driver=Driver(holder=by, until=NOON + until)), **facts)


@pytest.mark.parametrize(
    ("over_because", "continues"),
    [
        (Reason.INTERRUPTED, True),
        (Reason.VANISHED, True),
        (Reason.TIMEOUT, True),
        (Reason.CANCELLED, True),
        (Reason.EXPIRED, True),
        (Reason.USER, False),
        (Reason.BUDGET, False),
        (Reason.IDLE, False),
    ],
)
def test_work_goes_on_after_a_loss_and_not_after_a_person_or_a_budget_ended_it(
    over_because: Reason, continues: bool
) -> None:
    assert goes_on(ended(over_because), NOON + HOUR) is continues


def test_work_does_not_go_on_after_its_deadline_nor_when_it_is_over() -> None:
    lost = ended(Reason.INTERRUPTED)
    assert not goes_on(lost, NOON + 6 * HOUR)
    assert not goes_on(over(lost, NOON, 0, "the command exited with 0"), NOON + HOUR)


def test_an_instance_with_a_ttl_of_the_users_is_not_replaced_when_it_expires() -> None:
    fixed = work(plan=plan(has_fixed_ttl=True))
    assert not goes_on(ended(Reason.EXPIRED, timed_work=fixed), NOON + HOUR)


def test_only_the_newest_record_of_each_work_counts() -> None:
    first, second = ended(Reason.INTERRUPTED), ended(Reason.USER, 2)
    assert unfinished([second, first], NOON + HOUR) == []
    assert latest_of([second, first], "w1") is second
    other = ended(Reason.INTERRUPTED, 3, timed_work=work(id="w2"))
    assert unfinished([second, first, other], NOON + HOUR) == [other]


def test_a_driver_keeps_others_away_until_its_time_is_over_or_it_is_known_to_be_gone() -> None:
    taken = driven("laptop process 7", timedelta(minutes=5))
    server = Driver(holder="server process 9", until=NOON + HOUR)
    assert is_driven(taken, NOON, lambda holder: False)
    with pytest.raises(TakenOverError, match="laptop process 7 does the work"):
        claimed(taken, server, NOON, lambda holder: False)
    for now, is_gone in ((NOON + timedelta(minutes=5), False), (NOON, True)):
        mine = claimed(taken, server, now, lambda holder, is_gone=is_gone: is_gone)  # type: ignore[misc]
        assert mine.timed_work is not None and mine.timed_work.driver == server
    with pytest.raises(TakenOverError, match="is over"):
        claimed(over(taken, NOON, None, "given up"), server, NOON + HOUR, lambda holder: True)


def test_who_leaves_the_work_lets_others_continue_after_the_pause() -> None:
    left = left_alone(driven("me", HOUR), "me", NOON, NOON + timedelta(minutes=5))
    assert is_driven(left, NOON, lambda holder: False)
    assert not is_driven(left, NOON + timedelta(minutes=5), lambda holder: False)
    others = driven("another", HOUR)
    assert left_alone(others, "me", NOON, NOON) is others


def test_no_second_instance_is_admitted_while_a_command_may_run() -> None:
    admit = refuse_second_run("w1", "me", record().id)
    mine = work(driver=Driver(holder="me", until=NOON + HOUR))
    running = advance(record(timed_work=mine, status=Status.READY), Status.RUNNING, NOON)
    with pytest.raises(TakenOverError, match="may still run"):
        admit([running, record(2)])
    stopping = advance(running, Status.STOPPING, NOON, Reason.EXPIRED)
    with pytest.raises(TakenOverError, match="may still run"):
        admit([stopping, record(2)])
    admit([advance(stopping, Status.TERMINATED, NOON), record(2)])
    # Nothing runs on an instance that was ready too late.
    late = advance(record(timed_work=mine, status=Status.READY), Status.STOPPING, NOON, Reason.TIMEOUT)
    admit([late, record(2)])


def test_of_two_processes_that_saw_the_same_loss_only_the_driver_starts_an_instance() -> None:
    lost = ended(Reason.INTERRUPTED, timed_work=work(driver=Driver(holder="me", until=NOON + HOUR)))
    refuse_second_run("w1", "me", lost.id)([lost, record(2)])
    with pytest.raises(TakenOverError):
        refuse_second_run("w1", "another", lost.id)([lost, record(2)])
    newer = ended(Reason.TIMEOUT, 2, timed_work=work(driver=Driver(holder="me", until=NOON + HOUR)))
    with pytest.raises(TakenOverError):
        refuse_second_run("w1", "me", lost.id)([lost, newer, record(3)])


@pytest.mark.parametrize(
    ("facts", "here", "text"),
    [
        ({"obstacle": "its command was not stored"}, LAPTOP, "not stored"),
        ({"uploads": (("/data", "data"),)}, Here("other", "server", (), "ssh-ed25519 A"), "its files are on `laptop`"),
        ({"variables": ("HF_TOKEN", "KEY")}, LAPTOP, "KEY (from --env) must be set"),
        ({}, Here("other", "server", (), "ssh-ed25519 B"), "SSH key of `laptop`"),
        ({"uploads": (("/data", "data"),), "variables": ("HF_TOKEN",)}, LAPTOP, None),
    ],
)
def test_a_computer_says_what_it_lacks_to_continue(facts: dict[str, Any], here: Here, text: str | None) -> None:
    obstacle = obstacle_of(record(timed_work=work(plan=plan(**facts))), here)
    assert obstacle is None if text is None else text in (obstacle or "")


def test_another_computer_continues_a_lost_instance_with_its_own_key() -> None:
    assert obstacle_of(ended(Reason.INTERRUPTED), Here("other", "server", (), "ssh-ed25519 B")) is None


def test_a_move_admits_a_second_instance_that_then_counts_and_a_refused_move_does_not() -> None:
    driven_by_me = work(driver=Driver(holder="me", until=NOON + HOUR))
    on_demand = advance(record(timed_work=driven_by_me, status=Status.READY), Status.RUNNING, NOON)
    refuse_second_run("w1", "me", on_demand.id, moves=True)([on_demand, record(2)])
    with pytest.raises(TakenOverError, match="may still run"):
        refuse_second_run("w1", "me", on_demand.id, moves=True)([record(0, status=Status.READY), on_demand, record(2)])
    spot = record(2, status=Status.READY)
    assert latest_of([on_demand, spot], "w1") is spot
    assert others_of([on_demand, spot], spot) == [on_demand]
    refused = record(2, status=Status.FAILED, reason=Reason.REFUSED, terminated_at=NOON + timedelta(minutes=10))
    assert latest_of([on_demand, refused], "w1") is on_demand
    done = advance(on_demand, Status.TERMINATED, NOON + HOUR, Reason.USER)
    assert latest_of([done, refused], "w1") is done
    assert unfinished([done, refused], NOON + HOUR) == []
