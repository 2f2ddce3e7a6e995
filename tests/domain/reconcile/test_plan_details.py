"""The fine print of the plan: which of several instances is the record's, where each patience ends, what is said."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from support.instances import ACCOUNT, NOON, a_ready_instance, an_instance
from support.observations import SCOPE, STATE, ours, seen_of, view_of

from gpuctl.domain.instance import CloudState, Observed, Reason, Status
from gpuctl.domain.reconcile.actions import Action, ActionKind, Rules, View
from gpuctl.domain.reconcile.plan import plan

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
IN_TIME, LATE = NOON + 30 * MINUTE, NOON + 60 * MINUTE
RULES = Rules(STATE)


def view(*observed: Observed, now: datetime | None = IN_TIME, **facts: Any) -> View:
    return view_of(*observed, now=now, **facts)


def strangers(count: int, **facts: Any) -> list[Observed]:
    return [seen_of(a_ready_instance(f"inst-stranger000{n}", cloud_id=f"i-{n}"), **facts) for n in range(count)]


def without_launch(observed: Observed) -> Observed:
    return observed.model_copy(update={"launched_at": None})


# which instance is the record's


def test_an_instance_with_a_records_tag_is_not_foreign() -> None:
    record = an_instance()
    assert [action.kind for action in plan([record], view(seen_of(record)), RULES)] == [ActionKind.ADOPT]


def test_an_instance_with_a_records_tag_in_another_region_does_not_belong_to_it() -> None:
    record = an_instance()
    elsewhere = seen_of(record, region="eu-west-1")
    actions = plan([record], view(elsewhere, by_id={record.id: None}), RULES)
    assert [(action.kind, action.record) for action in actions] == [
        (ActionKind.WAIT, record),
        (ActionKind.REPORT, None),
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_instances_under_one_tag_the_first_launched_is_the_records(order: int) -> None:
    record = an_instance()
    first, second = (seen_of(record, cloud_id=f"i-{n}", launched_at=NOON + n * MINUTE) for n in (1, 2))
    adopted, reported = plan([record], view(*[first, second][::order]), RULES)
    assert (adopted.kind, adopted.observed) == (ActionKind.ADOPT, first)
    assert (reported.kind, reported.observed, reported.unresolved) == (ActionKind.REPORT, second, True)


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_instances_with_one_tag_the_active_instance_belongs_to_the_record(order: int) -> None:
    record = an_instance()
    dead = seen_of(record, cloud_id="i-1", launched_at=NOON, state=CloudState.ENDED)
    active = seen_of(record, cloud_id="i-2", launched_at=NOON + MINUTE)
    (action,) = plan([record], view(*[dead, active][::order]), RULES)
    assert (action.kind, action.observed) == (ActionKind.ADOPT, active)


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_instances_under_one_tag_one_whose_launch_is_unknown_comes_last(order: int) -> None:
    record = an_instance()
    known, unknown = seen_of(record, cloud_id="i-1"), without_launch(seen_of(record, cloud_id="i-2"))
    adopted, *_ = plan([record], view(*[known, unknown][::order]), RULES)
    assert adopted.observed == known


def test_a_terminated_instance_with_a_foreign_tag_needs_no_action() -> None:
    record = a_ready_instance()
    observed = seen_of(record, tags=ours(record, "another-state"), state=CloudState.ENDED)
    assert plan([record], view(observed), RULES) == []


# where each patience ends


@pytest.mark.parametrize(
    ("accepted", "now", "stubborn"),
    [
        (NOON, NOON + 30 * MINUTE, False),
        (NOON, NOON + 30 * MINUTE + SECOND, True),
        (None, NOON + 31 * MINUTE, False),
        (NOON, None, False),
    ],
)
def test_an_end_is_stubborn_more_than_half_an_hour_after_the_cloud_accepted_it(
    accepted: datetime | None, now: datetime | None, stubborn: bool
) -> None:
    record = a_ready_instance(status=Status.STOPPING, reason=Reason.USER, deleted_by_us_at=accepted)
    refresh, end = plan([record], view(seen_of(record), now=now), RULES)
    assert (refresh.kind, refresh.unresolved) == (ActionKind.REFRESH, False)
    assert (end.kind, end.unresolved) == (ActionKind.TERMINATE, stubborn)
    assert end.detail == ("still exists long after its termination was accepted" if stubborn else "")


def test_three_orphans_in_one_run_by_default() -> None:
    actions = plan([], view(*strangers(4), now=LATE), RULES)
    assert [(action.kind, action.reason) for action in actions] == [(ActionKind.TERMINATE, Reason.ORPHAN)] * 3 + [
        (ActionKind.REPORT, Reason.ORPHAN)
    ]
    assert "--max-orphans 3" in actions[3].detail


def test_the_limit_counts_ends_only() -> None:
    assert [action.kind for action in plan([], view(*strangers(5)), RULES)] == [ActionKind.ADOPT] * 5


def test_an_orphan_of_unknown_launch_time_is_reported_and_never_terminated() -> None:
    (action,) = plan([], view(without_launch(strangers(1)[0]), now=LATE), RULES)
    assert (action.kind, action.unresolved) == (ActionKind.REPORT, True)


def test_what_cannot_be_judged_without_the_clouds_clock_is_reported() -> None:
    record = a_ready_instance()
    assert [(action.kind, action.unresolved) for action in plan([record], view(seen_of(record), now=None), RULES)] == [
        (ActionKind.REFRESH, False),
        (ActionKind.REPORT, True),
    ]


# what is said


def said(record: Any, view: View) -> list[str]:
    return [action.detail for action in plan([record], view, RULES) if action.detail]


def test_every_decision_about_a_record_says_why() -> None:
    young, ready, closed = an_instance(), a_ready_instance(), a_ready_instance(status=Status.TERMINATED)
    stopping = a_ready_instance(status=Status.STOPPING, reason=Reason.USER)
    forged, unknown = ours(ready, "another-state"), {ready.id: None}
    broken = seen_of(ready, state=CloudState.FAILED)
    unlisted = View(now=IN_TIME, listed={}, observed=(), unreachable={SCOPE: "no answer"})
    assert said(young, view(seen_of(young))) == ["its instance is i-1"]
    assert said(ready, view(seen_of(ready, tags=forged))) == [f"the gpuctl tags of {ready.cloud_id} were changed"]
    assert said(ready, view(broken)) == ["the provider reports a failure; kept until its deadline"]
    assert said(young, view(seen_of(young, state=CloudState.FAILED)))[1:] == ["the provider could not start it"]
    assert said(ready, view()) == ["not in the listing, and could not be queried by ID"]
    assert said(ready, view(by_id=unknown)) == ["not found at the provider; termination is not confirmed yet"]
    assert said(ready, view(seen_of(ready), now=None)) == [
        "the provider's clock could not be read: the deadline is not enforced"
    ]
    assert said(stopping, unlisted) == ["terminated by ID; it was in no listing", "no answer"]
    assert said(closed, view(seen_of(closed))) == ["still running although recorded as terminated"]


def test_an_action_names_its_record_or_the_claimed_record_or_the_instance_or_the_region() -> None:
    record, instance = a_ready_instance(), strangers(1)[0]
    assert Action(ActionKind.REPORT, SCOPE, record, instance).subject == record.id
    assert Action(ActionKind.REPORT, SCOPE, None, instance).subject == "inst-stranger0000"
    assert Action(ActionKind.REPORT, SCOPE, None, instance.model_copy(update={"tags": {}})).subject == "i-0"
    assert Action(ActionKind.REPORT, SCOPE).subject == f"aws {ACCOUNT} us-east-1"
