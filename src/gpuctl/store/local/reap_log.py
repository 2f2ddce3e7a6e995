"""The reaper's memory, its turn, and whose turn it is to tell hooks, in small files beside the state."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from gpuctl.errors import StateUnusableError
from gpuctl.files import lock, make_private, private_folder
from gpuctl.store.reaper import ReapTimes


class LocalReapLog:
    """A `ReapLog` beside a local state. Making one touches nothing."""

    def __init__(self, state: Path) -> None:
        state = Path(os.path.realpath(state))
        self._times = state.with_name(f"{state.name}.reap.json")
        self._lock = state.with_name(f"{state.name}.reap.lock")
        self._delivering = state.with_name(f"{state.name}.hooks.lock")

    def read(self) -> ReapTimes:
        try:
            return ReapTimes.model_validate_json(self._times.read_bytes())
        except (OSError, ValidationError):
            return ReapTimes()

    def write(self, times: ReapTimes) -> None:
        temporary = self._times.with_name(f".{self._times.name}.{os.getpid()}.tmp")
        try:
            private_folder(self._times.parent)
            # Not synced: losing it to a crash only means that the next run sweeps.
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(temporary, flags, 0o600), "wb") as file:
                make_private(file.fileno())
                file.write(times.model_dump_json().encode())
            os.replace(temporary, self._times)
        except OSError as error:
            raise StateUnusableError(
                f"`{self._times}` could not be written: {error.strerror}", hint=f"ls -ld {self._times.parent}"
            ) from error

    @contextmanager
    def turn(self, now: datetime) -> Iterator[datetime | None]:
        with _held(self._lock) as (descriptor, is_ours):
            if descriptor is not None and not is_ours:
                yield _begun(descriptor, now)
                return
            if descriptor is not None:
                with suppress(OSError):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, now.astimezone(UTC).isoformat().encode(), 0)
            yield None

    @contextmanager
    def delivering(self) -> Iterator[bool]:
        with _held(self._delivering) as (descriptor, is_ours):
            yield descriptor is None or is_ours


@contextmanager
def _held(path: Path) -> Iterator[tuple[int | None, bool]]:
    """The file, open, and whether its lock is ours now. None where the disk gives no lock.

    Such a lock only saves work: a disk that gives none must not keep machines alive.
    """
    try:
        private_folder(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        yield None, False
        return
    try:
        make_private(descriptor)
        try:
            lock(descriptor)
            is_ours = True
        except BlockingIOError:
            is_ours = False
        except OSError:
            is_ours = True
        yield descriptor, is_ours
    finally:
        os.close(descriptor)


def _begun(descriptor: int, now: datetime) -> datetime:
    try:
        return datetime.fromisoformat(os.pread(descriptor, 64, 0).decode("ascii"))
    except ValueError:
        return now
