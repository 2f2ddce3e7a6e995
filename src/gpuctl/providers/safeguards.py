"""What every provider reports alike of the safeguards: the sweep by tags, and the end that a guard prints."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from gpuctl.domain.reconcile.orphans import ORPHAN_AGE
from gpuctl.domain.safeguards import Mechanism, Safeguard, SafeguardStatus
from gpuctl.domain.tags import ownership, parse_deadline

_ARMED = re.compile(r"ends at (\d{8}t\d{6}z(?:-\d{6})?)( \(tag\))?")


def sweep_safeguard(
    tags: Mapping[str, str], launched_at: datetime | None, at: datetime, *, source: str, tag: str = "tag"
) -> Safeguard:
    """What those tags, read at that time, let the sweep do with the instance, and when.

    `launched_at` is None where a tag should have it and has not. `source` and `tag` are the provider's words for them.
    """
    claims = ownership(tags)
    required = {
        "id": claims.record_id,
        "state": claims.state_id,
        "deadline": claims.expires_at,
        "launch time": launched_at,
    }
    missing = [name for name, value in required.items() if value is None]
    if missing or claims.expires_at is None or launched_at is None:
        reason = f"no readable {tag} for {', '.join(missing)}"
        return Safeguard(mechanism=Mechanism.SWEEP, status=SafeguardStatus.MISSING, checked_at=at, detail=reason)
    return Safeguard(
        mechanism=Mechanism.SWEEP,
        status=SafeguardStatus.CONFIGURED,
        acts_at=max(claims.expires_at, launched_at + ORPHAN_AGE),
        checked_at=at,
        detail=f"from {source}",
    )


def reported_end(line: str, grace: timedelta) -> datetime | None:
    """When the guard that wrote this console line terminates its instance; None where the line does not say."""
    match = _ARMED.search(line)
    end = parse_deadline(match[1]) if match else None
    return end + grace if end is not None and match is not None and match[2] else end
