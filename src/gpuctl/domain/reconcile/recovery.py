"""What a restored state and its clouds make of each other: two copies of a record, a deadline on an instance."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from gpuctl.domain.events import EventName
from gpuctl.domain.instance import Instance, Observed, Reason, Status
from gpuctl.domain.lifecycle import note
from gpuctl.domain.market.request import HIGHEST_MAX_TTL
from gpuctl.domain.reconcile.actions import Action, ActionKind
from gpuctl.domain.tags import ownership


def merged(record: Instance, other: Instance) -> Instance:
    """Two copies of the same record as one: terminated wins over STOPPING, STOPPING over active, then more attempts,
    then the newer one. While active the later deadline is kept; no attempt and no cloud ID is lost.
    """
    copies = sorted((record, other), key=lambda copy: (_rank(copy), len(copy.attempts), copy.updated_at), reverse=True)
    first, second = copies
    facts: dict[str, object] = {}
    if first.is_active:
        facts["expires_at"] = max(first.expires_at, second.expires_at)
    if first.is_active and len(second.attempts) > len(first.attempts):
        # Only the copy with the last attempt says where the instance may be.
        entries = [entry for entry in first.history if entry not in second.history]
        facts |= {"status": first.status, "reason": first.reason, "history": (*second.history, *entries)}
        return second.with_fields(**facts, updated_at=max(first.updated_at, second.updated_at))
    if len(second.attempts) < len(first.attempts):
        # Its cloud id is that of an earlier attempt.
        return first.with_fields(**facts)
    if first.cloud_id is None and second.cloud_id is not None:
        facts |= {"cloud_id": second.cloud_id, "id_is_from_create": second.id_is_from_create}
    elif first.cloud_id == second.cloud_id:
        facts["id_is_from_create"] = first.id_is_from_create or second.id_is_from_create
    return first.with_fields(**facts)


def with_deadline_of(record: Instance, observed: Observed, now: datetime) -> Instance:
    """The record with the deadline in the tags of its instance, where that is later: an older state may have forgotten
    an extension.

    A deadline further ahead than `extend` grants counts as the record's `max_ttl` from now, and only once. Unreadable
    tags change nothing.
    """
    tagged = ownership(observed.tags).expires_at
    if not record.is_active or tagged is None:
        return record
    later, unconfirmed = tagged, record.unconfirmed_deadlines
    if tagged > now + HIGHEST_MAX_TTL:
        if tagged in unconfirmed:
            return record
        later = now + record.max_ttl
        unconfirmed = (*unconfirmed, tagged)
    if later <= record.expires_at:
        return record
    detail = f"{record.expires_at:%Y-%m-%dT%H:%M:%SZ} to {later:%Y-%m-%dT%H:%M:%SZ}, as tagged on the instance"
    event = EventName.EXTENDED
    return note(record, event, now, detail=detail, expires_at=later, unconfirmed_deadlines=unconfirmed)


def confirmed_by_tags(actions: Sequence[Action], now: datetime | None) -> list[Action]:
    """The plan of a restored state: terminations by deadline that the tags of the instance do not confirm are reported.

    The record may lack an extension, but `extend` writes the tags first: a deadline in the tags that has passed at
    `now`, when the listing began, was not moved by any copy of the state.
    """
    return [
        _unenforced(action) if _is_by_deadline(action) and not _has_passed_in_tags(action, now) else action
        for action in actions
    ]


def _rank(copy: Instance) -> int:
    return 2 if copy.status.is_ended else int(copy.status is Status.STOPPING)


def _is_by_deadline(action: Action) -> bool:
    is_orphan = action.record is None and action.reason is Reason.ORPHAN
    return action.kind is ActionKind.TERMINATE and (action.reason is Reason.EXPIRED or is_orphan)


def _has_passed_in_tags(action: Action, now: datetime | None) -> bool:
    expires_at = ownership(action.observed.tags).expires_at if action.observed is not None else None
    if expires_at is None or now is None:
        return False
    # `extend` grants no deadline further ahead.
    return expires_at <= now or expires_at > now + HIGHEST_MAX_TTL


def _unenforced(action: Action) -> Action:
    reason = "deadline not enforced: the state was restored, and the tags of the instance could not be read since"
    return replace(action, kind=ActionKind.REPORT, reason=None, detail=reason, unresolved=True)
