"""Which deadline is in force where another copy of this state may have extended it.

A state can be copied to another computer, and both copies then have a reaper. `extend` writes the deadline to the tags
of the instance before it writes the record, so a later deadline in the tags was granted by another copy, unless this
state itself has sent it and not granted it.
"""

from datetime import datetime, timedelta

from gpuctl.domain.events import EventName
from gpuctl.domain.instance import Instance, Observed, Status
from gpuctl.domain.lifecycle import note, with_facts
from gpuctl.domain.market.request import HIGHEST_MAX_TTL
from gpuctl.domain.reconcile.actions import Rules
from gpuctl.domain.tags import ownership

# How long past the deadline an instance whose tags cannot be read is left to its shutdown timer.
UNREAD_GRACE = timedelta(minutes=15)


def extended_by_tags(
    record: Instance, observed: Observed | None, rules: Rules, now: datetime | None
) -> datetime | None:
    """The deadline that another copy of this state has granted, where it is later than the record's; else None.

    Only the tags of the record's own instance count, and no deadline further ahead than `extend` grants anywhere: the
    other computer may have another `max_ttl`.
    """
    if observed is None or not observed.exists or now is None or record.cloud_id not in (None, observed.cloud_id):
        return None
    tags = ownership(observed.tags)
    if (tags.record_id, tags.state_id) != (record.id, rules.state_id) or tags.expires_at is None:
        return None
    is_granted = record.expires_at < tags.expires_at <= now + HIGHEST_MAX_TTL
    return tags.expires_at if is_granted and tags.expires_at not in record.unconfirmed_deadlines else None


def extended(record: Instance, expires_at: datetime | None, at: datetime) -> Instance:
    """The record with the deadline that another copy of this state has granted.

    The record itself where that is no later, was sent by this state and not granted, or where the instance is ending.
    """
    is_over = record.status.is_ended or record.status is Status.STOPPING
    if expires_at is None or is_over or expires_at <= record.expires_at or expires_at in record.unconfirmed_deadlines:
        return record
    change = f"{record.expires_at:%Y-%m-%dT%H:%M:%SZ} to {expires_at:%Y-%m-%dT%H:%M:%SZ}"
    detail = f"{change}, extended by another copy of this state"
    return note(record, EventName.EXTENDED, at, detail=detail, expires_at=expires_at)


def lacks_granted_deadline(record: Instance, observed: Observed | None) -> bool:
    """Whether the tags show an earlier deadline than the one that `extend` granted here and that is in force.

    Another copy of this state has then extended the instance at the same time, and its request came last.
    """
    is_over = record.status.is_ended or record.status is Status.STOPPING
    if is_over or observed is None or record.granted_deadline != record.expires_at:
        return False
    expires_at = ownership(observed.tags).expires_at
    return expires_at is not None and expires_at < record.expires_at


def with_unconfirmed(record: Instance, expires_at: datetime, at: datetime) -> Instance:
    """The record before `extend` sends that deadline: until it is granted it does not count in the tags."""
    deadlines = (*record.unconfirmed_deadlines, expires_at)
    return with_facts(record, at, unconfirmed_deadlines=tuple(dict.fromkeys(deadlines)))


def without_unconfirmed(record: Instance, expires_at: datetime, at: datetime) -> Instance:
    """The record once that deadline is granted, or is known not to be in the tags."""
    deadlines = tuple(deadline for deadline in record.unconfirmed_deadlines if deadline != expires_at)
    return with_facts(record, at, unconfirmed_deadlines=deadlines)
