"""Disks with bad manners."""

import errno
import fcntl
import os
from pathlib import Path
from types import ModuleType

import pytest

from gpuctl.files import Disk


class FailingDisk(Disk):
    """A disk whose n-th operation fails, and every one after it."""

    def __init__(self, good_for: int, number: int = errno.ENOSPC, *, is_short: bool = False) -> None:
        self.left = good_for
        self.number = number
        self.is_short = is_short

    def _use(self) -> None:
        if self.left <= 0:
            raise OSError(self.number, os.strerror(self.number))
        self.left -= 1

    def create(self, path: Path) -> int:
        self._use()
        return super().create(path)

    def write(self, descriptor: int, content: memoryview) -> int:
        self._use()
        # A disk that fills takes a part of what it is given, and says so.
        return super().write(descriptor, content[: max(1, len(content) // 3)] if self.is_short else content)

    def sync(self, descriptor: int) -> None:
        self._use()
        super().sync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        self._use()
        super().replace(source, target)


class WeakDisk:
    """The file systems below one folder keep fewer promises: chosen system calls fail there.

    `missing` maps a promise to the errno with which the system refuses it.
    """

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path, **missing: int) -> None:
        self._folder = folder
        self._locked: dict[int, int] = {}
        for promise, number in missing.items():
            getattr(self, f"_without_{promise}")(patch, OSError(number, os.strerror(number)))

    def _without_locks(self, patch: pytest.MonkeyPatch, error: OSError) -> None:
        self._replace(patch, fcntl, "flock", error)

    def _without_links(self, patch: pytest.MonkeyPatch, error: OSError) -> None:
        self._replace(patch, os, "link", error)

    def _without_permissions(self, patch: pytest.MonkeyPatch, error: OSError) -> None:
        self._replace(patch, os, "fchmod", error)
        self._replace(patch, os, "chmod", error)

    def _without_folder_sync(self, patch: pytest.MonkeyPatch, error: OSError) -> None:
        self._replace(patch, os, "fsync", error, only_folders=True)

    def _without_shared_reads(self, patch: pytest.MonkeyPatch, error: OSError) -> None:
        """As on SMB: what is locked by one descriptor cannot be read by another."""
        flock, close, read_bytes = fcntl.flock, os.close, Path.read_bytes

        def locking(descriptor: int, operation: int) -> None:
            flock(descriptor, operation)
            self._locked[descriptor] = os.fstat(descriptor).st_ino

        def closing(descriptor: int) -> None:
            self._locked.pop(descriptor, None)
            close(descriptor)

        def reading(path: Path) -> bytes:
            if path.exists() and path.stat().st_ino in self._locked.values():
                raise error
            return read_bytes(path)

        patch.setattr(fcntl, "flock", locking)
        patch.setattr(os, "close", closing)
        patch.setattr(Path, "read_bytes", reading)

    def _replace(
        self, patch: pytest.MonkeyPatch, module: ModuleType, name: str, error: OSError, *, only_folders: bool = False
    ) -> None:
        original = getattr(module, name)

        def failing(target: int | str | Path, *rest: object, **options: object) -> object:
            path = os.readlink(f"/dev/fd/{target}") if isinstance(target, int) else os.path.abspath(target)
            is_meant = Path(path).is_relative_to(self._folder) and (os.path.isdir(path) or not only_folders)
            if is_meant:
                raise error
            return original(target, *rest, **options)

        patch.setattr(module, name, failing)
