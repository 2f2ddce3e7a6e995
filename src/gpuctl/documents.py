"""The JSON shapes: an interface. Keys are camelCase, instants RFC 3339 in UTC, dollars numbers, unknown is null."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gpuctl.domain.events import Event
from gpuctl.domain.instance import Attempt, HistoryEntry, Instance, Status
from gpuctl.domain.money.cost import accrued, hourly, spent
from gpuctl.domain.safeguards import Safeguard
from gpuctl.errors import Failure

if TYPE_CHECKING:
    from gpuctl.domain.market.offers import Offer
    from gpuctl.domain.money.statistics import Statistics
    from gpuctl.domain.reconcile.actions import Action

SCHEMA_VERSION = 1


def instance_shape(record: Instance, now: datetime, safeguards: Sequence[Safeguard] | None = None) -> dict[str, Any]:
    """One instance with all keys. `safeguards` replaces those of the record where the caller knows more."""
    shown = record.safeguards if safeguards is None else safeguards
    return {
        "id": record.id,
        "name": record.name,
        "userId": record.user,
        "taskId": record.task,
        "purpose": record.purpose,
        "provider": record.provider.upper(),
        "account": record.account,
        "instanceType": record.instance_type,
        "region": record.region,
        "zone": record.zone,
        "market": record.market.value,
        "status": record.status.value,
        "statusReason": record.reason.value if record.reason else None,
        "statusMessage": record.status_message,
        "lastError": record.last_error,
        "cloudInstanceId": record.cloud_id,
        "publicIp": record.public_ip,
        "privateIp": record.private_ip,
        "diskSizeGB": record.disk_gb,
        "autoTerminateMinutes": minutes(record.ttl.total_seconds()),
        "expiresAt": instant(record.expires_at),
        "costPerHour": dollars(record.price.usd_per_hour if record.price else None),
        "totalCost": dollars(accrued(record, now)),
        "costBreakdown": _breakdown_shape(record, now),
        "priceSource": record.price.source if record.price else None,
        "priceAsOf": record.price.as_of.isoformat() if record.price else None,
        "tags": dict(record.tags),
        "metadata": dict(record.metadata),
        "safeguards": [_safeguard_shape(safeguard) for safeguard in shown] or None,
        "attempts": [_attempt_shape(attempt) for attempt in record.attempts],
        "createdAt": instant(record.created_at),
        "launchedAt": instant(record.launched_at),
        "readyAt": instant(record.ready_at),
        "terminatedAt": instant(record.terminated_at),
        "updatedAt": instant(record.updated_at),
        "history": [_history_shape(entry) for entry in record.history],
    }


def statistics_shape(figures: "Statistics") -> dict[str, Any]:
    """The figures over many instances."""
    return {
        "totalProvisioned": figures.total_provisioned,
        "currentlyRunning": figures.currently_running,
        "totalCost": dollars(figures.total_cost),
        "averageDuration": _number(figures.average_duration_h),
        "averageCost": dollars(figures.average_cost),
        "providerBreakdown": dict(figures.provider_breakdown),
        "instanceTypeBreakdown": dict(figures.instance_type_breakdown),
        "currentlyBilling": figures.currently_billing,
        "alwaysOnCost": dollars(figures.always_on_cost),
        "savings": dollars(figures.savings),
        "savingsPercent": _number(figures.savings_percent, 2),
    }


def offer_shape(offer: "Offer") -> dict[str, Any]:
    """A type in a region and a market, with its price."""
    kind, price = offer.type, offer.price
    return {
        "provider": kind.provider.upper(),
        "instanceType": kind.name,
        "region": offer.region,
        "market": offer.market.value,
        "gpuModel": kind.gpu_model,
        "gpuCount": _number(kind.gpu_count),
        "gpuMemoryGiB": _number(kind.gpu_memory_gib),
        "vcpus": kind.vcpus,
        "memoryGiB": _number(kind.memory_gib),
        "arch": kind.arch,
        "costPerHour": dollars(price.usd_per_hour if price else None),
        "priceSource": price.source if price else None,
        "priceAsOf": price.as_of.isoformat() if price else None,
        "availability": kind.availability.value,
        "retiredOn": kind.retired_on.isoformat() if kind.retired_on else None,
        "successor": kind.successor,
    }


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


def reason_of(action: "Action") -> str | None:
    """The reason why the reaper acts, as JSON names it; None where it does not act."""
    reason = action.proof.reason if action.proof else action.reason
    return reason.value if reason else None


def error_shape(error: Failure) -> dict[str, Any]:
    """A failure, for scripts to switch on."""
    return {
        "code": error.code.value,
        "message": error.message,
        "hint": error.hint,
        "retryable": error.retryable,
        "exitCode": error.exit_code,
    }


def scope_shape(provider: str | None, account: str | None = None, region: str | None = None) -> dict[str, Any]:
    """What an action or an error without an instance is about; null where it is not about one of them."""
    return {"provider": provider.upper() if provider else None, "account": account, "region": region}


def instant(at: datetime | None) -> str | None:
    """`2026-11-24T10:00:00Z`."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def dollars(amount: Decimal | None) -> float | None:
    """Dollars to a millionth; None for unknown."""
    return _number(amount)


def hours(span: Decimal) -> float:
    """Hours to a millionth."""
    return round(float(span), 6)


def minutes(seconds: float) -> int | float:
    """Minutes, a whole number where they are whole."""
    return int(seconds // 60) if seconds % 60 == 0 else seconds / 60


def _breakdown_shape(record: Instance, now: datetime) -> dict[str, Any]:
    cost = spent(record, now)
    return {
        "compute": dollars(cost.compute),
        "disk": dollars(cost.disk),
        "publicIp": dollars(cost.public_ip),
        "total": dollars(cost.total),
        "totalPerHour": dollars(hourly(record).total),
        "endIsEstimate": record.end_is_estimate,
    }


def _safeguard_shape(safeguard: Safeguard) -> dict[str, Any]:
    return {
        "mechanism": safeguard.mechanism.value,
        "status": safeguard.status.value,
        "actsAt": instant(safeguard.acts_at),
        "checkedAt": instant(safeguard.checked_at),
        "detail": safeguard.detail,
    }


def _attempt_shape(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "token": attempt.token,
        "at": instant(attempt.at),
        "region": attempt.region,
        "zone": attempt.zone,
        "instanceType": attempt.instance_type,
        "market": attempt.market.value,
        "outcome": attempt.outcome.value,
        "cloudInstanceId": attempt.cloud_id,
        "detail": attempt.detail,
    }


def _history_shape(entry: HistoryEntry) -> dict[str, Any]:
    return {
        "at": instant(entry.at),
        "event": entry.event,
        "status": entry.status.value,
        "reason": entry.reason.value if entry.reason else None,
        "detail": entry.detail,
    }


def _number(value: Decimal | None, places: int = 6) -> float | None:
    return None if value is None else round(float(value), places)
