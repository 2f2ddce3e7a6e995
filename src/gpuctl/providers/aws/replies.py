"""What is the same in every reply of AWS: when it was given."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gpuctl.providers.http import parse_date


def reply_date(answer: Mapping[str, Any]) -> datetime | None:
    """When the cloud says it gave this answer; None where it does not say, or not so that it can be read."""
    text = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return parse_date(text)
