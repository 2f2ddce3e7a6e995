"""When a reaper on a schedule should have run and did not."""

from datetime import datetime, timedelta

_GRACE = timedelta(minutes=1)


def late_by(now: datetime, every: timedelta, installed_at: datetime, last_reap_at: datetime | None) -> timedelta | None:
    """How long ago it last ran (or was installed), if two runs in a row were missed; else None.

    A time in the future says nothing: clocks are set.
    """
    since = now - max(installed_at, last_reap_at or installed_at)
    return since if since > 2 * every + _GRACE else None
