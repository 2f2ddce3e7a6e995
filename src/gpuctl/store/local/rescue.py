"""Records that could not be written into the state, a file each beside it, until the state takes them again."""

import json
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from gpuctl.domain.instance import Instance
from gpuctl.domain.tags import RECORD_ID_PREFIX
from gpuctl.files import Disk, private_folder, write_whole


class Rescue:
    """The folder beside a state that holds what the state could not take."""

    def __init__(self, state: Path, disk: Disk) -> None:
        self.folder = state.with_name(f"{state.name}.rescue")
        self._disk = disk

    def keep(self, record: Instance) -> Path:
        """Write this record down, durably, and return where. Raises OSError; twice replaces it."""
        private_folder(self.folder)
        path = self.folder / f"{record.id}.json"
        write_whole(self._disk, path, json.dumps(record.model_dump(mode="json")).encode())
        return path

    def kept(self) -> list[Instance]:
        """Every record that waits here; what cannot be read is left where it is."""
        found = []
        for path in sorted(self.folder.glob(f"{RECORD_ID_PREFIX}*.json")):
            with suppress(OSError, ValidationError):
                found.append(Instance.model_validate_json(path.read_bytes()))
        return found

    def forget(self, record_id: str) -> None:
        """Remove that record's file; gone already is fine. Raises OSError."""
        (self.folder / f"{record_id}.json").unlink(missing_ok=True)
