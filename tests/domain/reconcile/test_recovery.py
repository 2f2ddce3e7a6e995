"""Two copies of a record, a deadline on an instance, and the plan of a state that was put back."""

from datetime import timedelta

import pytest
from support.instances import NOON, a_ready_instance, an_instance
from support.observations import seen_of

from gpuctl.domain.instance import CloudState, Instance, Observed, Outcome, Reason, Scope, Status
from gpuctl.domain.lifecycle import advance, attempted, launch_failed
from gpuctl.domain.reconcile.actions import Action, ActionKind
from gpuctl.domain.reconcile.recovery import confirmed_by_tags, merged, with_deadline_of
from gpuctl.domain.tags import EXPIRES_AT, deadline_tag

MINUTE = timedelta(minutes=1)
MAX_TTL = timedelta(hours=2)
SCOPE = Scope(provider=an_instance().provider, account="123456789012", region="us-east-1")

LIVE = a_ready_instance()
STOPPING = a_ready_instance(status=Status.STOPPING)
ENDED = a_ready_instance(status=Status.TERMINATED)


@pytest.mark.parametrize(("record", "other"), [(ENDED, STOPPING), (ENDED, LIVE), (STOPPING, LIVE)])
def test_terminated_outranks_stopping_and_stopping_outranks_active(record: Instance, other: Instance) -> None:
    newer = other.with_fields(updated_at=NOON + MINUTE)
    assert merged(record, newer).status is record.status
    assert merged(newer, record).status is record.status


def test_the_copy_with_the_last_attempt_says_where_the_instance_may_be() -> None:
    """A process was interrupted in its second attempt, and saved the record as it was in the first one."""
    over = an_instance(status=Status.CONFIGURING, cloud_id="i-1")
    over = launch_failed(over, seen_of(over, cloud_id="i-1", state=CloudState.FAILED), "no capacity", NOON)
    second = over.attempts[0].model_copy(
        update={"number": 2, "region": "us-west-2", "outcome": Outcome.PENDING, "cloud_id": None}
    )
    record = attempted(over, second, NOON)
    for cloud_id in (None, "i-1"):
        rescued = advance(an_instance(cloud_id=cloud_id), Status.STOPPING, NOON + MINUTE, Reason.CANCELLED)
        for merged_record in (merged(rescued, record), merged(record, rescued)):
            assert (merged_record.status, merged_record.reason) == (Status.STOPPING, Reason.CANCELLED)
            assert (merged_record.region, merged_record.cloud_id, merged_record.attempts) == (
                "us-west-2",
                None,
                record.attempts,
            )
            assert merged_record.history == (*record.history, rescued.history[-1])
            assert [attempt.cloud_id for attempt in merged_record.leftover_attempts] == ["i-1"]


def test_the_cloud_id_of_an_earlier_attempt_is_not_taken_for_that_of_the_last_one() -> None:
    older = an_instance(status=Status.CONFIGURING, cloud_id="i-1")
    over = launch_failed(older, seen_of(older, cloud_id="i-1", state=CloudState.ENDED), "no capacity", NOON)
    record = attempted(over, over.attempts[0].model_copy(update={"number": 2, "outcome": Outcome.PENDING}), NOON)
    assert merged(record, older.with_fields(updated_at=NOON + MINUTE)).cloud_id is None


def test_of_two_that_stand_alike_the_newer_is_the_record() -> None:
    newer = LIVE.with_fields(user="ben", updated_at=NOON + MINUTE)
    assert merged(LIVE, newer).user == merged(newer, LIVE).user == "ben"


def test_the_later_deadline_counts_while_active_and_a_terminated_record_keeps_its_own() -> None:
    later = LIVE.with_fields(expires_at=LIVE.expires_at + MINUTE)
    assert merged(LIVE, later).expires_at == later.expires_at
    assert merged(STOPPING, later).expires_at == later.expires_at
    assert merged(ENDED, later).expires_at == ENDED.expires_at


def test_no_cloud_id_is_lost_and_whose_it_is_stays_known() -> None:
    nameless = an_instance(status=Status.STOPPING)
    merged_record = merged(nameless, LIVE)
    assert (merged_record.status, merged_record.cloud_id, merged_record.id_is_from_create) == (
        Status.STOPPING,
        LIVE.cloud_id,
        True,
    )
    by_tag = STOPPING.with_fields(id_is_from_create=False)
    assert merged(by_tag, LIVE).id_is_from_create
    other = STOPPING.with_fields(cloud_id="i-other", id_is_from_create=False)
    assert not merged(other, LIVE).id_is_from_create


def moved(by: timedelta, record: Instance = LIVE) -> Instance:
    observed = seen_of(record)
    tags = {**observed.tags, EXPIRES_AT: deadline_tag(record.expires_at + by)}
    return with_deadline_of(record, observed.model_copy(update={"tags": tags}), NOON)


def test_a_later_deadline_in_the_tags_is_taken_and_an_earlier_deadline_is_not() -> None:
    assert moved(20 * MINUTE).expires_at == LIVE.expires_at + 20 * MINUTE
    assert moved(20 * MINUTE).history[-1].event == "extended"
    assert moved(-20 * MINUTE) == LIVE
    assert moved(timedelta(0)) == LIVE


def test_no_tag_extends_an_instance_beyond_max_ttl() -> None:
    assert moved(timedelta(days=400)).expires_at == NOON + MAX_TTL


def test_a_tag_that_cannot_be_read_and_a_record_that_is_closed_move_nothing() -> None:
    observed = seen_of(LIVE, tags={**seen_of(LIVE).tags, EXPIRES_AT: "tomorrow"})
    assert with_deadline_of(LIVE, observed, NOON) == LIVE
    assert moved(20 * MINUTE, ENDED) == ENDED


def test_a_restored_state_enforces_no_deadline_that_has_not_passed_in_the_tags_and_says_so() -> None:
    due = Action(ActionKind.TERMINATE, SCOPE, LIVE, seen_of(LIVE), Reason.EXPIRED)
    orphan = Action(ActionKind.TERMINATE, SCOPE, None, seen_of(LIVE), Reason.ORPHAN)
    before = LIVE.expires_at - MINUTE
    for action in confirmed_by_tags([due, orphan], before):
        assert (action.kind, action.reason, action.unresolved) == (ActionKind.REPORT, None, True)
    assert confirmed_by_tags([due, orphan], LIVE.expires_at) == [due, orphan]


@pytest.mark.parametrize(
    "observed",
    [None, seen_of(LIVE, tags={}), seen_of(LIVE, tags={EXPIRES_AT: deadline_tag(LIVE.expires_at + 20 * MINUTE)})],
    ids=["not seen", "no tags", "extended"],
)
def test_a_deadline_that_the_tags_of_a_restored_record_do_not_confirm_is_not_enforced(
    observed: Observed | None,
) -> None:
    due = Action(ActionKind.TERMINATE, SCOPE, LIVE, observed, Reason.EXPIRED)
    (action,) = confirmed_by_tags([due], LIVE.expires_at + MINUTE)
    assert action.kind is ActionKind.REPORT
    assert confirmed_by_tags([due], None)[0].kind is ActionKind.REPORT


def test_a_tag_that_no_extension_writes_delays_the_end_once_and_not_with_every_run() -> None:
    once = moved(timedelta(days=400))
    observed = seen_of(
        LIVE, tags={**seen_of(LIVE).tags, EXPIRES_AT: deadline_tag(LIVE.expires_at + timedelta(days=400))}
    )
    later = once.expires_at + MINUTE
    assert with_deadline_of(once, observed, later) == once
    due = Action(ActionKind.TERMINATE, SCOPE, once, observed, Reason.EXPIRED)
    assert confirmed_by_tags([due], later) == [due]


@pytest.mark.parametrize(
    "action",
    [
        Action(ActionKind.TERMINATE, SCOPE, STOPPING, seen_of(LIVE), Reason.USER),
        Action(ActionKind.TERMINATE, SCOPE, ENDED, seen_of(LIVE), Reason.ORPHAN),
        Action(ActionKind.CLOSE, SCOPE, LIVE, seen_of(LIVE)),
        Action(ActionKind.ADOPT, SCOPE, None, seen_of(LIVE)),
    ],
    ids=["asked for", "closed", "gone", "unknown"],
)
def test_everything_else_is_done_as_ever(action: Action) -> None:
    assert confirmed_by_tags([action], LIVE.expires_at - MINUTE) == [action]
