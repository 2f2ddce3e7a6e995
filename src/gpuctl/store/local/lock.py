"""The state's lock: a file of its own that is never unlinked, and that remembers the state's id."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from gpuctl.clock import Clock
from gpuctl.errors import StateLockedError
from gpuctl.files import lock, make_private, sync
from gpuctl.store.local.claim import Claims
from gpuctl.store.state_id import is_state_id

PATIENCE = timedelta(seconds=30)
READ_PATIENCE = timedelta(seconds=1)
_PAUSE = timedelta(milliseconds=50)
# Both lines have a fixed width, so that each is always written in place and in one piece.
_ID_WIDTH = 48
_SERIAL_WIDTH = 24
_HEAD = _ID_WIDTH + _SERIAL_WIDTH
_SERIAL = re.compile(r"serial (\d{16})\n", re.ASCII)


@dataclass(frozen=True, slots=True)
class LockContent:
    """The content of the lock file: the state's ID, whether the state file ever existed, and its newest serial."""

    state_id: str
    is_created: bool
    serial: int = 0


class Lock:
    """A lock that the kernel frees when its holder dies; on a disk without locks, a claim beside the file.

    The file's lines: the state's id, the newest serial written under the lock, the holder's pid.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._claims = Claims(path)
        self._claim: Path | None = None
        self.patience = PATIENCE

    @contextmanager
    def hold(self) -> Iterator[int]:
        """Hold the lock, and get the lock file's descriptor. StateLockedError, with its holder, after `patience`."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            make_private(descriptor)
            self._claim = claim = self._wait_for(descriptor)
            try:
                with suppress(OSError):
                    os.ftruncate(descriptor, min(os.fstat(descriptor).st_size, _HEAD))
                    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), _HEAD)
                yield descriptor
            finally:
                if claim is not None:
                    self._claims.release(claim)
        finally:
            os.close(descriptor)

    def require_held(self) -> None:
        """StateLockedError where another process has taken over, because this one was suspended for minutes.

        That happens on a disk without locks only.
        """
        if self._claim is not None and not self._claims.is_held(self._claim):
            raise StateLockedError(
                "another gpuctl has taken over the state while this one was suspended; nothing was written",
                hint="run the command again",
            )

    def remembered(self, descriptor: int | None = None) -> LockContent | None:
        """The state that this lock belongs to; None where none was ever born. Takes no lock.

        The holder passes its descriptor: where locks are mandatory (SMB) nobody can read the file through another one.
        There, None too while another process holds the lock for longer than a second.
        """
        content = self._content() if descriptor is None else os.pread(descriptor, _HEAD, 0)
        if content is None:
            return None
        lines = content[:_HEAD].decode("ascii", "replace")
        state_id, _, phase = lines[:_ID_WIDTH].strip("\x00\n ").partition(" ")
        serial = _SERIAL.fullmatch(lines[_ID_WIDTH:])
        return (
            LockContent(state_id, phase.strip() == "born", int(serial[1]) if serial else 0)
            if is_state_id(state_id)
            else None
        )

    def require_readable(self) -> None:
        """PermissionError if the lock file exists and cannot be read, so that its content is unknown."""
        with suppress(FileNotFoundError):
            self.path.read_bytes()

    @staticmethod
    def remember(descriptor: int, state: LockContent) -> None:
        """Write the state's id down, durably. The lock must be held."""
        phase = "born" if state.is_created else "new"
        line = f"{state.state_id} {phase}".ljust(_ID_WIDTH - 1) + f"\nserial {state.serial:016}\n"
        os.pwrite(descriptor, line.encode(), 0)
        sync(descriptor)

    @staticmethod
    def remember_serial(descriptor: int, serial: int) -> None:
        """Write down the newest serial. The lock must be held.

        Not synced, and a failure is passed over: one that is too low only means that an older state may go unnoticed.
        """
        with suppress(OSError):
            os.pwrite(descriptor, f"serial {serial:016}\n".encode(), _ID_WIDTH)

    def _content(self) -> bytes | None:
        started = self._clock.elapsed()
        while True:
            try:
                return self.path.read_bytes()
            except FileNotFoundError:
                return None
            except PermissionError:
                if self._clock.elapsed() - started >= READ_PATIENCE:
                    return None
                self._clock.sleep(_PAUSE)

    def _wait_for(self, descriptor: int) -> Path | None:
        """Take the lock and return None, or where the disk has no locks the claim that was made instead."""
        started = self._clock.elapsed()
        while True:
            with suppress(BlockingIOError):
                return None if lock(descriptor) else self._claims.make()
            if self._clock.elapsed() - started >= self.patience:
                raise StateLockedError(
                    f"the state is locked by another gpuctl{_holder(descriptor)}", hint="wait, or stop that process"
                )
            self._clock.sleep(_PAUSE)


def _holder(descriptor: int) -> str:
    pid = os.pread(descriptor, 20, _HEAD).decode("ascii", "replace").strip()
    return f" (process {pid})" if pid.isdigit() else ""
