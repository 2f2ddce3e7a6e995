"""What to do about every instance, decided from the records and from what the clouds answered; nothing is done here.

Weak evidence is reported, only strong evidence terminates: a record closes on proof (`evidence`), an instance without
a record is terminated only if its tags are complete (`orphans`).
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from gpuctl.domain.instance import CloudState, Instance, Market, Observed, Reason, Scope, Status
from gpuctl.domain.reconcile.actions import Action, ActionKind, Finder, Rules, View, scope_of
from gpuctl.domain.reconcile.deadlines import UNREAD_GRACE, extended, extended_by_tags
from gpuctl.domain.reconcile.evidence import (
    ATTEMPT_GRACE,
    LAUNCH_GRACE,
    Proof,
    absence_proves,
    end_of,
    is_of_another_copy,
    is_the_same_instance,
    made_at,
)
from gpuctl.domain.reconcile.orphans import plan_without_record

# EC2 says "longer than a few minutes" of a delayed termination and forces it after hours; neither is billed:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/TroubleshootingInstancesShuttingDown.html
# The network interface of an Azure VM that was not allocated stays reserved for 3 minutes (rancher/machine#359).
STUBBORN_AFTER = timedelta(minutes=30)


def records_to_query(records: Iterable[Instance], view: View, rules: Rules) -> list[Instance]:
    """The active records whose instance is queried by itself before `plan`.

    A complete listing lacked it, or its region could not be listed and its deadline has passed by the record alone.
    """
    finder = Finder(view, rules.state_id)
    return [
        record
        for record in records
        if record.is_active
        and (
            (scope_of(record) in view.listed and finder.listed(record) is None)
            or (scope_of(record) in view.unreachable and _is_expired(record, view.now))
        )
    ]


def _is_expired(record: Instance, now: datetime | None) -> bool:
    is_known = record.cloud_id is not None and record.status is not Status.STOPPING
    return is_known and now is not None and record.is_due(now)


Decide = Callable[[Instance], list[Action]]
Isolate = Callable[[Decide], Decide]


def plan(
    records: Sequence[Instance], view: View, rules: Rules, isolate: Isolate = lambda decide: decide
) -> list[Action]:
    """All actions for one account, in order: for its records, and for instances without a record.

    `records` are all of this account, the closed ones too. Scopes that the view neither listed nor failed to list are
    left alone. `isolate` wraps the decision about one record, so that a bug in it does not affect others.
    """
    return [*plan_records(records, view, rules, isolate), *plan_without_record(records, view, rules)]


def plan_records(
    records: Iterable[Instance], view: View, rules: Rules, isolate: Isolate = lambda decide: decide
) -> list[Action]:
    """What `plan` decides about these records alone, whatever else the account holds."""
    finder = Finder(view, rules.state_id)
    decide = isolate(lambda record: _for_record(record, finder, view, rules))
    return [action for record in records for action in decide(record)]


def _for_record(record: Instance, finder: Finder, view: View, rules: Rules) -> list[Action]:
    scope = scope_of(record)
    was_queried = scope in view.listed or scope in view.unreachable
    return [
        *(_actions(record, finder, view, rules) if was_queried else ()),
        *_actions_for_leftovers(record, finder, view),
    ]


def _actions(record: Instance, finder: Finder, view: View, rules: Rules) -> Iterable[Action]:
    observed = finder.listed_or_queried(record)
    extended_to = extended_by_tags(record, observed, rules, view.now)
    act = _ActionMaker(record, scope_of(record), observed, extended_to)
    if observed is not None and not is_the_same_instance(record, observed, rules.state_id):
        if observed.exists:
            yield act(
                ActionKind.REPORT,
                detail=f"the gpuctl tags of {observed.cloud_id} were changed",
                unresolved=record.is_active,
            )
    elif record.status.is_ended:
        if observed is not None and observed.exists and is_of_another_copy(record, observed, view.now):
            yield act(ActionKind.REPORT, detail="created by another copy of this state; terminated at its deadline")
        elif observed is not None and observed.exists:
            yield act(ActionKind.TERMINATE, Reason.ORPHAN, detail="still running although recorded as terminated")
    elif observed is not None:
        yield from _actions_if_present(extended(record, extended_to, record.updated_at), observed, view, act)
    else:
        yield from _actions_if_absent(record, view, act)


def _actions_for_leftovers(record: Instance, finder: Finder, view: View) -> Iterable[Action]:
    """Leftovers of earlier attempts that are gone by now; existing ones are terminated like orphans."""
    for attempt in record.leftover_attempts:
        scope = Scope(provider=record.provider, account=record.account, region=attempt.region)
        listed_at = view.listed.get(scope)
        if attempt.cloud_id is None or listed_at is None or listed_at - attempt.at < ATTEMPT_GRACE:
            continue
        if not finder.has(attempt.region, attempt.cloud_id):
            yield Action(ActionKind.REFRESH, scope, record, left=attempt.cloud_id)


class _ActionMaker:
    """Makes actions about one record."""

    def __init__(self, record: Instance, scope: Scope, observed: Observed | None, extended_to: datetime | None) -> None:
        self._actions = (scope, record, observed)
        self._extended_to = extended_to

    def __call__(
        self,
        kind: ActionKind,
        reason: Reason | None = None,
        *,
        detail: str = "",
        proof: Proof | None = None,
        unresolved: bool = False,
    ) -> Action:
        scope, record, observed = self._actions
        return Action(kind, scope, record, observed, reason, proof, detail, unresolved, extended_to=self._extended_to)


def _actions_if_present(record: Instance, observed: Observed, view: View, act: _ActionMaker) -> Iterable[Action]:
    if not observed.exists:
        detail = observed.refusal.text if observed.refusal else ""
        yield act(ActionKind.CLOSE, proof=end_of(record, observed, view.now), detail=detail)
        return
    if record.status is Status.PROVISIONING and observed.state is not CloudState.REMNANT:
        yield act(ActionKind.ADOPT, detail=f"its instance is {observed.cloud_id}")
    else:
        yield act(ActionKind.REFRESH)
    if record.status is Status.STOPPING:
        stubborn = _is_stubborn(record, view.now)
        yield act(
            ActionKind.TERMINATE,
            record.reason,
            detail="still exists long after its termination was accepted" if stubborn else "",
            unresolved=stubborn,
        )
    elif observed.state is CloudState.FAILED and not _was_ready(record):
        cause = observed.refusal.text if observed.refusal else "the provider could not start it"
        yield act(ActionKind.TERMINATE, Reason.REFUSED, detail=cause)
    elif observed.state is CloudState.FAILED:
        # It was usable: what failed since (an extension that a policy put on it, say) may not have stopped its task.
        yield act(ActionKind.REPORT, detail="the provider reports a failure; kept until its deadline", unresolved=True)
        yield from _actions_if_expired(record, view, act)
    elif observed.state is CloudState.REMNANT and (reason := _why_empty(record, observed, view.now)) is not None:
        yield act(ActionKind.TERMINATE, reason, detail="there is no instance, only resources created for it")
    else:
        yield from _actions_if_expired(record, view, act)


def _was_ready(record: Instance) -> bool:
    return record.status in (Status.READY, Status.RUNNING)


def _why_empty(record: Instance, observed: Observed, now: datetime | None) -> Reason | None:
    """Why only leftovers and no instance exist for the record; None while an instance may still appear."""
    if now is None:
        return None
    if record.launched_at is None:
        # Another copy of this state may make a later attempt of the record.
        last_attempt_at = max(record.last_attempt_at, made_at(observed) or record.last_attempt_at)
        return Reason.ABANDONED if now - last_attempt_at >= ATTEMPT_GRACE else None
    if now - record.launched_at < LAUNCH_GRACE:
        return None
    return Reason.INTERRUPTED if record.market is Market.SPOT else Reason.VANISHED


def _actions_if_absent(record: Instance, view: View, act: _ActionMaker) -> Iterable[Action]:
    scope = scope_of(record)
    if scope in view.unreachable:
        yield from _actions_by_id(record, view, act)
        return
    is_requested = record.id in view.by_id
    if not is_requested:
        yield act(ActionKind.WAIT, detail="not in the listing, and could not be queried by ID", unresolved=True)
        return
    proof = absence_proves(record, listed_at=view.listed[scope], now=view.now)
    if proof is not None:
        yield act(ActionKind.CLOSE, proof.reason, proof=proof)
        return
    yield act(ActionKind.WAIT, detail="not found at the provider; termination is not confirmed yet")
    yield from _actions_by_id(record, view, act)


def _actions_by_id(record: Instance, view: View, act: _ActionMaker) -> Iterable[Action]:
    # Should the listing lie or fail, the end is asked for all the same, but only by an id that our own create returned.
    if not record.id_is_from_create:
        return
    if record.status is Status.STOPPING:
        yield act(ActionKind.TERMINATE, record.reason, detail="terminated by ID; it was in no listing")
    elif view.now is not None and record.is_due(view.now) and view.now - record.expires_at < UNREAD_GRACE:
        # Another copy of this state may have extended the deadline, which only the tags would show.
        detail = "past its deadline; not terminated yet, because its tags could not be read"
        yield act(ActionKind.WAIT, detail=detail, unresolved=True)
    else:
        yield from _actions_if_expired(record, view, act)


def _actions_if_expired(record: Instance, view: View, act: _ActionMaker) -> Iterable[Action]:
    if view.now is None:
        yield act(
            ActionKind.REPORT,
            detail="the provider's clock could not be read: the deadline is not enforced",
            unresolved=True,
        )
    elif record.is_due(view.now):
        yield act(ActionKind.TERMINATE, Reason.EXPIRED)


def _is_stubborn(record: Instance, now: datetime | None) -> bool:
    return now is not None and record.deleted_by_us_at is not None and now - record.deleted_by_us_at > STUBBORN_AFTER
