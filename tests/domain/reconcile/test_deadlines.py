"""Whose deadline is in force where two copies of one state exist: the record's, or the one in the instance's tags."""

from datetime import datetime, timedelta

import pytest
from support.instances import NOON, a_ready_instance
from support.observations import SCOPE, STATE, ours, seen_of

from gpuctl.domain.instance import CloudState, Instance, Observed, Reason, Status
from gpuctl.domain.reconcile.actions import ActionKind, Rules, View
from gpuctl.domain.reconcile.deadlines import (
    extended,
    extended_by_tags,
    lacks_granted_deadline,
    with_unconfirmed,
    without_unconfirmed,
)
from gpuctl.domain.reconcile.plan import plan
from gpuctl.domain.tags import deadline_tag

MINUTE = timedelta(minutes=1)
RULES = Rules(STATE)
DEADLINE, LATER = NOON + 60 * MINUTE, NOON + 90 * MINUTE


def tagged(record: Instance, expires_at: datetime | str, **facts: object) -> Observed:
    """The record's instance, with that deadline in its tags."""
    text = expires_at if isinstance(expires_at, str) else deadline_tag(expires_at)
    return seen_of(record, tags=ours(record) | {"gpuctl-expires-at": text}, **facts)


def decided(record: Instance, observed: Observed, now: datetime = DEADLINE) -> list[ActionKind]:
    view = View(now=now, listed={SCOPE: now}, observed=(observed,))
    return [action.kind for action in plan([record], view, RULES)]


def test_an_instance_that_another_copy_extended_is_not_terminated_before_its_new_deadline() -> None:
    record = a_ready_instance()
    assert decided(record, tagged(record, LATER)) == [ActionKind.REFRESH]
    assert decided(record, tagged(record, LATER), LATER - timedelta(seconds=1)) == [ActionKind.REFRESH]
    assert decided(record, tagged(record, LATER), LATER) == [ActionKind.REFRESH, ActionKind.TERMINATE]


def test_the_new_deadline_goes_with_the_action_and_into_the_record() -> None:
    record = a_ready_instance()
    view = View(now=DEADLINE, listed={SCOPE: DEADLINE}, observed=(tagged(record, LATER),))
    (action,) = plan([record], view, RULES)
    moved = extended(record, action.extended_to, DEADLINE)
    assert (moved.expires_at, moved.history[-1].event) == (LATER, "extended")
    assert extended(moved, action.extended_to, DEADLINE) is moved


@pytest.mark.parametrize("tag", [DEADLINE, DEADLINE - MINUTE, "", "soon", "20261331t000000z"])
def test_a_tag_that_is_no_later_or_cannot_be_read_moves_nothing(tag: datetime | str) -> None:
    record = a_ready_instance()
    assert decided(record, tagged(record, tag)) == [ActionKind.REFRESH, ActionKind.TERMINATE]


def test_a_deadline_further_ahead_than_extend_grants_on_any_computer_moves_nothing() -> None:
    record = a_ready_instance()
    most = DEADLINE + timedelta(days=7)
    assert extended_by_tags(record, tagged(record, most), RULES, DEADLINE) == most
    assert extended_by_tags(record, tagged(record, most + timedelta(seconds=1)), RULES, DEADLINE) is None


def test_tags_lack_a_deadline_that_was_granted_here_and_is_in_force() -> None:
    granted = a_ready_instance(expires_at=LATER, granted_deadline=LATER)
    assert lacks_granted_deadline(granted, tagged(granted, DEADLINE))
    assert not lacks_granted_deadline(granted, tagged(granted, LATER))
    assert not lacks_granted_deadline(granted, tagged(granted, LATER + MINUTE))
    assert not lacks_granted_deadline(granted, tagged(granted, ""))
    assert not lacks_granted_deadline(granted, None)
    from_tags = granted.with_fields(granted_deadline=DEADLINE)
    assert not lacks_granted_deadline(from_tags, tagged(from_tags, DEADLINE))
    stopping = granted.with_fields(status=Status.STOPPING, reason=Reason.USER)
    assert not lacks_granted_deadline(stopping, tagged(stopping, DEADLINE))


def test_without_the_time_of_the_provider_no_tag_moves_a_deadline() -> None:
    record = a_ready_instance()
    assert extended_by_tags(record, tagged(record, LATER), RULES, None) is None


@pytest.mark.parametrize(
    "tags", [{"gpuctl-id": "inst-zzzzzzzzzzzz"}, {"gpuctl-state": "another-state"}, {"gpuctl-state": ""}]
)
def test_the_tags_of_another_record_or_state_move_nothing(tags: dict[str, str]) -> None:
    record = a_ready_instance()
    observed = tagged(record, LATER)
    forged = observed.model_copy(update={"tags": observed.tags | tags})
    assert extended_by_tags(record, forged, RULES, DEADLINE) is None


def test_the_tags_of_another_or_an_ended_instance_move_nothing() -> None:
    record = a_ready_instance()
    assert extended_by_tags(record, tagged(record, LATER, cloud_id="i-other"), RULES, DEADLINE) is None
    assert extended_by_tags(record, tagged(record, LATER, state=CloudState.ENDED), RULES, DEADLINE) is None
    assert extended_by_tags(record, None, RULES, DEADLINE) is None


def test_a_deadline_that_this_state_sent_and_did_not_grant_does_not_count() -> None:
    record = with_unconfirmed(a_ready_instance(), LATER, NOON)
    assert decided(record, tagged(record, LATER)) == [ActionKind.REFRESH, ActionKind.TERMINATE]
    assert decided(record, tagged(record, LATER + MINUTE)) == [ActionKind.REFRESH]
    assert extended(record, LATER, DEADLINE) is record


def test_a_deadline_is_unconfirmed_once_however_often_it_is_sent() -> None:
    record = a_ready_instance()
    twice = with_unconfirmed(with_unconfirmed(record, LATER, NOON), LATER, NOON)
    assert twice.unconfirmed_deadlines == (LATER,)
    assert without_unconfirmed(twice, LATER, NOON).unconfirmed_deadlines == ()


@pytest.mark.parametrize("status", [Status.STOPPING, Status.TERMINATED])
def test_an_instance_that_is_ending_keeps_its_deadline(status: Status) -> None:
    record = a_ready_instance(status=status, reason=Reason.USER)
    assert extended(record, LATER, DEADLINE) is record
