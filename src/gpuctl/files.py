"""The few file operations that the state's safety rests on, as a value, so that tests can make any of them fail."""

import os
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

STALE_AFTER = timedelta(hours=1)


class Disk:
    """The machine's own disk. Every method raises OSError as the system does."""

    def create(self, path: Path) -> int:
        """A new file for writing, readable by nobody else whatever the umask; FileExistsError if it is there."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o600)
        return descriptor

    def write(self, descriptor: int, content: memoryview) -> int:
        """Write some of it and return how many bytes that was."""
        return os.write(descriptor, content)

    def sync(self, descriptor: int) -> None:
        """Return when what was written is on the disk."""
        os.fsync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        """Put one file in the place of another, at once."""
        os.replace(source, target)

    def sync_folder(self, folder: Path) -> None:
        """Return when the folder's names are on the disk."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_whole(disk: Disk, path: Path, content: bytes) -> None:
    """Replace a file by this content so that, whatever happens, either the old or the new is there, whole.

    Durable on return. Raises OSError, and then the old file stands unless only the folder could not be synced.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        descriptor = disk.create(temporary)
        try:
            write_all(disk, descriptor, content)
            disk.sync(descriptor)
        finally:
            os.close(descriptor)
        disk.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    disk.sync_folder(path.parent)


def remove_stale(path: Path, now: datetime) -> None:
    """Remove what a process left that was killed in the middle of writing this file."""
    # A young one may be somebody's who is still writing.
    for temporary in path.parent.glob(f".{path.name}.*.tmp"):
        try:
            if now.timestamp() - temporary.stat().st_mtime > STALE_AFTER.total_seconds():
                temporary.unlink()
        except OSError:
            continue


def write_all(disk: Disk, descriptor: int, content: bytes) -> None:
    """Write every byte; a disk that takes none is an OSError, never a short file."""
    left = memoryview(content)
    while left:
        written = disk.write(descriptor, left)
        if written <= 0:
            raise OSError(f"nothing was written of {len(left)} bytes")
        left = left[written:]


def private_folder(folder: Path) -> None:
    """Make the folder, and those above it, readable by nobody else; one that exists is left as it is."""
    if not folder.exists():
        private_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            folder.chmod(0o700)
