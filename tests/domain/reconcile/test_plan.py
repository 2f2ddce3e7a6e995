"""Every row of what the reaper may and may not do, as a sentence."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from support.instances import NOON, a_ready_instance, an_instance
from support.observations import SCOPE, STATE, ours, seen_of, view_of

from gpuctl.domain.instance import CloudState, Instance, Observed, Reason, Status
from gpuctl.domain.reconcile.actions import Action, ActionKind, Rules, View
from gpuctl.domain.reconcile.deadlines import UNREAD_GRACE
from gpuctl.domain.reconcile.plan import plan, records_to_query

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
IN_TIME, LATE = NOON + 30 * MINUTE, NOON + 60 * MINUTE
RULES = Rules(STATE)


def view(*observed: Observed, now: datetime | None = IN_TIME, **facts: Any) -> View:
    return view_of(*observed, now=now, **facts)


def unlisted(now: datetime | None = LATE, **facts: Any) -> View:
    """The listing failed."""
    return View(now=now, listed={}, observed=(), unreachable={SCOPE: "no answer"}, **facts)


def decided(record: Instance, view: View, rules: Rules = RULES) -> list[tuple[ActionKind, Reason | None]]:
    return [(action.kind, action.reason) for action in plan([record], view, rules) if action.record is not None]


def about_strangers(*actions: Action) -> list[ActionKind]:
    return [action.kind for action in actions if action.record is None]


def gone(record: Instance, now: datetime, **facts: Any) -> View:
    """Missing from this complete listing, and unknown when asked for by itself."""
    return view(now=now, by_id={record.id: None}, **facts)


# live, in time


def test_an_active_instance_before_its_deadline_is_only_refreshed() -> None:
    record = a_ready_instance()
    assert decided(record, view(seen_of(record))) == [(ActionKind.REFRESH, None)]


def test_an_instance_stopped_in_the_cloud_still_expires_at_its_deadline() -> None:
    record = a_ready_instance()
    assert (ActionKind.TERMINATE, Reason.EXPIRED) in decided(
        record, view(seen_of(record, state=CloudState.STOPPED), now=LATE)
    )


# ended


def created_elsewhere(record: Instance, launched_at: datetime) -> View:
    return view(seen_of(record, cloud_id="i-2", launched_at=launched_at), now=NOON + 40 * MINUTE)


def test_an_instance_that_another_copy_created_after_the_record_ended_here_runs_to_its_deadline() -> None:
    failed = an_instance(status=Status.FAILED)
    assert decided(failed, created_elsewhere(failed, NOON + 15 * MINUTE)) == [(ActionKind.REPORT, None)]
    late = view(seen_of(failed, cloud_id="i-2", launched_at=NOON + 15 * MINUTE), now=LATE)
    assert decided(failed, late) == [(ActionKind.TERMINATE, Reason.ORPHAN)]


def test_an_instance_that_our_own_create_may_have_made_is_terminated_as_soon_as_its_record_has_ended() -> None:
    failed = an_instance(status=Status.FAILED)
    assert decided(failed, created_elsewhere(failed, NOON + 14 * MINUTE)) == [(ActionKind.TERMINATE, Reason.ORPHAN)]
    closed = a_ready_instance(status=Status.TERMINATED)
    again = view(seen_of(closed, launched_at=NOON + 20 * MINUTE), now=NOON + 40 * MINUTE)
    assert decided(closed, again) == [(ActionKind.TERMINATE, Reason.ORPHAN)]


# live, past its deadline, or STOPPING


def test_an_instance_is_terminated_at_its_deadline_and_not_a_second_before() -> None:
    record = a_ready_instance()
    assert (ActionKind.TERMINATE, Reason.EXPIRED) not in decided(record, view(seen_of(record), now=LATE - SECOND))
    assert (ActionKind.TERMINATE, Reason.EXPIRED) in decided(record, view(seen_of(record), now=LATE))


def test_termination_of_a_stopping_instance_is_requested_without_limit() -> None:
    record = a_ready_instance(status=Status.STOPPING, reason=Reason.USER, deleted_by_us_at=NOON)
    assert (ActionKind.TERMINATE, Reason.USER) in decided(record, view(seen_of(record), now=NOON + MINUTE))
    actions = plan([record], view(seen_of(record), now=NOON + 31 * MINUTE), RULES)
    assert [action.unresolved for action in actions if action.kind is ActionKind.TERMINATE] == [True]


def test_an_instance_that_its_cloud_could_not_start_is_terminated() -> None:
    record = a_ready_instance(status=Status.CONFIGURING)
    assert (ActionKind.TERMINATE, Reason.REFUSED) in decided(record, view(seen_of(record, state=CloudState.FAILED)))


def test_without_the_clouds_clock_no_deadline_is_enforced_and_a_message_reports_it() -> None:
    record = a_ready_instance()
    actions = plan([record], view(seen_of(record), now=None), RULES)
    assert ActionKind.TERMINATE not in [action.kind for action in actions]
    assert any(action.unresolved for action in actions)


def test_without_the_clouds_clock_a_requested_termination_continues() -> None:
    record = a_ready_instance(status=Status.STOPPING, reason=Reason.USER)
    assert (ActionKind.TERMINATE, Reason.USER) in decided(record, view(seen_of(record), now=None))


# live, proven gone


def test_an_instance_shown_as_terminated_is_closed_at_the_clouds_own_time() -> None:
    record = a_ready_instance()
    observed = seen_of(record, state=CloudState.ENDED, ended_at=NOON + 20 * MINUTE)
    (action,) = plan([record], view(observed), RULES)
    assert (action.kind, action.proof and action.proof.ended_at) == (ActionKind.CLOSE, NOON + 20 * MINUTE)
    assert action.proof and action.proof.reason is Reason.VANISHED
    assert not action.proof.is_estimate


def test_an_instance_terminated_after_its_deadline_expired() -> None:
    record = a_ready_instance()
    observed = seen_of(record, state=CloudState.ENDED, ended_at=LATE + 2 * MINUTE)
    (action,) = plan([record], view(observed, now=LATE + 9 * MINUTE), RULES)
    assert action.proof and action.proof.reason is Reason.EXPIRED


def test_an_interrupted_instance_says_so() -> None:
    record = a_ready_instance()
    observed = seen_of(record, state=CloudState.ENDED, ended_at=NOON, end_reason=Reason.INTERRUPTED)
    (action,) = plan([record], view(observed), RULES)
    assert action.proof and action.proof.reason is Reason.INTERRUPTED


def test_twice_absent_and_unknown_by_id_is_proof() -> None:
    record = a_ready_instance(absent_since=IN_TIME - 60 * SECOND)
    (action,) = plan([record], gone(record, IN_TIME), RULES)
    assert action.kind is ActionKind.CLOSE
    assert action.proof and (action.proof.ended_at, action.proof.is_estimate) == (IN_TIME - 60 * SECOND, True)


def test_twice_absent_within_a_minute_is_not() -> None:
    record = a_ready_instance(absent_since=IN_TIME - 59 * SECOND)
    assert decided(record, gone(record, IN_TIME)) == [(ActionKind.WAIT, None)]


def test_absent_for_the_first_time_is_not() -> None:
    record = a_ready_instance()
    assert decided(record, gone(record, IN_TIME)) == [(ActionKind.WAIT, None)]


def test_absent_within_five_minutes_of_launch_is_not() -> None:
    record = a_ready_instance(absent_since=NOON)
    assert decided(record, gone(record, NOON + 5 * MINUTE - SECOND)) == [(ActionKind.WAIT, None)]
    assert decided(record, gone(record, NOON + 5 * MINUTE)) == [(ActionKind.CLOSE, Reason.VANISHED)]


def test_absence_from_listings_without_a_query_by_id_is_not_confirmed_and_reported() -> None:
    record = a_ready_instance(absent_since=NOON)
    (action,) = plan([record], view(now=IN_TIME), RULES)
    assert (action.kind, action.unresolved) == (ActionKind.WAIT, True)


def test_absent_from_the_listings_but_known_by_id_is_there() -> None:
    record = a_ready_instance(absent_since=NOON)
    requested = view(now=IN_TIME, by_id={record.id: seen_of(record)})
    assert decided(record, requested) == [(ActionKind.REFRESH, None)]


def test_only_what_a_complete_listing_lacked_is_requested_by_id() -> None:
    present, lost, closed = (
        a_ready_instance("inst-000000000001"),
        a_ready_instance("inst-000000000002"),
        a_ready_instance("inst-000000000003", status=Status.TERMINATED),
    )
    assert records_to_query([present, lost, closed], view(seen_of(present)), RULES) == [lost]
    assert records_to_query([present, lost], unlisted(IN_TIME), RULES) == []


def test_an_unobserved_termination_is_not_later_than_the_guard() -> None:
    record = a_ready_instance(absent_since=LATE + 60 * MINUTE)
    (action,) = plan([record], gone(record, LATE + 70 * MINUTE), RULES)
    assert action.proof and (action.proof.ended_at, action.proof.reason) == (LATE + 2 * MINUTE, Reason.EXPIRED)


def test_an_expired_instance_missing_from_the_listing_is_terminated_by_the_id_our_create_returned() -> None:
    record = a_ready_instance()
    late = LATE + UNREAD_GRACE
    assert (ActionKind.TERMINATE, Reason.EXPIRED) in decided(record, gone(record, late))
    adopted = a_ready_instance(id_is_from_create=False)
    assert ActionKind.TERMINATE not in [kind for kind, _ in decided(adopted, gone(adopted, late))]


# listing failed


def test_a_listing_that_failed_closes_nothing() -> None:
    record = a_ready_instance(absent_since=NOON)
    actions = plan([record], unlisted(now=IN_TIME), RULES)
    assert [(action.kind, action.unresolved) for action in actions] == [(ActionKind.REPORT, True)]


def test_an_expired_instance_in_a_region_that_was_not_listed_is_queried_by_id_and_terminated() -> None:
    record = a_ready_instance()
    assert records_to_query([record], unlisted(), RULES) == [record]
    queried = unlisted(by_id={record.id: seen_of(record)})
    assert decided(record, queried) == [(ActionKind.REFRESH, None), (ActionKind.TERMINATE, Reason.EXPIRED)]


def test_an_expired_instance_whose_tags_cannot_be_read_is_terminated_by_id_a_quarter_of_an_hour_later() -> None:
    record, late = a_ready_instance(), LATE + UNREAD_GRACE
    (waits, _) = plan([record], unlisted(late - SECOND), RULES)
    assert (waits.kind, waits.unresolved) == (ActionKind.WAIT, True)
    assert decided(record, unlisted(late)) == [(ActionKind.TERMINATE, Reason.EXPIRED)]
    assert decided(a_ready_instance(id_is_from_create=False), unlisted(late)) == []


def test_stopping_in_an_unlisted_region_is_queried_by_id_only_if_our_create_returned_it() -> None:
    stopping = {"status": Status.STOPPING, "reason": Reason.USER}
    assert decided(a_ready_instance(**stopping), unlisted(now=IN_TIME)) == [(ActionKind.TERMINATE, Reason.USER)]
    assert decided(a_ready_instance(**stopping, id_is_from_create=False), unlisted(now=IN_TIME)) == []


def test_a_place_that_was_not_looked_at_is_left_alone() -> None:
    record = a_ready_instance(region="eu-west-1")
    assert plan([record], view(now=LATE), RULES) == []


# PROVISIONING and STOPPING without an id


def test_a_young_attempt_that_is_not_seen_is_waited_for() -> None:
    record = an_instance(absent_since=NOON)
    assert decided(record, gone(record, NOON + 15 * MINUTE - SECOND)) == [(ActionKind.WAIT, None)]


def test_an_attempt_found_under_our_tag_gives_its_id() -> None:
    record = an_instance()
    assert decided(record, view(seen_of(record))) == [(ActionKind.ADOPT, None)]


def test_an_old_attempt_confirmed_absent_was_abandoned() -> None:
    record = an_instance(absent_since=NOON + 10 * MINUTE)
    (action,) = plan([record], gone(record, NOON + 15 * MINUTE), RULES)
    assert action.proof and (action.proof.status, action.proof.reason) == (Status.FAILED, Reason.ABANDONED)


def test_an_old_attempt_absent_only_once_is_not_given_up() -> None:
    record = an_instance()
    assert decided(record, gone(record, NOON + 16 * MINUTE)) == [(ActionKind.WAIT, None)]


def test_stopping_without_an_id_is_terminated_when_observed_and_closed_when_confirmed_absent() -> None:
    record = an_instance(status=Status.STOPPING, reason=Reason.USER, absent_since=NOON)
    assert decided(record, view(seen_of(record))) == [(ActionKind.REFRESH, None), (ActionKind.TERMINATE, Reason.USER)]
    (action,) = plan([record], gone(record, NOON + 15 * MINUTE), RULES)
    assert action.proof and (action.proof.status, action.proof.reason) == (Status.TERMINATED, Reason.USER)


def test_an_instance_with_our_record_tag_of_another_state_does_not_belong_to_it() -> None:
    record = an_instance()
    forged = seen_of(record, tags=ours(record, "another-state"))
    assert decided(record, view(forged, by_id={record.id: None})) == [(ActionKind.WAIT, None)]


def test_an_instance_of_another_state_queried_by_tag_does_not_belong_to_the_record() -> None:
    record = an_instance()
    forged = seen_of(record, tags=ours(record, "another-state"))
    assert decided(record, view(by_id={record.id: forged})) == [(ActionKind.REPORT, None)]


# has id X, and Y carries its tag


def test_a_second_instance_under_the_same_tag_is_an_orphan_and_never_taken_over_the_first() -> None:
    record = a_ready_instance()
    double = seen_of(record, cloud_id="i-double")
    in_time = plan([record], view(seen_of(record), double), RULES)
    assert [(action.kind, action.unresolved) for action in in_time if action.record is None] == [
        (ActionKind.REPORT, True)
    ]
    late = plan([record], view(seen_of(record), double, now=LATE), RULES)
    assert [(action.kind, action.reason) for action in late if action.record is None] == [
        (ActionKind.TERMINATE, Reason.ORPHAN)
    ]


# whose is it


@pytest.mark.parametrize(
    "tags", [{"gpuctl-id": "inst-zzzzzzzzzzzz"}, {"gpuctl-state": "another-state"}], ids=["id", "state"]
)
def test_an_instance_that_carries_a_foreign_tag_is_reported_and_never_touched(tags: dict[str, str]) -> None:
    record = a_ready_instance()
    observed = seen_of(record, tags=ours(record) | tags)
    actions = plan([record], view(observed, now=LATE), RULES)
    assert {action.kind for action in actions} == {ActionKind.REPORT}
    assert actions[0].unresolved


def test_an_instance_whose_tags_are_gone_stays_ours_if_its_launch_time_is() -> None:
    record = a_ready_instance()
    assert (ActionKind.TERMINATE, Reason.EXPIRED) in decided(
        record, view(now=LATE, by_id={record.id: seen_of(record, tags={})})
    )
    other = view(now=LATE, by_id={record.id: seen_of(record, tags={}, launched_at=NOON + SECOND)})
    assert decided(record, other) == [(ActionKind.REPORT, None)]


def test_an_adopted_instance_without_tags_is_no_longer_ours() -> None:
    record = a_ready_instance(id_is_from_create=False)
    assert decided(record, view(now=LATE, by_id={record.id: seen_of(record, tags={})})) == [(ActionKind.REPORT, None)]


# closed


def test_an_active_instance_whose_record_is_closed_is_terminated() -> None:
    record = a_ready_instance(status=Status.TERMINATED)
    assert decided(record, view(seen_of(record))) == [(ActionKind.TERMINATE, Reason.ORPHAN)]
    failed = an_instance(status=Status.FAILED)
    assert decided(failed, view(seen_of(failed))) == [(ActionKind.TERMINATE, Reason.ORPHAN)]


def test_a_closed_record_with_a_terminated_instance_needs_no_action() -> None:
    record = a_ready_instance(status=Status.TERMINATED)
    assert plan([record], view(seen_of(record, state=CloudState.ENDED)), RULES) == []


# in no record


def stranger(**facts: Any) -> Observed:
    record = a_ready_instance("inst-stranger0001", cloud_id="i-stranger")
    return seen_of(record, **facts)


def test_an_orphan_of_ours_past_its_deadline_is_terminated() -> None:
    (action,) = plan([], view(stranger(), now=LATE), RULES)
    assert (action.kind, action.reason) == (ActionKind.TERMINATE, Reason.ORPHAN)


def test_an_orphan_younger_than_a_quarter_of_an_hour_is_waited_for() -> None:
    young = stranger(launched_at=LATE - 15 * MINUTE)
    assert about_strangers(*plan([], view(young, now=LATE), RULES)) == [ActionKind.WAIT]


def test_an_instance_of_ours_before_its_deadline_is_adopted() -> None:
    assert about_strangers(*plan([], view(stranger()), RULES)) == [ActionKind.ADOPT]


def test_a_listed_states_orphan_is_terminated_a_quarter_of_an_hour_past_its_deadline_and_never_adopted() -> None:
    record = a_ready_instance("inst-stranger0001", cloud_id="i-stranger")
    theirs = seen_of(record, tags=ours(record, "ci-state"))
    rules = Rules(STATE, frozenset({"ci-state"}))
    assert about_strangers(*plan([], view(theirs), rules)) == [ActionKind.WAIT]
    assert about_strangers(*plan([], view(theirs, now=LATE + 15 * MINUTE - SECOND), rules)) == [ActionKind.WAIT]
    assert about_strangers(*plan([], view(theirs, now=LATE + 15 * MINUTE), rules)) == [ActionKind.TERMINATE]


def test_an_instance_of_another_state_is_reported_only() -> None:
    record = a_ready_instance("inst-stranger0001", cloud_id="i-stranger")
    (action,) = plan([], view(seen_of(record, tags=ours(record, "another-state")), now=LATE), RULES)
    assert (action.kind, action.unresolved) == (ActionKind.REPORT, False)


@pytest.mark.parametrize(
    "odd",
    [
        {"gpuctl-expires-at": "soon"},
        {"gpuctl-expires-at": ""},
        {"gpuctl-id": "inst-SHOUTING0001"},
        {"gpuctl-id": "i-1"},
    ],
)
def test_an_instance_of_ours_with_unreadable_tags_is_reported_and_never_terminated(odd: dict[str, str]) -> None:
    observed = stranger()
    (action,) = plan([], view(observed.model_copy(update={"tags": observed.tags | odd}), now=LATE), RULES)
    assert (action.kind, action.unresolved) == (ActionKind.REPORT, True)


def test_no_more_orphans_are_terminated_in_one_run_than_allowed() -> None:
    many = [seen_of(a_ready_instance(f"inst-stranger000{number}", cloud_id=f"i-{number}")) for number in range(5)]
    actions = plan([], view(*many, now=LATE), Rules(STATE, max_orphans=3))
    assert [action.kind for action in actions] == [ActionKind.TERMINATE] * 3 + [ActionKind.REPORT] * 2
    assert [action.unresolved for action in actions] == [False] * 3 + [True] * 2


def test_without_the_clouds_clock_no_orphan_is_terminated() -> None:
    (action,) = plan([], view(stranger(), now=None), RULES)
    assert (action.kind, action.unresolved) == (ActionKind.REPORT, True)


def test_a_terminated_foreign_instance_needs_no_action() -> None:
    assert plan([], view(stranger(state=CloudState.ENDED), now=LATE), RULES) == []
