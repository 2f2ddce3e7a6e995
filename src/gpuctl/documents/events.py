"""The public JSON of events and of the reaper's actions."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gpuctl.documents import SCHEMA_VERSION
from gpuctl.documents.errors import scope_shape
from gpuctl.documents.instances import instance_shape
from gpuctl.documents.values import dollars, instant
from gpuctl.domain.events import Event
from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.money.cost import accrued

if TYPE_CHECKING:
    from gpuctl.domain.reconcile.actions import Action
    from gpuctl.services.reconcile.apply import ActionResult


def event_shape(event: Event, now: datetime) -> dict[str, Any]:
    """One event. `number` counts the events of its instance from 1; `totalCost` is null until the instance ended."""
    record, entry = event.record, event.entry
    return {
        "event": event.name,
        "at": instant(entry.at),
        "instanceId": record.id,
        "name": record.name,
        "number": event.number,
        "status": entry.status.value,
        "reason": entry.reason.value if entry.reason else None,
        "detail": entry.detail,
        "totalCost": dollars(accrued(record, now)) if entry.status is Status.TERMINATED else None,
    }


def event_document(event: Event, now: datetime, *, sandbox: bool) -> dict[str, Any]:
    """An event as a document of its own, for streams and hooks: with its instance as it is now."""
    kind = {"sandbox": True} if sandbox else {}
    instance = {"instance": instance_shape(event.record, now)}
    return {"schemaVersion": SCHEMA_VERSION, **kind, **event_shape(event, now), **instance}


def exported_shape(record: Instance, now: datetime, *, sandbox: bool) -> dict[str, Any]:
    """A record as a document of its own, for a file of records."""
    kind = {"sandbox": True} if sandbox else {}
    return {"schemaVersion": SCHEMA_VERSION, **kind, **instance_shape(record, now)}


def action_shape(action: "Action", record: Instance | None, error: str | None) -> dict[str, Any]:
    """What the reaper did, or would do; `record` as it is now, `error` why it failed."""
    return {
        "id": action.instance_id,
        "action": action.kind.value,
        "reason": reason_of(action),
        "detail": action.detail or None,
        "scope": scope_shape(action.scope.provider, action.scope.account, action.scope.region),
        "status": record.status.value if record else None,
        "error": error,
    }


def reap_shape(done: "Sequence[ActionResult]", *, is_dry_run: bool) -> dict[str, Any]:
    """What a run of the reaper did, or would do, as far as that is reported."""
    from gpuctl.services.reap.reaper import reportable

    shown = reportable(done)
    actions = [action_shape(outcome.action, outcome.record, outcome.error) for outcome in shown]
    return {"dryRun": is_dry_run, "actions": actions, "count": len(actions)}


def reason_of(action: "Action") -> str | None:
    """The reason why the reaper acts, as JSON names it; None where it does not act."""
    reason = action.proof.reason if action.proof else action.reason
    return reason.value if reason else None
