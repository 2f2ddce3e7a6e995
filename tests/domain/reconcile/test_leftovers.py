"""Instances made of parts: what is done about parts without an instance, and about what an attempt left behind."""

from datetime import datetime, timedelta
from typing import Any

from support.instances import ACCOUNT, NOON, a_ready_instance, an_instance
from support.observations import SCOPE, STATE, ours, seen_of

from gpuctl.domain.instance import (
    Attempt,
    CloudState,
    Instance,
    LaunchRefusal,
    Market,
    Observed,
    Outcome,
    ProviderName,
    Reason,
    Scope,
    Status,
)
from gpuctl.domain.lifecycle import STOPPED_AND_BILLING, advance, refreshed, swept
from gpuctl.domain.reconcile.actions import Action, ActionKind, Rules, View
from gpuctl.domain.reconcile.plan import plan
from gpuctl.domain.tags import deadline_tag
from gpuctl.errors import Code

MINUTE = timedelta(minutes=1)
ELSEWHERE = Scope(provider=ProviderName.AWS, account=ACCOUNT, region="eu-west-1")
RULES = Rules(STATE)


def decided(
    records: list[Instance], *observed: Observed, now: datetime = NOON + 30 * MINUTE, **facts: Any
) -> list[Action]:
    view = View(**({"now": now, "listed": {SCOPE: now, ELSEWHERE: now}, "observed": observed} | facts))
    return plan(records, view, RULES)


def told(actions: list[Action]) -> list[tuple[ActionKind, Reason | None]]:
    return [(action.kind, action.reason) for action in actions]


def remnant(record: Instance, **facts: Any) -> Observed:
    """What was made for the record's instance, which is not there."""
    observed = seen_of(record, state=CloudState.REMNANT, instance_type="", ready=False, **facts)
    return observed.model_copy(update={"launched_at": None})


def with_leftovers(record: Instance) -> Instance:
    """The record in its second attempt; the first was refused and left something in another region."""
    first = record.attempts[0].model_copy(
        update={"outcome": Outcome.LEFTOVERS, "cloud_id": "group-1", "region": "eu-west-1"}
    )
    second = Attempt(
        number=2,
        token=f"{record.id}-2",
        at=NOON + MINUTE,
        provider=record.provider,
        region=record.region,
        instance_type=record.instance_type,
        market=record.market,
        outcome=Outcome.CREATED,
        cloud_id=record.cloud_id,
    )
    return record.with_fields(attempts=(first, second))


def left_by(record: Instance) -> Observed:
    observed = remnant(record, cloud_id="group-1")
    return observed.model_copy(update={"region": "eu-west-1"})


# parts without an instance


def test_parts_whose_instance_may_still_come_are_waited_for() -> None:
    record = an_instance()
    assert told(decided([record], remnant(record), now=NOON + 14 * MINUTE)) == [(ActionKind.REFRESH, None)]


def test_parts_whose_instance_never_came_are_terminated_when_the_attempt_has_had_its_time() -> None:
    record = an_instance()
    assert told(decided([record], remnant(record), now=NOON + 15 * MINUTE)) == [
        (ActionKind.REFRESH, None),
        (ActionKind.TERMINATE, Reason.ABANDONED),
    ]


def test_parts_that_another_copy_of_the_state_has_just_made_are_waited_for() -> None:
    record = an_instance()
    tags = {**seen_of(record).tags, "gpuctl-created-at": deadline_tag(NOON + 20 * MINUTE)}
    for minute, expected in ((34, 1), (35, 2)):
        assert len(decided([record], remnant(record, tags=tags), now=NOON + minute * MINUTE)) == expected


def test_parts_without_an_instance_never_leave_provisioning_and_make_no_outcome_known() -> None:
    record = an_instance()
    lost = record.with_fields(attempts=(record.attempts[0].model_copy(update={"outcome": Outcome.UNKNOWN}),))
    after = refreshed(lost, remnant(lost), NOON + MINUTE)
    assert (after.status, after.cloud_id, after.attempts[0].outcome) == (Status.PROVISIONING, None, Outcome.UNKNOWN)
    assert refreshed(after, seen_of(after, ready=False), NOON + 2 * MINUTE).status is Status.CONFIGURING


def test_parts_are_terminated_at_the_deadline_whatever_else() -> None:
    record = an_instance(ttl=5 * MINUTE)
    assert told(decided([record], remnant(record), now=NOON + 5 * MINUTE))[-1] == (ActionKind.TERMINATE, Reason.EXPIRED)


def test_resources_of_a_terminated_instance_are_deleted_with_the_reason() -> None:
    ready, spot = a_ready_instance(), a_ready_instance(market=Market.SPOT)
    assert told(decided([ready], remnant(ready)))[-1] == (ActionKind.TERMINATE, Reason.VANISHED)
    assert told(decided([spot], remnant(spot)))[-1] == (ActionKind.TERMINATE, Reason.INTERRUPTED)
    assert told(decided([ready], remnant(ready), now=NOON + 4 * MINUTE)) == [(ActionKind.REFRESH, None)]


def test_parts_of_no_record_are_terminated_a_quarter_of_an_hour_after_they_were_made_and_never_adopted() -> None:
    stray = an_instance("inst-stranger0001")
    created = remnant(stray)
    tagged = created.model_copy(update={"tags": {**created.tags, "gpuctl-created-at": deadline_tag(NOON)}})
    assert told(decided([], tagged, now=NOON + 15 * MINUTE)) == [(ActionKind.WAIT, None)]
    assert told(decided([], tagged, now=NOON + 16 * MINUTE)) == [(ActionKind.TERMINATE, Reason.ORPHAN)]


def test_resources_without_a_creation_time_are_reported_and_never_terminated() -> None:
    (action,) = decided([], remnant(an_instance("inst-stranger0001")), now=NOON + 600 * MINUTE)
    assert (action.kind, action.unresolved) == (ActionKind.REPORT, True)


# an instance that failed


def test_an_instance_the_cloud_could_not_start_is_terminated_with_the_clouds_own_words() -> None:
    record = a_ready_instance(status=Status.CONFIGURING)
    failed = seen_of(record, state=CloudState.FAILED, refusal=LaunchRefusal(code=Code.CAPACITY, text="none left"))
    *_, end = decided([record], failed)
    assert (end.kind, end.reason, end.detail) == (ActionKind.TERMINATE, Reason.REFUSED, "none left")


def test_an_instance_that_was_ready_is_not_terminated_because_the_cloud_calls_it_failed_later() -> None:
    record = a_ready_instance()
    failed = seen_of(record, state=CloudState.FAILED)
    assert told(decided([record], failed)) == [(ActionKind.REFRESH, None), (ActionKind.REPORT, None)]
    assert told(decided([record], failed, now=NOON + 60 * MINUTE))[-1] == (ActionKind.TERMINATE, Reason.EXPIRED)


def test_a_powered_off_instance_that_bills_has_a_message_until_it_is_on_again() -> None:
    record = a_ready_instance()
    off = refreshed(record, seen_of(record, state=CloudState.STOPPED, bills_when_stopped=True), NOON)
    assert off.status_message == STOPPED_AND_BILLING
    assert refreshed(off, seen_of(record), NOON).status_message is None


# what an attempt left behind


def test_leftovers_of_a_refused_attempt_are_terminated_while_the_record_stays_active() -> None:
    record = with_leftovers(a_ready_instance())
    actions = decided([record], seen_of(record), left_by(record))
    assert told(actions) == [(ActionKind.REFRESH, None), (ActionKind.TERMINATE, Reason.REFUSED)]
    assert (actions[1].record, actions[1].observed and actions[1].observed.cloud_id) == (None, "group-1")


def test_what_was_left_behind_is_terminated_though_its_record_is_closed_and_no_limit_of_orphans_counts_it() -> None:
    record = advance(with_leftovers(a_ready_instance()), Status.TERMINATED, NOON, Reason.USER)
    assert [attempt.outcome for attempt in record.attempts] == [Outcome.LEFTOVERS, Outcome.ENDED]
    view = View(
        now=NOON + 30 * MINUTE, listed={SCOPE: NOON, ELSEWHERE: NOON}, observed=(seen_of(record), left_by(record))
    )
    ends = [
        action for action in plan([record], view, Rules(STATE, max_orphans=0)) if action.kind is ActionKind.TERMINATE
    ]
    assert Reason.REFUSED in [action.reason for action in ends]


def test_under_anothers_tags_it_is_not_what_we_left_behind() -> None:
    record = with_leftovers(a_ready_instance())
    theirs = left_by(record).model_copy(update={"tags": ours(record, "another-state")})
    assert told(decided([record], seen_of(record), theirs))[1:] == [(ActionKind.REPORT, None)]


def test_an_attempt_is_over_when_a_listing_of_its_place_lacks_what_it_left_a_quarter_of_an_hour_after_it() -> None:
    record = with_leftovers(a_ready_instance())
    assert not [action for action in decided([record], seen_of(record), now=NOON + 14 * MINUTE) if action.left]
    (over,) = [action for action in decided([record], seen_of(record), now=NOON + 15 * MINUTE) if action.left]
    assert over.left == "group-1"
    assert swept(record, "group-1", NOON).attempts[0].outcome is Outcome.ENDED
    assert swept(record, "group-2", NOON) == record


def test_a_place_that_was_not_listed_says_nothing_about_what_was_left_there() -> None:
    record = with_leftovers(a_ready_instance())
    now = NOON + 30 * MINUTE
    assert not [action for action in decided([record], seen_of(record), listed={SCOPE: now}) if action.left]
