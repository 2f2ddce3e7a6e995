"""When to say that a deadline is near, and that it was said: once for every deadline, in time to extend it."""

from datetime import datetime, timedelta

from gpuctl.domain.events import EventName
from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.lifecycle import note

NOTICE = timedelta(minutes=10)


def expiring_at(record: Instance) -> datetime:
    """The later of 10 min before the deadline and half the time that it granted when it was set."""
    granted_at = next(
        (entry.at for entry in reversed(record.history) if entry.event == EventName.EXTENDED), record.created_at
    )
    return max(record.expires_at - NOTICE, granted_at + (record.expires_at - granted_at) / 2)


def is_expiring(record: Instance, now: datetime) -> bool:
    """Whether the event is due: active, not STOPPING, and not recorded for this deadline yet."""
    is_open = record.is_active and record.status is not Status.STOPPING
    return is_open and expiring_at(record) <= now < record.expires_at and not _has_notice(record)


def with_notice(record: Instance, now: datetime) -> Instance:
    """The record with the entry that says so, where it is time to; else the record itself. Twice is once."""
    if not is_expiring(record, now):
        return record
    return note(record, EventName.EXPIRING, now, detail=_detail(record))


def _has_notice(record: Instance) -> bool:
    detail = _detail(record)
    return any(entry.event == EventName.EXPIRING and entry.detail == detail for entry in record.history)


def _detail(record: Instance) -> str:
    return f"ends at {record.expires_at:%Y-%m-%dT%H:%M:%SZ}"
