"""What is the same in every reply of AWS: when it was given."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any


def reply_date(answer: Mapping[str, Any]) -> datetime | None:
    """When the cloud says it gave this answer; None where it does not say, or not so that it can be read."""
    text = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        at = parsedate_to_datetime(text) if text else None
    except (TypeError, ValueError):
        return None
    return at.astimezone(UTC) if at is not None and at.tzinfo is not None else None
