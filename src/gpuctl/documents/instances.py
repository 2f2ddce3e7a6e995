"""The public JSON of instances."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gpuctl.documents.values import dollars, instant, minutes
from gpuctl.domain.instance import Attempt, HistoryEntry, Instance
from gpuctl.domain.money.cost import accrued, hourly, spent
from gpuctl.domain.safeguards import Safeguard


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
