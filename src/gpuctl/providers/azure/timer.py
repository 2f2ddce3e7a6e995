"""The timer outside your computer: a daily shutdown schedule, which deallocates the instance at a time of day.

It is a resource of the instance's own group, with a name that follows from the instance's: it can be read back by
anybody, and it is deleted with the group. It holds hours and minutes only, so a deadline must be less than a day off.
Azure plans each shutdown half an hour ahead, so nothing that is written later than that changes it; see docs/decisions.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from gpuctl.domain.duration import exact
from gpuctl.domain.reconcile.evidence import GUARD_GRACE
from gpuctl.domain.safeguards import Mechanism, Safeguard, SafeguardStatus
from gpuctl.errors import CloudError, UsageError
from gpuctl.providers.azure.client import AzureClients
from gpuctl.providers.azure.errors import unless_absent
from gpuctl.providers.azure.names import group_id, machine_id, token_of
from gpuctl.providers.azure.observe import region_of

API = "2018-09-15"
# A schedule that is written later than FIXED before its time acts a day late. SOONEST leaves time for the call itself.
FIXED, SOONEST, FARTHEST = timedelta(minutes=31), timedelta(minutes=35), timedelta(hours=23)
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)


def fires_at(expires_at: datetime, now: datetime) -> datetime:
    """The full minute at which the timer is to act: 2 min past the deadline, and far enough off to act today."""
    return _rounded_up(max(expires_at + GUARD_GRACE, now + SOONEST))


def check_ttl(ttl: timedelta) -> None:
    """UsageError for a life whose end the timer cannot hold."""
    longest = FARTHEST - GUARD_GRACE - _MINUTE
    if ttl > longest:
        raise UsageError(
            f"the TTL on Azure is at most {exact(longest)}: a shutdown schedule has a time of day and no date",
            hint=f"add `--ttl {exact(longest)}`, and later: gpuctl extend ID --by 12h",
        )


def is_needed(acts_at: datetime | None, expires_at: datetime, now: datetime) -> bool:
    """Whether a timer that acts at `acts_at` (None: there is none) must be set for that deadline.

    UsageError where it must, and it is too late for that: Azure would still act at the old time, or a day late.
    """
    if acts_at is not None and _rounded_up(expires_at + GUARD_GRACE) <= acts_at <= fires_at(expires_at, now):
        return False
    if acts_at is not None and now < acts_at < now + FIXED:
        raise UsageError(
            f"its shutdown timer acts at {acts_at:%H:%M} UTC, and Azure takes no change of it in the last "
            f"{exact(FIXED)}",
            hint=f"extend before {acts_at - FIXED:%H:%M} UTC another time, or begin with a longer `--ttl`",
        )
    return True


def arm(clients: AzureClients, group: str, region: str, tags: Mapping[str, str], expires_at: datetime) -> None:
    """Set the timer for that deadline and read it back. One that serves is left as it is; a second call does nothing.

    UsageError, and nothing is written, where it is too late to move it or the deadline is too far off. CloudError where
    Azure shows another one than was set; raises what the SDK raises.
    """
    schedule = _read(clients, group)
    now = clients.cloud_time
    if now is None:
        raise CloudError(f"the timer of `{group}` was not set: Azure does not say what time it is there")
    if not is_needed(_next_shutdown(schedule, clients, group, now), expires_at, now):
        return
    at = fires_at(expires_at, now)
    if at - now >= FARTHEST:
        raise UsageError(f"the timer of `{group}` cannot hold a deadline {exact(at - now)} off")
    body = {
        "location": region,
        "tags": dict(tags),
        "properties": {
            "status": "Enabled",
            "taskType": "ComputeVmShutdownTask",
            "dailyRecurrence": {"time": f"{at:%H%M}"},
            "timeZoneId": "UTC",
            "notificationSettings": {"status": "Disabled"},
            "targetResourceId": machine_id(clients.subscription, group),
        },
    }
    clients.ask("PUT", _path(clients, group), API, body)
    acts_at = _next_shutdown(_read(clients, group), clients, group, now)
    if acts_at != at:
        raise CloudError(f"the timer of `{group}` was set for {at:%H:%M} UTC, and Azure shows another time")


def read_back(clients: AzureClients, group: str, at: datetime) -> Safeguard:
    """When the timer will act, as Azure reports it now."""
    stored = _read(clients, group)
    acts_at = _next_shutdown(stored, clients, group, at) if stored is not None else None
    if acts_at is None:
        reason = "no shutdown schedule" if stored is None else "its shutdown schedule is not for it, or is off"
        return Safeguard(mechanism=Mechanism.TIMER, status=SafeguardStatus.MISSING, checked_at=at, detail=reason)
    return Safeguard(
        mechanism=Mechanism.TIMER,
        status=SafeguardStatus.CONFIGURED,
        acts_at=acts_at,
        checked_at=at,
        detail=f"stops the instance at {acts_at:%H:%M} UTC (changeable until {acts_at - FIXED:%H:%M} UTC)",
        afterwards="",
    )


def _rounded_up(at: datetime) -> datetime:
    minute = at.replace(second=0, microsecond=0)
    return minute if minute == at else minute + _MINUTE


def _path(clients: AzureClients, group: str) -> str:
    name = f"shutdown-computevm-{token_of(group)}"
    return f"{group_id(clients.subscription, group)}/providers/Microsoft.DevTestLab/schedules/{name}"


def _read(clients: AzureClients, group: str) -> Mapping[str, Any] | None:
    return unless_absent(lambda: clients.ask("GET", _path(clients, group), API).json())


def _next_shutdown(
    reported: Mapping[str, Any] | None, clients: AzureClients, group: str, now: datetime
) -> datetime | None:
    """When the schedule fires next; None if it is not one that terminates this instance."""
    properties = (reported or {}).get("properties", {})
    target = str(properties.get("targetResourceId", "")).casefold()
    settings = (
        properties.get("status"),
        properties.get("taskType"),
        region_of(str(properties.get("timeZoneId", ""))),
        target,
    )
    wanted = ("Enabled", "ComputeVmShutdownTask", "utc", machine_id(clients.subscription, group).casefold())
    if settings != wanted:
        return None
    hhmm = properties["dailyRecurrence"]["time"]
    today = now.astimezone(UTC).replace(hour=int(hhmm[:2]), minute=int(hhmm[2:]), second=0, microsecond=0)
    due = today if today > now else today + _DAY
    # Made too shortly before that time of day, it does not act before the next day.
    created = properties.get("createdDate")
    return due + _DAY if created and due - datetime.fromisoformat(created).astimezone(UTC) < FIXED else due
