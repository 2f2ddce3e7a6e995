"""The shutdown timers of an instance as Google reports them: the guard, and Google's own run limit."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from gpuctl.domain.safeguards import Mechanism, Safeguard, SafeguardStatus
from gpuctl.domain.tags import EXPIRES_AT, parse_deadline
from gpuctl.providers.gcp.client import Api
from gpuctl.providers.gcp.failures import ApiError
from gpuctl.providers.gcp.guard import CONSOLE_PREFIX, GPU_PREFIX, GRACE
from gpuctl.providers.gcp.names import parts
from gpuctl.providers.gcp.observe import instant, limit_of, metadata_of
from gpuctl.providers.safeguards import reported_end, sweep_safeguard

_SILENT_AFTER = timedelta(minutes=5)  # ready for so long, a guard that runs has written to the console
_GUARD = re.compile(rf"{re.escape(CONSOLE_PREFIX)} ([ -~]{{1,200}})")
_GPU = re.compile(rf"{re.escape(GPU_PREFIX)} ([ -~]{{1,200}})")


def read_back(api: Api, cloud_id: str, at: datetime, ready_at: datetime | None) -> list[Safeguard]:
    """The sweep and the timer of that instance, as Google shows them at `at`.

    The timer is the guard; where the guard is missing, Google's run limit alone. Raises what a call raises, and
    KeyError, TypeError or ValueError for an answer of an odd shape.
    """
    zone, name = parts(cloud_id)
    instance = api.get(f"zones/{zone}/instances/{name}")
    is_overdue = ready_at is not None and at - ready_at >= _SILENT_AFTER and instance.get("status") == "RUNNING"
    console = _console(api, zone, name)
    launched_at = instant(instance.get("creationTimestamp"))
    sweep = sweep_safeguard(instance.get("labels") or {}, launched_at, at, source="its labels", tag="label")
    return [sweep, _timer(instance, console, at, is_overdue=is_overdue)]


def _timer(instance: Mapping[str, Any], console: str, at: datetime, *, is_overdue: bool) -> Safeguard:
    entries, limit = metadata_of(instance), limit_of(instance)
    deadline = parse_deadline(entries.get(EXPIRES_AT, ""))
    line, gpu = _last_match(_GUARD, console), _last_match(_GPU, console)
    has_guard = "gpuctl-guard.timer" in entries.get("startup-script", "")
    last_end = f"Google itself deletes the instance at {limit:%Y-%m-%dT%H:%M:%SZ}" if limit else "no run limit is shown"
    if instance.get("status") in ("TERMINATED", "STOPPED"):
        return _stopped(instance, at)
    if not has_guard or deadline is None or (is_overdue and not line):
        reason = "its console has no line of the guard 5 min after it was ready: an image without systemd?"
        detail = f"{reason if has_guard and deadline else 'there is no guard in its metadata'}; {last_end}"
        status = SafeguardStatus.MISSING if limit is None else SafeguardStatus.CONFIGURED
        return Safeguard(mechanism=Mechanism.TIMER, status=status, acts_at=limit, checked_at=at, detail=detail)
    acts_at = deadline + GRACE
    status, detail = SafeguardStatus.CONFIGURED, "the guard is installed; it powers the instance off"
    if line:
        status, detail = SafeguardStatus.VERIFIED, f"its console says: {line}"
        acts_at = reported_end(line, GRACE) or acts_at
    detail += f"; GPU: {gpu}" if gpu else ""
    return Safeguard(
        mechanism=Mechanism.TIMER,
        status=status,
        acts_at=acts_at,
        checked_at=at,
        detail=detail,
        afterwards=f"{last_end} if it still runs" if limit else last_end,
    )


def _stopped(instance: Mapping[str, Any], at: datetime) -> Safeguard:
    stopped_at = instant(instance.get("lastStopTimestamp"))
    return Safeguard(
        mechanism=Mechanism.TIMER,
        status=SafeguardStatus.VERIFIED,
        acts_at=stopped_at,
        checked_at=at,
        detail=f"the instance is powered off{f' since {stopped_at:%Y-%m-%dT%H:%M:%SZ}' if stopped_at else ''}",
        afterwards="whether Google's run limit deletes it then is not documented",
    )


def _console(api: Api, zone: str, name: str) -> str:
    """The console's text; empty where an organization policy or a missing permission hides it."""
    try:
        return str(api.get(f"zones/{zone}/instances/{name}/serialPort").get("contents") or "")
    except ApiError:
        return ""


def _last_match(pattern: re.Pattern[str], text: str) -> str:
    lines: list[str] = pattern.findall(text)
    return lines[-1].strip() if lines else ""
