"""The plan for instances without a record: those of another state are reported, ours are adopted or terminated.

Only strong evidence terminates: complete tags that name this state, or one in `reap_state_ids`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from gpuctl.domain.instance import CloudState, Instance, Observed, Reason, Scope
from gpuctl.domain.reconcile.actions import Action, ActionKind, Finder, Rules, View
from gpuctl.domain.tags import STATE, ownership

ORPHAN_AGE = timedelta(minutes=15)


def plan_without_record(records: Sequence[Instance], view: View, rules: Rules) -> list[Action]:
    """The actions for instances without a record, and for regions that did not reply."""
    finder, by_id = Finder(view, rules.state_id), {record.id: record for record in records}
    known = {record.cloud_id for record in records} | {
        observed.cloud_id for record in records if (observed := finder.listed(record))
    }
    unmanaged = [observed for observed in view.observed if observed.exists and observed.cloud_id not in known]
    decided = [_unmanaged(observed, by_id, view, rules) for observed in unmanaged]
    unreachable = [
        Action(ActionKind.REPORT, scope, detail=reason, unresolved=True) for scope, reason in view.unreachable.items()
    ]
    return [*_within_limit(decided, rules.max_orphans), *unreachable]


def _unmanaged(observed: Observed, records: Mapping[str, Instance], view: View, rules: Rules) -> Action:
    scope = Scope(provider=observed.provider, account=observed.account, region=observed.region)

    def act(kind: ActionKind, reason: Reason | None = None, *, detail: str, unresolved: bool = False) -> Action:
        return Action(kind, scope, None, observed, reason, None, detail, unresolved)

    claims = ownership(observed.tags)
    is_ours = claims.state_id == rules.state_id
    if not is_ours and claims.state_id not in rules.reap_state_ids:
        return act(ActionKind.REPORT, detail=f"{observed.cloud_id} belongs to state {observed.tags.get(STATE, '')!r}")
    record = records.get(claims.record_id or "")
    if is_ours and record is not None and _is_leftover(observed, record):
        return act(ActionKind.TERMINATE, Reason.REFUSED, detail=f"{observed.cloud_id} was left by a refused attempt")
    created_at = observed.launched_at or claims.created_at
    if claims.record_id is None or claims.expires_at is None or created_at is None:
        return act(
            ActionKind.REPORT,
            detail=f"{observed.cloud_id} is tagged with this state but has no valid ID or deadline tag",
            unresolved=True,
        )
    if view.now is None:
        return act(
            ActionKind.REPORT,
            detail="the provider's clock could not be read: the deadline is not enforced",
            unresolved=True,
        )
    if _is_expired(claims.expires_at, created_at, view.now, is_ours):
        return act(
            ActionKind.TERMINATE, Reason.ORPHAN, detail=f"{observed.cloud_id} is past its deadline and has no record"
        )
    if is_ours and observed.state is CloudState.REMNANT and view.now - created_at > ORPHAN_AGE:
        return act(
            ActionKind.TERMINATE,
            Reason.ORPHAN,
            detail=f"{observed.cloud_id} is left over: no instance and no record uses it",
        )
    if not is_ours or view.now >= claims.expires_at or observed.state is CloudState.REMNANT:
        return act(ActionKind.WAIT, detail=f"{observed.cloud_id} has no record")
    if record is not None:
        return act(
            ActionKind.REPORT, detail=f"{observed.cloud_id} claims the record of {record.cloud_id}", unresolved=True
        )
    return act(ActionKind.ADOPT, detail=f"{observed.cloud_id} had no record")


def _is_leftover(observed: Observed, record: Instance) -> bool:
    return any(
        (attempt.region, attempt.cloud_id) == (observed.region, observed.cloud_id)
        for attempt in record.leftover_attempts
    )


def _is_expired(expires_at: datetime, created_at: datetime, now: datetime, is_ours: bool) -> bool:
    patience = timedelta(0) if is_ours else ORPHAN_AGE
    return now >= expires_at + patience and now - created_at > ORPHAN_AGE


def _within_limit(actions: Iterable[Action], max_orphans: int) -> Iterable[Action]:
    ended = 0
    for action in actions:
        if action.kind is ActionKind.TERMINATE and action.reason is Reason.ORPHAN:
            ended += 1
            if ended > max_orphans:
                spared = f"{action.detail}; more orphans than --max-orphans {max_orphans} allows in one run"
                yield Action(ActionKind.REPORT, action.scope, None, action.observed, Reason.ORPHAN, None, spared, True)
                continue
        yield action
