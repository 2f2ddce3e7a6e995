"""Leases of a state file: a lock file for each, and in it who has the lease since when."""

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gpuctl.clock import Clock
from gpuctl.files import lock, make_private, private_folder
from gpuctl.store.lease import Lease, LeaseName

_LONGEST = 1_024


class LocalLeases:
    """`Leases` beside a state file. Making one touches nothing.

    The kernel frees the lock of a holder that dies, and then the lease is free whatever the file says. A holder that
    hangs keeps the lock; its lease expires by the file. On a disk without locks every lease is given.
    """

    def __init__(self, state: Path, clock: Clock) -> None:
        self._state = Path(os.path.realpath(state))
        self._clock = clock
        self._descriptors: dict[tuple[LeaseName, int], int] = {}

    def acquire(self, name: LeaseName, holder: str, duration: timedelta) -> Lease | None:
        now = self._clock.now()
        unguarded = Lease(name, holder, now, now + duration, version=0)
        try:
            private_folder(self._state.parent)
            descriptor = os.open(self._path(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return unguarded
        try:
            lease = _acquired(descriptor, unguarded)
        except OSError:
            os.close(descriptor)
            return unguarded
        if lease is None or not lease.version:
            os.close(descriptor)
        else:
            self._descriptors[lease.name, lease.version] = descriptor
        return lease

    def is_current(self, lease: Lease) -> bool:
        if not lease.version:
            return True
        try:
            entry = _parse(self._path(lease.name).read_bytes(), timedelta(0))
        except OSError:
            return True
        return entry is None or (entry.version, entry.began_at) == (lease.version, lease.began_at)

    def release(self, lease: Lease) -> None:
        descriptor = self._descriptors.pop((lease.name, lease.version), None)
        if descriptor is None:
            return
        if lease.unfinished_since is not None and self.is_current(lease):
            # The previous holder may still hang: the next one must know that, too.
            before = replace(_Entry.of(lease), began_at=lease.unfinished_since, expires_at=lease.unfinished_since)
            with suppress(OSError):
                _write(descriptor, before)
        os.close(descriptor)

    def _path(self, name: LeaseName) -> Path:
        return self._state.with_name(f"{self._state.name}.{name}.lock")


@dataclass(frozen=True, slots=True)
class _Entry:
    """The content of a lock file. `is_locked`: the holder also holds the file lock, so that its death is noticed."""

    began_at: datetime
    expires_at: datetime
    version: int
    is_locked: bool
    holder: str

    @classmethod
    def of(cls, lease: Lease) -> "_Entry":
        return cls(lease.began_at, lease.expires_at, lease.version, lease.unfinished_since is None, lease.holder)

    def is_running(self, now: datetime) -> bool:
        # An instant in the future was written by a clock that was wrong.
        return self.began_at <= now < self.expires_at


def _acquired(descriptor: int, wanted: Lease) -> Lease | None:
    """The lease, written into its open file, or as it was where there are no locks; None if another holder has it."""
    make_private(descriptor)
    try:
        if not lock(descriptor):
            return wanted
        is_free = True
    except BlockingIOError:
        is_free = False
    before = _read(descriptor, wanted.expires_at - wanted.began_at)
    if before.is_running(wanted.began_at) and not (is_free and before.is_locked):
        return None
    lease = replace(wanted, version=before.version + 1, unfinished_since=None if is_free else before.began_at)
    _write(descriptor, _Entry.of(lease))
    return lease


def _write(descriptor: int, entry: _Entry) -> None:
    began_at, expires_at = (instant.astimezone(UTC).isoformat() for instant in (entry.began_at, entry.expires_at))
    how = "locked" if entry.is_locked else "unlocked"
    content = f"{began_at}\n{expires_at} {entry.version} {how} {entry.holder}\n".encode()
    os.pwrite(descriptor, content, 0)
    os.ftruncate(descriptor, len(content))


def _read(descriptor: int, duration: timedelta) -> _Entry:
    """The content of the file; if it cannot be parsed, a lease that began when the file was last changed."""
    entry = _parse(os.pread(descriptor, _LONGEST, 0), duration)
    if entry is None:
        began_at = datetime.fromtimestamp(os.fstat(descriptor).st_mtime, UTC)
        entry = _Entry(began_at, began_at + duration, 0, is_locked=True, holder="")
    return entry


def _parse(content: bytes, duration: timedelta) -> _Entry | None:
    """The file's two lines, or the first, which says when the lease began. None where they cannot be read."""
    first, _, second = content.decode(errors="replace").partition("\n")
    try:
        began_at = datetime.fromisoformat(first).astimezone(UTC)
        if not second:
            return _Entry(began_at, began_at + duration, 0, is_locked=True, holder="")
        expires_at, version, how, holder = second.rstrip("\n").split(" ", 3)
        return _Entry(
            began_at, datetime.fromisoformat(expires_at).astimezone(UTC), int(version), how == "locked", holder
        )
    except ValueError:
        return None
