"""What proves that an instance is gone and when it ended, and which instance is the one a record means."""

from datetime import datetime, timedelta

import pytest
from support.instances import NOON, a_ready_instance, an_instance
from support.observations import STATE, ours, seen_of

from gpuctl.domain.instance import CloudState, Instance, LaunchRefusal, Observed, Reason, Status
from gpuctl.domain.reconcile.evidence import Proof, absence_proves, end_of, is_the_same_instance
from gpuctl.errors import Code

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
DEADLINE = NOON + 60 * MINUTE
GUARDED = DEADLINE + 2 * MINUTE


def tagged(record: Instance, *left: str) -> Observed:
    """The record's instance with these of its tags left, launched another time than the record says."""
    tags = {key: value for key, value in ours(record).items() if key in left}
    return seen_of(record, tags=tags, launched_at=NOON + SECOND)


def ended(record: Instance, at: datetime | None = None, reason: Reason | None = None) -> Observed:
    return seen_of(record, state=CloudState.ENDED, ended_at=at, end_reason=reason)


# the same instance


def test_an_instance_found_by_tag_must_carry_the_records_id_and_the_state() -> None:
    record = an_instance()
    assert is_the_same_instance(record, tagged(record, "gpuctl-id", "gpuctl-state"), STATE)
    assert not is_the_same_instance(record, tagged(record, "gpuctl-state"), STATE)
    assert not is_the_same_instance(record, tagged(record, "gpuctl-id"), STATE)
    assert not is_the_same_instance(record, seen_of(record, tags=ours(an_instance("inst-000000000002"))), STATE)


def test_half_of_our_tags_is_no_proof_where_the_launch_time_is_another() -> None:
    record = a_ready_instance()
    assert is_the_same_instance(record, tagged(record, "gpuctl-id", "gpuctl-state"), STATE)
    assert not is_the_same_instance(record, tagged(record, "gpuctl-id"), STATE)
    assert not is_the_same_instance(record, tagged(record, "gpuctl-state"), STATE)


def test_two_unknown_launch_times_are_not_equal() -> None:
    record = a_ready_instance(launched_at=None)
    observed = seen_of(record, tags={}).model_copy(update={"launched_at": None})
    assert not is_the_same_instance(record, observed, STATE)


# shown as ended


def test_an_end_that_the_cloud_dates_is_no_estimate() -> None:
    record = a_ready_instance(absent_since=NOON + MINUTE)
    proof = end_of(record, ended(record, NOON + 9 * MINUTE), NOON + 20 * MINUTE)
    assert proof == Proof(NOON + 9 * MINUTE, False, Reason.VANISHED, Status.TERMINATED)


@pytest.mark.parametrize(
    ("absent_since", "now", "estimated"),
    [
        (NOON + MINUTE, NOON + 20 * MINUTE, NOON + MINUTE),
        (None, NOON + 20 * MINUTE, NOON + 20 * MINUTE),
        (None, None, NOON + 7 * MINUTE),
    ],
    ids=["first missed", "now", "last change of the record"],
)
def test_an_undated_end_is_estimated_by_the_earliest_that_is_known(
    absent_since: datetime | None, now: datetime | None, estimated: datetime
) -> None:
    record = a_ready_instance(absent_since=absent_since, updated_at=NOON + 7 * MINUTE)
    assert end_of(record, ended(record), now) == Proof(estimated, True, Reason.VANISHED)


def test_no_estimated_termination_is_before_the_launch() -> None:
    record = a_ready_instance(launched_at=NOON + 3 * MINUTE, absent_since=NOON + MINUTE)
    assert end_of(record, ended(record), None).ended_at == NOON + 3 * MINUTE
    unknown = an_instance(absent_since=NOON + MINUTE)
    assert end_of(unknown, ended(unknown), None).ended_at == NOON + MINUTE


def test_no_estimated_termination_is_later_than_the_guard() -> None:
    record = a_ready_instance()
    assert end_of(record, ended(record), GUARDED + SECOND).ended_at == GUARDED
    assert end_of(record, ended(record), GUARDED - SECOND).ended_at == GUARDED - SECOND


# why


def test_our_own_request_is_the_reason_of_a_termination_before_the_clouds_reason() -> None:
    record = a_ready_instance(reason=Reason.USER)
    assert end_of(record, ended(record, DEADLINE, Reason.INTERRUPTED), None).reason is Reason.USER


def test_else_the_clouds_own_reason_else_the_deadline() -> None:
    record = a_ready_instance()
    assert end_of(record, ended(record, DEADLINE, Reason.INTERRUPTED), None).reason is Reason.INTERRUPTED
    assert end_of(record, ended(record, DEADLINE), None).reason is Reason.EXPIRED
    assert end_of(record, ended(record, DEADLINE - SECOND), None).reason is Reason.VANISHED


# missing


def missing(record: Instance, now: datetime | None) -> Proof | None:
    return absence_proves(record, listed_at=NOON + 20 * MINUTE, now=now)


def test_without_the_clouds_clock_absence_proves_nothing() -> None:
    record = a_ready_instance(absent_since=NOON)
    assert missing(record, None) is None
    assert missing(record, NOON + 20 * MINUTE) == Proof(NOON, True, Reason.VANISHED)


def test_an_attempt_that_created_nothing_failed_and_was_never_an_instance() -> None:
    record = an_instance(absent_since=NOON)
    assert missing(record, NOON + 15 * MINUTE - SECOND) is None
    proof = missing(record, NOON + 15 * MINUTE)
    assert proof == Proof(NOON + 20 * MINUTE, False, Reason.ABANDONED, Status.FAILED)


def test_an_instance_whose_id_is_known_was_there_even_if_its_launch_is_unknown() -> None:
    record = an_instance(absent_since=NOON, cloud_id="i-1")
    assert missing(record, NOON + 20 * MINUTE) == Proof(NOON + 20 * MINUTE, False, Reason.VANISHED, Status.TERMINATED)


def test_a_termination_requested_before_any_instance_was_observed_keeps_its_reason() -> None:
    record = an_instance(absent_since=NOON, status=Status.STOPPING, reason=Reason.CANCELLED)
    proof = missing(record, NOON + 20 * MINUTE)
    assert proof == Proof(NOON + 20 * MINUTE, False, Reason.CANCELLED, Status.TERMINATED)


# why it ended


def test_an_instance_that_its_cloud_ended_before_it_was_ready_was_refused_and_later_it_vanished() -> None:
    refusal = LaunchRefusal(code=Code.CAPACITY, text="none left")
    starting, ready = an_instance(cloud_id="i-1"), a_ready_instance()
    for record, reason in ((starting, Reason.REFUSED), (ready, Reason.VANISHED)):
        observed = seen_of(record, state=CloudState.ENDED, refusal=refusal)
        assert end_of(record, observed, NOON + MINUTE).reason is reason


def test_a_terminated_instance_without_tags_belongs_to_the_record_by_its_id_unless_its_tags_are_foreign() -> None:
    record = a_ready_instance(id_is_from_create=False)
    terminated = seen_of(record, state=CloudState.ENDED, tags={}, launched_at=NOON + SECOND)
    assert is_the_same_instance(record, terminated, STATE)
    assert not is_the_same_instance(record, terminated.model_copy(update={"tags": {"gpuctl-state": "other"}}), STATE)
    assert not is_the_same_instance(record, terminated.model_copy(update={"cloud_id": "i-2"}), STATE)
    assert not is_the_same_instance(record, terminated.model_copy(update={"state": CloudState.RUNNING}), STATE)
