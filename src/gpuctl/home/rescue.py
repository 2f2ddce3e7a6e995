"""Rescue files: records that could not be written to the state, one file each, until the state takes them again."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from gpuctl.domain.instance import Instance
from gpuctl.domain.tags import RECORD_ID_PREFIX
from gpuctl.errors import StateUnusableError
from gpuctl.files import Disk, disk_hint, private_folder, write_whole


class RescueFolder:
    """A `Rescue` in the folder of a state. Making one touches nothing.

    `state_folder` returns the folder for the files of the state, None where no state exists yet.
    """

    def __init__(self, state_folder: Callable[[], Path | None]) -> None:
        self._state_folder = state_folder

    def save(self, record: Instance) -> str:
        folder = self._folder()
        if folder is None:
            raise StateUnusableError("the ID of the state is unknown")
        path = folder / f"{record.id}.json"
        with _translated(folder):
            private_folder(folder)
            write_whole(Disk(), path, json.dumps(record.model_dump(mode="json")).encode())
        return str(path)

    def saved(self) -> Sequence[Instance]:
        folder = self._folder()
        records = []
        for path in sorted(folder.glob(f"{RECORD_ID_PREFIX}*.json")) if folder else ():
            with suppress(OSError, ValidationError):
                records.append(Instance.model_validate_json(path.read_bytes()))
        return records

    def delete(self, record_id: str) -> None:
        folder = self._folder()
        if folder is not None:
            with _translated(folder):
                (folder / f"{record_id}.json").unlink(missing_ok=True)

    def _folder(self) -> Path | None:
        folder = self._state_folder()
        return None if folder is None else folder / "rescue"


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StateUnusableError(
            f"`{folder}` could not be written: {error.strerror or error}", hint=disk_hint(error, folder.parent)
        ) from error
