"""The few file operations that the state's safety rests on, as a value, so that tests can make any of them fail.

A network or foreign file system may lack permissions, locks, hard links or the fsync of folders. What the state can do
without is passed over here; docs/decisions/ has the reasons.
"""

import errno
import fcntl
import os
import shlex
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from glob import escape
from pathlib import Path

STALE_AFTER = timedelta(hours=1)
_NOT_SUPPORTED = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY})
_NO_FOLDER_SYNC = _NOT_SUPPORTED | {errno.EBADF}
_NO_LINKS = _NOT_SUPPORTED | {errno.EPERM, errno.EMLINK, errno.EXDEV}
_NO_LOCKS = _NOT_SUPPORTED | {errno.ENOLCK}


class Disk:
    """The disk of your computer. Every method raises OSError as the system does, except where it says otherwise."""

    def create(self, path: Path) -> int:
        """A new file for writing, readable by nobody else whatever the umask; FileExistsError if it is there."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        make_private(descriptor)
        return descriptor

    def write(self, descriptor: int, content: memoryview) -> int:
        """Write some of it and return how many bytes that was."""
        return os.write(descriptor, content)

    def sync(self, descriptor: int) -> None:
        """Return when what was written is on the disk."""
        sync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        """Put one file in the place of another, at once."""
        os.replace(source, target)

    def sync_folder(self, folder: Path) -> None:
        """Return when the folder's names are on the disk, or the disk cannot do that for folders."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync(descriptor)
        except OSError as error:
            # CIFS before 4.17, gocryptfs and others: their names are as durable as they ever get.
            if error.errno not in _NO_FOLDER_SYNC:
                raise
        finally:
            os.close(descriptor)

    def link(self, source: Path, target: Path) -> None:
        """Give the file a second name, or where there are no hard links a copy; FileExistsError if it is taken.

        A copy that a crash cut short is left under the name.
        """
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            descriptor = self.create(target)
            with open(source, "rb") as original, open(descriptor, "wb") as copy:
                shutil.copyfileobj(original, copy)
                copy.flush()
                self.sync(descriptor)


def disk_hint(error: OSError, *paths: Path) -> str:
    """The command that shows why these paths could not be used."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"free some space: {shlex.join(['df', '-h', str(paths[0])])}"
    return shlex.join(["ls", "-ld", *map(str, paths)])


def sync(descriptor: int) -> None:
    """Return when the file is on the disk, beyond the drive's own cache where the system can do that."""
    # On macOS fsync leaves the data in the drive's cache; network volumes there know fsync only.
    full_sync = getattr(fcntl, "F_FULLFSYNC", None)
    if full_sync is not None:
        try:
            fcntl.fcntl(descriptor, full_sync)
            return
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise
    os.fsync(descriptor)


def make_private(descriptor: int) -> None:
    """Close the open file to everybody else, where the disk has permissions; `doctor` reports one that has none."""
    with suppress(OSError):
        os.fchmod(descriptor, 0o600)


def make_path_private(path: Path, mode: int = 0o600) -> None:
    """The same for a file or folder by its name."""
    with suppress(OSError):
        path.chmod(mode)


def lock(descriptor: int) -> bool:
    """Lock the file until it is closed, at once or not at all.

    True if it is locked, False if the disk has no locks; BlockingIOError if another descriptor holds the lock.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except PermissionError as error:
        # On NFS and SMB, flock becomes an fcntl lock, which may fail with EACCES where another process holds it.
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True


def write_whole(disk: Disk, path: Path, content: bytes, check: Callable[[], None] = lambda: None) -> None:
    """Replace a file by this content so that, whatever happens, either the old or the new is there, whole.

    Durable on return. Raises OSError, and then the old file is unchanged unless only the folder could not be synced.
    `check` is called just before the old file is replaced; what it raises leaves that unchanged.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        descriptor = disk.create(temporary)
        try:
            write_all(disk, descriptor, content)
            disk.sync(descriptor)
        finally:
            os.close(descriptor)
        check()
        disk.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    disk.sync_folder(path.parent)


def remove_stale(path: Path, now: datetime) -> None:
    """Remove what a process left that was killed in the middle of writing this file."""
    # A young one may be somebody's who is still writing.
    for temporary in path.parent.glob(f".{escape(path.name)}.*.tmp"):
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


def append_lines(disk: Disk, path: Path, lines: str, *, is_durable: bool) -> None:
    """Add lines to a private file, which is made if it is missing. A line that a crash cut short stays alone.

    Durable on return, if wanted.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        make_private(descriptor)
        size = os.fstat(descriptor).st_size
        is_cut = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        write_all(disk, descriptor, (f"\n{lines}" if is_cut else lines).encode())
        if is_durable:
            disk.sync(descriptor)
    finally:
        os.close(descriptor)


def private_folder(folder: Path) -> None:
    """Make the folder, and those above it, readable by nobody else; one that exists is left as it is."""
    if not folder.exists():
        private_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            make_path_private(folder, 0o700)
