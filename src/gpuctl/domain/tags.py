"""The tags that make an instance ours: how a record id and a deadline are spelled, and read back without trust."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

ID = "gpuctl-id"
STATE = "gpuctl-state"
OWNER = "gpuctl-owner"
EXPIRES_AT = "gpuctl-expires-at"
CREATED_AT = "gpuctl-created-at"  # where a cloud does not tell itself when a thing was made
PREFIX = "gpuctl-"

RECORD_ID_PREFIX, RECORD_ID_LENGTH = "inst-", 12  # the length counts what follows the prefix
RECORD_ID = re.compile(rf"{RECORD_ID_PREFIX}[0-9a-z]{{{RECORD_ID_LENGTH}}}")
STATE_ID = re.compile(r"[a-z0-9-]{8,40}")
_DEADLINE = re.compile(r"(\d{8}t\d{6}z)(?:-(\d{6}))?", re.ASCII)
_DEADLINE_FORM = "%Y%m%dt%H%M%Sz"


@dataclass(frozen=True, slots=True)
class Ownership:
    """What an instance's tags say of it; a part that is missing or cannot be read is None."""

    record_id: str | None
    state_id: str | None
    expires_at: datetime | None
    created_at: datetime | None = None


def deadline_tag(expires_at: datetime) -> str:
    """The deadline as `20261123t131500z`: UTC, legal as a tag on every cloud, and ordered as a string.

    With microseconds, as an extension has them, it is `20261123t131500z-000042`.
    """
    fraction = f"-{expires_at.microsecond:06}" if expires_at.microsecond else ""
    return expires_at.astimezone(UTC).strftime(_DEADLINE_FORM) + fraction


def parse_deadline(text: str) -> datetime | None:
    """The instant a deadline tag names, or None if it is not exactly of that form."""
    match = _DEADLINE.fullmatch(text)
    if match is None:
        return None
    try:
        return datetime.strptime(match[1], _DEADLINE_FORM).replace(tzinfo=UTC, microsecond=int(match[2] or 0))
    except ValueError:
        return None


def ownership(tags: Mapping[str, str]) -> Ownership:
    """What these tags claim. A value that is malformed counts as missing; nothing is guessed."""
    record_id, state_id = tags.get(ID, ""), tags.get(STATE, "")
    return Ownership(
        record_id=record_id if RECORD_ID.fullmatch(record_id) else None,
        state_id=state_id if STATE_ID.fullmatch(state_id) else None,
        expires_at=parse_deadline(tags.get(EXPIRES_AT, "")),
        created_at=parse_deadline(tags.get(CREATED_AT, "")),
    )
