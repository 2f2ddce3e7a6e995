"""The state's lock: a file of its own that is never unlinked, and that remembers the state's id."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from gpuctl.clock import Clock
from gpuctl.errors import StateLockedError
from gpuctl.store.statefile import is_state_id

PATIENCE = timedelta(seconds=30)
_PAUSE = timedelta(milliseconds=50)
_WIDTH = 48  # the first line's, fixed, so that it is always written in place and in one piece


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the lock file says of the state: its id, and whether the state file was ever there."""

    state_id: str
    is_born: bool


class Lock:
    """A lock that the kernel frees when its holder dies. The id line is fixed in place; the holder's pid follows it."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock

    @contextmanager
    def held(self) -> Iterator[int]:
        """Hold the lock, and get the lock file's descriptor. StateLockedError, naming the holder, after 30 s."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            self._wait_for(descriptor)
            with suppress(OSError):
                os.ftruncate(descriptor, min(os.fstat(descriptor).st_size, _WIDTH))
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), _WIDTH)
            yield descriptor
        finally:
            os.close(descriptor)

    def remembered(self) -> Remembered | None:
        """The state that this lock belongs to; None where none was ever born. Takes no lock."""
        try:
            line = self.path.read_bytes()[:_WIDTH].decode("ascii", "replace")
        except FileNotFoundError:
            return None
        state_id, _, phase = line.strip("\x00\n ").partition(" ")
        return Remembered(state_id, phase.strip() == "born") if is_state_id(state_id) else None

    @staticmethod
    def remember(descriptor: int, state: Remembered) -> None:
        """Write the state's id down, durably. The lock must be held."""
        line = f"{state.state_id} {'born' if state.is_born else 'new'}".ljust(_WIDTH - 1) + "\n"
        os.pwrite(descriptor, line.encode(), 0)
        os.fsync(descriptor)

    def _wait_for(self, descriptor: int) -> None:
        started = self._clock.elapsed()
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if self._clock.elapsed() - started >= PATIENCE:
                    raise StateLockedError(
                        f"the state is locked by another gpuctl{_holder(descriptor)}", hint="wait, or end that process"
                    ) from None
                self._clock.sleep(_PAUSE)


def _holder(descriptor: int) -> str:
    pid = os.pread(descriptor, 20, _WIDTH).decode("ascii", "replace").strip()
    return f" (process {pid})" if pid.isdigit() else ""
