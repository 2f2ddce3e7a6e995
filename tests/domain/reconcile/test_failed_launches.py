"""What is decided about a record whose first instance could not be started, and about that instance."""

from datetime import timedelta
from typing import Any

import pytest
from support.instances import NOON, a_ready_instance, an_instance
from support.observations import SCOPE, STATE, seen_of

from gpuctl.domain.instance import (
    CloudState,
    Instance,
    LaunchRefusal,
    Observed,
    Outcome,
    Reason,
    Status,
)
from gpuctl.domain.lifecycle import IllegalTransition, attempted, launch_failed
from gpuctl.domain.reconcile.actions import Action, ActionKind, Rules, View
from gpuctl.domain.reconcile.evidence import launch_failure
from gpuctl.domain.reconcile.plan import plan
from gpuctl.errors import Code

MINUTE = timedelta(minutes=1)
REFUSAL = LaunchRefusal(code=Code.CAPACITY, text="no capacity")


def starting(**facts: Any) -> Instance:
    return a_ready_instance(**({"status": Status.CONFIGURING, "ready_at": None, "cloud_id": "i-1"} | facts))


def ended(record: Instance, **facts: Any) -> Observed:
    return seen_of(record, **({"cloud_id": "i-1", "state": CloudState.ENDED, "refusal": REFUSAL} | facts))


def with_second_attempt(first: Observed) -> Instance:
    """The record as it is on disk between the failure of the first instance and the reply to the second create."""
    over = launch_failed(starting(), first, "no capacity", NOON + MINUTE)
    second = over.attempts[0].model_copy(
        update={"number": 2, "token": f"{over.id}-2", "at": NOON + MINUTE, "outcome": Outcome.PENDING, "cloud_id": None}
    )
    return attempted(over, second, NOON + MINUTE)


def decided(record: Instance, *observed: Observed, **facts: Any) -> list[Action]:
    now = NOON + 2 * MINUTE
    return plan([record], View(**({"now": now, "listed": {SCOPE: now}, "observed": observed} | facts)), Rules(STATE))


def test_the_first_instance_never_closes_the_record_of_the_second_attempt() -> None:
    first = ended(starting())
    record = with_second_attempt(first)
    assert [action.kind for action in decided(record, first, by_id={record.id: None})] == [ActionKind.WAIT]


def test_the_second_instance_is_adopted_beside_the_first_one() -> None:
    first = ended(starting())
    record = with_second_attempt(first)
    second = seen_of(record, cloud_id="i-2", launched_at=NOON + MINUTE)
    (action,) = decided(record, first, second)
    assert (action.kind, action.observed) == (ActionKind.ADOPT, second)


def test_a_failed_first_instance_that_still_exists_is_terminated_and_never_adopted() -> None:
    first = ended(starting(), state=CloudState.FAILED)
    record = with_second_attempt(first)
    actions = decided(record, first, by_id={record.id: None})
    assert [(action.kind, action.observed, action.reason) for action in actions] == [
        (ActionKind.WAIT, None, None),
        (ActionKind.TERMINATE, first, Reason.REFUSED),
    ]


def test_what_is_left_of_the_first_attempt_stays_an_attempt_with_leftovers() -> None:
    over = launch_failed(starting(), ended(starting(), state=CloudState.FAILED), "no capacity", NOON)
    assert [(attempt.outcome, attempt.cloud_id) for attempt in over.leftover_attempts] == [(Outcome.LEFTOVERS, "i-1")]
    assert (over.status, over.cloud_id, over.launched_at) == (Status.PROVISIONING, None, None)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.CONFIGURING])
def test_only_an_instance_that_is_starting_can_fail_to(status: Status) -> None:
    record = starting(status=status)
    assert launch_failure(record, ended(record)) is None
    with pytest.raises(IllegalTransition):
        launch_failed(record, ended(record), "no capacity", NOON)


@pytest.mark.parametrize(
    ("facts", "fails"),
    [
        ({}, True),
        ({"state": CloudState.FAILED}, True),
        ({"state": CloudState.RUNNING}, False),
        ({"refusal": None}, False),
        ({"refusal": None, "end_reason": Reason.INTERRUPTED}, True),
        ({"refusal": None, "end_reason": Reason.IDLE}, False),
    ],
)
def test_a_launch_failed_where_the_provider_says_why(facts: dict[str, Any], fails: bool) -> None:
    record = starting()
    assert (launch_failure(record, ended(record, **facts)) is not None) is fails


def test_an_instance_that_came_up_did_not_fail_to_start() -> None:
    record = starting(booted_at=NOON)
    assert launch_failure(record, ended(record)) is None


def test_another_instance_than_the_records_says_nothing() -> None:
    with pytest.raises(IllegalTransition):
        launch_failed(an_instance(status=Status.CONFIGURING, cloud_id="i-2"), ended(starting()), "x", NOON)
