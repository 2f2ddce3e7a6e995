from datetime import timedelta
from itertools import product

import pytest
from support.instances import NOON, a_ready_instance, an_instance
from support.observations import seen_of

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
    assert [(one.at, one.status, one.reason, one.detail) for one in after.history] == [
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


def test_why_it_is_to_end_is_said_once() -> None:
    stopping = advance(a_ready_instance(), Status.STOPPING, LATER, Reason.EXPIRED)
    ended = advance(stopping, Status.TERMINATED, LATER, Reason.VANISHED)
    assert ended.reason is Reason.EXPIRED


def test_an_end_freezes_when_it_was_and_closes_the_attempts() -> None:
    ended = advance(a_ready_instance(last_error="x"), Status.TERMINATED, LATER, terminated_at=NOON)
    assert (ended.terminated_at, ended.last_error) == (NOON, None)
    assert [one.outcome for one in ended.attempts] == [Outcome.ENDED]


def test_a_new_record_begins_with_itself_and_its_first_attempt() -> None:
    assert [one.event for one in provisioning(an_instance()).history] == ["provisioning", "attempt"]


def test_a_note_changes_no_status() -> None:
    noted = note(a_ready_instance(), "extended", LATER, expires_at=LATER)
    assert (noted.status, noted.expires_at, noted.history[-1].event) == (Status.READY, LATER, "extended")


def test_facts_that_are_not_new_change_nothing() -> None:
    record = a_ready_instance()
    assert with_facts(record, LATER, last_error=None) is record


def test_a_machine_that_was_found_gives_its_record_an_id_and_a_launch_time() -> None:
    record = an_instance()
    taken = refreshed(record, seen_of(record, launched_at=LATER, ready=None), LATER)
    assert (taken.status, taken.cloud_id, taken.launched_at) == (Status.CONFIGURING, "i-1", LATER)
    assert taken.attempts[0].outcome is Outcome.CREATED
    assert not taken.id_is_from_create


def test_a_machine_is_ready_when_its_cloud_says_so_and_not_before() -> None:
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


def test_a_machine_stopped_in_the_cloud_keeps_its_status_and_says_so() -> None:
    record = a_ready_instance()
    stopped = refreshed(record, seen_of(record, state=CloudState.STOPPED), LATER)
    assert (stopped.status, stopped.status_reason) == (Status.READY, "stopped in the cloud")
    assert refreshed(stopped, seen_of(record), LATER).status_reason is None


def test_being_seen_again_takes_back_that_it_was_missing() -> None:
    record = a_ready_instance(absent_since=NOON)
    assert refreshed(record, seen_of(record), LATER).absent_since is None


def test_an_ended_record_is_left_as_it_is() -> None:
    record = a_ready_instance(status=Status.TERMINATED)
    assert refreshed(record, seen_of(record), LATER) is record
