"""Disks with bad manners."""

import errno
import os
from pathlib import Path

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
