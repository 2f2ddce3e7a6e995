"""Reads one record as the state file holds it."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from gpuctl.domain.instance import Instance
from gpuctl.store.local.format import UnreadableState


def instance(stored: Mapping[str, Any]) -> Instance:
    """The record that is stored so. Unreadable if it is none."""
    try:
        return Instance.model_validate(dict(stored))
    except ValidationError as error:
        raise UnreadableState(f"holds a record that cannot be read: {error.errors()[0]['msg']}") from None
