"""Rescue files: records that could not be written to the state, one file each, until the state takes them again."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from gpuctl.domain.instance import Instance
from gpuctl.domain.tags import RECORD_ID_PREFIX
from gpuctl.errors import StateUnusableError
from gpuctl.files import Disk, private_folder, write_whole


class RescueFolder:
    """A `Rescue` in a folder of your computer. Making one touches nothing."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self.folder = folder
        self._disk = disk or Disk()

    def save(self, record: Instance) -> str:
        path = self.folder / f"{record.id}.json"
        with self._translated():
            private_folder(self.folder)
            write_whole(self._disk, path, json.dumps(record.model_dump(mode="json")).encode())
        return str(path)

    def saved(self) -> Sequence[Instance]:
        records = []
        for path in sorted(self.folder.glob(f"{RECORD_ID_PREFIX}*.json")):
            with suppress(OSError, ValidationError):
                records.append(Instance.model_validate_json(path.read_bytes()))
        return records

    def delete(self, record_id: str) -> None:
        with self._translated():
            (self.folder / f"{record_id}.json").unlink(missing_ok=True)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StateUnusableError(
                f"`{self.folder}` could not be written: {error.strerror or error}", hint=f"ls -ld {self.folder.parent}"
            ) from error
