"""The reaper's memory, in a small file beside the state."""

import os
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from gpuctl.errors import StateUnusableError
from gpuctl.files import disk_hint, make_private, private_folder
from gpuctl.store.lease import Lease
from gpuctl.store.local.lease import LocalLeases
from gpuctl.store.reaper import ReapTimes


class LocalReaperMemory:
    """A `ReaperMemory` beside a state file. Making one touches nothing."""

    def __init__(self, state: Path, leases: LocalLeases) -> None:
        state = Path(os.path.realpath(state))
        self._path = state.with_name(f"{state.name}.reap.json")
        self._leases = leases

    def read(self) -> ReapTimes:
        try:
            return ReapTimes.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return ReapTimes()

    def update(self, change: Callable[[ReapTimes], ReapTimes], lease: Lease | None = None) -> bool:
        if lease is not None and not self._leases.is_current(lease):
            return False
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.tmp")
        content = change(self.read()).model_dump_json().encode()
        try:
            private_folder(self._path.parent)
            # Not synced: losing it to a crash only means that the next run sweeps.
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(temporary, flags, 0o600), "wb") as file:
                make_private(file.fileno())
                file.write(content)
            os.replace(temporary, self._path)
        except OSError as error:
            raise StateUnusableError(
                f"`{self._path}` could not be written: {error.strerror}", hint=disk_hint(error, self._path.parent)
            ) from error
        return True
