from datetime import timedelta
from itertools import product

import pytest
from support.instances import NOON, a_ready_instance, an_instance
from support.observations import seen_of

from gpuctl.domain.events import EventName
from gpuctl.domain.instance import CloudState, Outcome, Reason, Status
from gpuctl.domain.lifecycle import IllegalTransition, advance, note, provisioning, refreshed, with_facts

LATER = NOON + timedelta(minutes=10)
P, C, R, U, S, T, F = Status
LEGAL = {
    *product((P,), (C, S, T, F)),
    *product((C,), (R, S, T)),
    *product((R,), (U, S, T)),
    *product((U,), (R, S, T)),
    (S, T),
}
PAIRS = [pair for pair in product(Status, Status) if pair[0] is not pair[1]]


@pytest.mark.parametrize(("now", "then"), [pair for pair in PAIRS if pair in LEGAL])
def test_a_legal_step_is_written_into_the_history(now: Status, then: Status) -> None:
    before = an_instance(status=now)
    after = advance(before, then, LATER, Reason.USER, detail="why")
    assert after.status is then
    assert after.updated_at == LATER
    assert [(entry.at, entry.status, entry.reason, entry.detail) for entry in after.history] == [
        (LATER, then, Reason.USER, "why")
    ]


@pytest.mark.parametrize(("now", "then"), [pair for pair in PAIRS if pair not in LEGAL])
def test_any_other_step_is_a_bug_of_the_caller(now: Status, then: Status) -> None:
    with pytest.raises(IllegalTransition):
        advance(an_instance(status=now), then, LATER)


@pytest.mark.parametrize("status", Status)
def test_asking_for_the_present_status_changes_nothing(status: Status) -> None:
    record = an_instance(status=status)
    assert advance(record, status, LATER, Reason.USER) is record


def test_the_reason_for_a_termination_is_given_once() -> None:
    stopping = advance(a_ready_instance(), Status.STOPPING, LATER, Reason.EXPIRED)
    ended = advance(stopping, Status.TERMINATED, LATER, Reason.VANISHED)
    assert ended.reason is Reason.EXPIRED


def test_an_end_freezes_when_it_was_and_closes_the_attempts() -> None:
    ended = advance(a_ready_instance(last_error="x"), Status.TERMINATED, LATER, terminated_at=NOON)
    assert (ended.terminated_at, ended.last_error) == (NOON, None)
    assert [attempt.outcome for attempt in ended.attempts] == [Outcome.ENDED]


def test_a_new_record_begins_with_itself_and_its_first_attempt() -> None:
    assert [entry.event for entry in provisioning(an_instance()).history] == ["provisioning", "attempt"]


def test_a_note_changes_no_status() -> None:
    noted = note(a_ready_instance(), EventName.EXTENDED, LATER, expires_at=LATER)
    assert (noted.status, noted.expires_at, noted.history[-1].event) == (Status.READY, LATER, "extended")


def test_facts_that_are_not_new_change_nothing() -> None:
    record = a_ready_instance()
    assert with_facts(record, LATER, last_error=None) is record


def test_an_instance_that_was_found_gives_its_record_an_id_and_a_launch_time() -> None:
    record = an_instance()
    updated = refreshed(record, seen_of(record, launched_at=LATER, ready=None), LATER)
    assert (updated.status, updated.cloud_id, updated.launched_at) == (Status.CONFIGURING, "i-1", LATER)
    assert updated.attempts[0].outcome is Outcome.CREATED
    assert not updated.id_is_from_create


def test_an_instance_is_ready_when_its_cloud_reports_it_and_not_before() -> None:
    record = an_instance()
    pending = refreshed(record, seen_of(record, ready=False), LATER)
    assert pending.status is Status.CONFIGURING
    ready = refreshed(pending, seen_of(record, ready=True), LATER)
    assert (ready.status, ready.ready_at) == (Status.READY, LATER)


def test_looking_never_takes_stopping_back_and_never_ends_anything() -> None:
    record = a_ready_instance(status=Status.STOPPING)
    assert refreshed(record, seen_of(record), LATER).status is Status.STOPPING
    assert refreshed(a_ready_instance(), seen_of(record, state=CloudState.ENDED), LATER).status is Status.READY


def test_looking_never_moves_a_deadline_or_a_price() -> None:
    record = a_ready_instance()
    looked = refreshed(record, seen_of(record, tags={"gpuctl-expires-at": "20991231t000000z"}), LATER)
    assert (looked.expires_at, looked.price) == (record.expires_at, record.price)


def test_an_instance_stopped_in_the_cloud_keeps_its_status_and_has_a_message() -> None:
    record = a_ready_instance()
    stopped = refreshed(record, seen_of(record, state=CloudState.STOPPED), LATER)
    assert (stopped.status, stopped.status_message) == (Status.READY, "stopped in the cloud")
    assert refreshed(stopped, seen_of(record), LATER).status_message is None


def test_being_seen_again_takes_back_that_it_was_missing() -> None:
    record = a_ready_instance(absent_since=NOON)
    assert refreshed(record, seen_of(record), LATER).absent_since is None


def test_an_ended_record_is_left_as_it_is() -> None:
    record = a_ready_instance(status=Status.TERMINATED)
    assert refreshed(record, seen_of(record), LATER) is record


# what a step changes beside the status


def test_ready_is_dated_the_first_time_only() -> None:
    ready = advance(an_instance(status=Status.CONFIGURING), Status.READY, LATER)
    assert ready.ready_at == LATER
    running = advance(ready, Status.RUNNING, LATER + timedelta(minutes=1))
    again = advance(running, Status.READY, LATER + timedelta(minutes=2))
    assert (running.ready_at, again.ready_at) == (LATER, LATER)


@pytest.mark.parametrize("status", [Status.CONFIGURING, Status.STOPPING, Status.FAILED])
def test_an_instance_that_never_was_ready_has_its_reason(status: Status) -> None:
    assert advance(an_instance(), status, LATER).ready_at is None


def test_a_termination_has_the_time_of_its_confirmation_unless_the_cloud_reports_another() -> None:
    ended = advance(a_ready_instance(absent_since=NOON), Status.TERMINATED, LATER)
    assert (ended.terminated_at, ended.absent_since) == (LATER, None)


def test_a_step_that_is_no_end_leaves_the_end_open() -> None:
    stopping = advance(a_ready_instance(absent_since=NOON, last_error="x"), Status.STOPPING, LATER)
    assert (stopping.terminated_at, stopping.absent_since, stopping.last_error) == (None, NOON, "x")
    assert [attempt.outcome for attempt in stopping.attempts] == [Outcome.CREATED]


def test_an_attempt_that_was_refused_stays_refused_at_the_end() -> None:
    (first,) = an_instance().attempts
    refused = first.model_copy(update={"outcome": Outcome.REFUSED})
    ended = advance(an_instance(attempts=(refused, first)), Status.FAILED, LATER)
    assert ended.attempts == (refused, first.model_copy(update={"outcome": Outcome.ENDED}))


# what looking changes


def test_facts_that_are_new_date_the_record_and_are_no_event() -> None:
    record = a_ready_instance()
    error = with_facts(record, LATER, last_error="x", zone=None)
    assert error == record.with_fields(last_error="x", updated_at=LATER)


def test_everything_the_cloud_reports_of_an_instance_is_taken() -> None:
    record = an_instance(absent_since=NOON, metadata={"a": "1", "b": "1"})
    observed = seen_of(
        record, launched_at=LATER, ready=None, metadata={"b": "2"}, public_ip="192.0.2.7", private_ip="10.7"
    )
    updated = refreshed(record, observed, LATER, from_create=True)
    assert (updated.cloud_id, updated.id_is_from_create, updated.launched_at) == ("i-1", True, LATER)
    assert (updated.zone, updated.public_ip, updated.private_ip) == ("us-east-1a", "192.0.2.7", "10.7")
    assert (updated.metadata, updated.absent_since) == ({"a": "1", "b": "2"}, None)
    assert [(entry.status, entry.detail) for entry in updated.history] == [(Status.CONFIGURING, "i-1")]


def test_looking_replaces_no_id_and_no_launch_time_and_does_not_forget_where_the_id_is_from() -> None:
    record = a_ready_instance()
    looked = refreshed(record, seen_of(record, cloud_id="i-other", launched_at=LATER), LATER)
    assert (looked.cloud_id, looked.id_is_from_create, looked.launched_at) == (record.cloud_id, True, NOON)


def test_a_reported_zone_replaces_the_old_zone_and_a_missing_zone_does_not() -> None:
    record = a_ready_instance(zone="us-east-1b")
    assert refreshed(record, seen_of(record), LATER).zone == "us-east-1a"
    assert refreshed(record, seen_of(record, zone=None), LATER).zone == "us-east-1b"


def test_a_terminated_instance_takes_no_addresses_away_and_stays_missing() -> None:
    record = a_ready_instance(public_ip="192.0.2.7", private_ip="10.7", absent_since=NOON)
    terminated = seen_of(record, state=CloudState.ENDED, public_ip=None, private_ip=None)
    looked = refreshed(record, terminated, LATER)
    assert (looked.public_ip, looked.private_ip, looked.absent_since) == ("192.0.2.7", "10.7", NOON)
    present = refreshed(record, seen_of(record, public_ip=None, private_ip=None), LATER)
    assert (present.public_ip, present.private_ip) == (None, None)


@pytest.mark.parametrize("outcome", Outcome)
def test_only_an_attempt_that_is_open_or_unknown_made_the_instance_that_was_found(outcome: Outcome) -> None:
    (first,) = an_instance().attempts
    before = first.model_copy(update={"outcome": outcome, "detail": "no reply"})
    record = an_instance(attempts=(before,))
    (after,) = refreshed(record, seen_of(record), LATER).attempts
    created = before.model_copy(update={"outcome": Outcome.CREATED, "cloud_id": "i-1", "detail": None})
    assert after == (created if outcome in (Outcome.PENDING, Outcome.UNKNOWN) else before)


def test_a_status_reason_of_others_outlives_a_look() -> None:
    record = a_ready_instance(status_message="slow to come up")
    assert refreshed(record, seen_of(record), LATER).status_message == "slow to come up"


def test_a_new_records_first_attempt_says_what_was_sent_where() -> None:
    record = an_instance()
    assert [entry.detail for entry in provisioning(record).history] == [None, f"{record.id} in us-east-1"]
