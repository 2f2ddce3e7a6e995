"""The timer outside the laptop: a daily shutdown schedule on the machine, which deallocates it at a time of day.

It is a resource of the machine's own group, with a name that follows from the machine's: setting it twice is setting it
once, it can be read back, and it goes with the group. It knows hours and minutes only, so a deadline must be less than
a day off; see docs/decisions for why Azure's one-shot actions are not used.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from gpuctl.domain.duration import spelled
from gpuctl.domain.evidence import GUARD_GRACE
from gpuctl.domain.protection import Killer, Protector, Standing
from gpuctl.errors import CloudError, UsageError
from gpuctl.providers.azure.client import Clients
from gpuctl.providers.azure.errors import SDK_ERRORS, is_absent
from gpuctl.providers.azure.names import group_id, machine_id, token_of
from gpuctl.providers.azure.observe import region_of

API = "2018-09-15"
SOONEST, FARTHEST = timedelta(minutes=10), timedelta(hours=23)
_MINUTE = timedelta(minutes=1)


def fires_at(expires_at: datetime, now: datetime) -> datetime:
    """The full minute at which the timer is to fire: 2 min past the deadline, and far enough off to be taken."""
    wanted = max(expires_at + GUARD_GRACE, now + SOONEST)
    whole = wanted.replace(second=0, microsecond=0)
    return whole if whole == wanted else whole + _MINUTE


def check_life(life: timedelta) -> None:
    """UsageError for a life whose end the timer cannot hold."""
    longest = FARTHEST - GUARD_GRACE - _MINUTE
    if life > longest:
        raise UsageError(
            f"on Azure a machine may live at most {spelled(longest)} at a time: its timer knows the time of day only",
            hint=f"add `--ttl {spelled(longest)}`, and later: gpuctl extend ID --by 12h",
        )


def arm(clients: Clients, group: str, region: str, tags: Mapping[str, str], expires_at: datetime) -> None:
    """Set the timer for that deadline and read it back; twice is the same.

    CloudError where it cannot hold the deadline or does not stand as it was set; raises what the SDK raises.
    """
    now = clients.cloud_time
    if now is None:
        raise CloudError(f"the timer of `{group}` was not set: Azure does not say what time it is there")
    at = fires_at(expires_at, now)
    if at - now >= FARTHEST:
        raise CloudError(f"the timer of `{group}` cannot hold a deadline {spelled(at - now)} off")
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
    stands = _next(_read(clients, group), clients, group, now)
    if stands != at:
        raise CloudError(f"the timer of `{group}` was set for {at:%H:%M} UTC and does not stand so")


def read_back(clients: Clients, group: str, at: datetime) -> Protector:
    """When the timer will really fire, as it stands in the cloud now."""
    said = _read(clients, group)
    acts_at = _next(said, clients, group, at) if said is not None else None
    if acts_at is None:
        why = "no shutdown schedule" if said is None else "its shutdown schedule is not for it, or is off"
        return Protector(killer=Killer.TIMER, standing=Standing.MISSING, read_at=at, detail=why)
    return Protector(
        killer=Killer.TIMER,
        standing=Standing.CONFIGURED,
        acts_at=acts_at,
        read_at=at,
        detail=f"deallocates it at {acts_at:%H:%M} UTC; disk and address go on until a reaper ends the group",
    )


def _path(clients: Clients, group: str) -> str:
    name = f"shutdown-computevm-{token_of(group)}"
    return f"{group_id(clients.subscription, group)}/providers/Microsoft.DevTestLab/schedules/{name}"


def _read(clients: Clients, group: str) -> Mapping[str, Any] | None:
    try:
        said: Mapping[str, Any] = clients.ask("GET", _path(clients, group), API).json()
    except SDK_ERRORS as error:
        if is_absent(error):
            return None
        raise
    return said


def _next(said: Mapping[str, Any] | None, clients: Clients, group: str, now: datetime) -> datetime | None:
    """When the schedule fires next; None if it is not one that ends this machine."""
    told = (said or {}).get("properties", {})
    target = str(told.get("targetResourceId", "")).casefold()
    stands = (told.get("status"), told.get("taskType"), region_of(str(told.get("timeZoneId", ""))), target)
    wanted = ("Enabled", "ComputeVmShutdownTask", "utc", machine_id(clients.subscription, group).casefold())
    if stands != wanted:
        return None
    hhmm = told["dailyRecurrence"]["time"]
    today = now.astimezone(UTC).replace(hour=int(hhmm[:2]), minute=int(hhmm[2:]), second=0, microsecond=0)
    return today if today > now else today + timedelta(days=1)
