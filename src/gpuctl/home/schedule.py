"""A note of the schedule that was installed for a state, so that a reaper that does not run can be noticed."""

import os
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from gpuctl.domain.schedule import Installed
from gpuctl.errors import StateUnusableError
from gpuctl.files import Disk, disk_hint, private_folder, write_whole

_LARGEST_ERROR_LOG = 100_000


class ScheduleNote:
    """The note in the folder of a state. Making one touches nothing."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "schedule.json"

    def read(self) -> Installed | None:
        """What was installed; None where nothing was, or where it cannot be read."""
        try:
            return Installed.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, installed: Installed) -> None:
        """Keep it, replacing what was there. Raises StateUnusableError when it cannot."""
        try:
            private_folder(self._path.parent)
            write_whole(Disk(), self._path, installed.model_dump_json().encode())
        except OSError as error:
            raise StateUnusableError(
                f"`{self._path}` could not be written: {error.strerror}", hint=disk_hint(error, self._path.parent)
            ) from error

    def forget(self) -> None:
        """Remove the note; twice is harmless."""
        with suppress(FileNotFoundError):
            self._path.unlink()


def error_log_in(folder: Path) -> Path:
    """The file in the folder of a state that receives what fails before gpuctl runs, where launchd runs it."""
    return folder / "reap.launchd.err"


def limit_error_log(folder: Path) -> None:
    """Empty that file if it has more than 100 KB: launchd appends to it without a limit. Never raises."""
    path = error_log_in(folder)
    with suppress(OSError):
        if path.stat().st_size > _LARGEST_ERROR_LOG:
            os.truncate(path, 0)
