"""Records as an engine keeps them."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime

from pydantic import ValidationError

from gpuctl.domain.instance import Instance
from gpuctl.errors import StateFault, StateUnusableError
from gpuctl.store.shared.engine import Contents


def body_of(record: Instance) -> str:
    """The record as an engine keeps it: JSON in ASCII, because an engine may lack some characters."""
    return json.dumps(record.model_dump(mode="json"), separators=(",", ":"))


def ended_at(record: Instance) -> datetime:
    """When the record ended; of a record without an end the last change."""
    return record.terminated_at or record.updated_at


def readable(items: Iterable[tuple[str, str]]) -> Iterator[Instance]:
    """The records with these IDs and bodies; one that cannot be read is skipped."""
    for _, body in items:
        with suppress(ValidationError):
            yield Instance.model_validate_json(body)


def every_record(contents: Contents | None, location: str) -> dict[str, Instance]:
    """The records by ID. StateUnusableError where one cannot be read."""
    records = {}
    for key, row in contents.rows.items() if contents else ():
        try:
            records[key] = Instance.model_validate_json(row.body)
        except ValidationError as error:
            raise StateUnusableError(
                f"the state `{location}` holds a record that cannot be read, {key}: {error.errors()[0]['msg']}",
                hint="restore the database from its backup",
                fault=StateFault.DAMAGED,
            ) from None
    return records
