"""The JSON shapes: an interface. Keys are camelCase, instants RFC 3339 in UTC, dollars numbers, unknown is null."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gpuctl.domain.instance import Attempt, HistoryEntry, Instance
from gpuctl.domain.money.cost import accrued, hourly, spent
from gpuctl.domain.protection import Protector
from gpuctl.errors import Failure

if TYPE_CHECKING:
    from gpuctl.domain.market.offers import Offer
    from gpuctl.domain.money.statistics import Statistics

SCHEMA_VERSION = 1


def instance_shape(one: Instance, now: datetime, protection: Sequence[Protector] | None = None) -> dict[str, Any]:
    """One machine, all keys always there; `protection` is what to tell of it where more is known than its record."""
    protectors = one.protection if protection is None else protection
    return {
        "id": one.id,
        "name": one.name,
        "userId": one.user,
        "taskId": one.task,
        "purpose": one.purpose,
        "provider": one.provider.upper(),
        "account": one.account,
        "instanceType": one.instance_type,
        "region": one.region,
        "zone": one.zone,
        "market": one.market.value,
        "status": one.status.value,
        "statusReason": one.status_reason or (one.reason.value if one.reason else None),
        "lastError": one.last_error,
        "cloudInstanceId": one.cloud_id,
        "publicIp": one.public_ip,
        "privateIp": one.private_ip,
        "diskSizeGB": one.disk_gb,
        "autoTerminateMinutes": minutes(one.ttl.total_seconds()),
        "expiresAt": instant(one.expires_at),
        "costPerHour": dollars(one.price.usd_per_hour if one.price else None),
        "totalCost": dollars(accrued(one, now)),
        "costBreakdown": _breakdown_shape(one, now),
        "priceSource": one.price.source if one.price else None,
        "priceAsOf": one.price.as_of.isoformat() if one.price else None,
        "tags": dict(one.tags),
        "metadata": dict(one.metadata),
        "protection": [_protector_shape(each) for each in protectors] or None,
        "attempts": [_attempt_shape(attempt) for attempt in one.attempts],
        "createdAt": instant(one.created_at),
        "launchedAt": instant(one.launched_at),
        "readyAt": instant(one.ready_at),
        "terminatedAt": instant(one.terminated_at),
        "updatedAt": instant(one.updated_at),
        "history": [_history_shape(entry) for entry in one.history],
    }


def statistics_shape(figures: "Statistics") -> dict[str, Any]:
    """The figures over many machines."""
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


def error_shape(error: Failure) -> dict[str, Any]:
    """A failure, for scripts to switch on."""
    return {
        "code": error.code.value,
        "message": error.message,
        "hint": error.hint,
        "retryable": error.retryable,
        "exitCode": error.exit_code,
    }


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


def _breakdown_shape(one: Instance, now: datetime) -> dict[str, Any]:
    cost = spent(one, now)
    return {
        "machine": dollars(cost.machine),
        "disk": dollars(cost.disk),
        "address": dollars(cost.address),
        "total": dollars(cost.total),
        "totalPerHour": dollars(hourly(one).total),
        "endIsEstimate": one.end_is_estimate,
    }


def _protector_shape(protector: Protector) -> dict[str, Any]:
    return {
        "killer": protector.killer.value,
        "standing": protector.standing.value,
        "actsAt": instant(protector.acts_at),
        "readAt": instant(protector.read_at),
        "detail": protector.detail,
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
