"""Which promises of a local disk the folder of a state keeps, found by trying each of them."""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gpuctl.errors import StateUnusableError
from gpuctl.files import disk_hint, lock

# File systems that are shared between computers, or that lack what a local one has.
UNSUITABLE = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "afs", "vfat", "exfat", "drvfs", "v9fs", "virtiofs"})


def missing_promises(folder: Path) -> list[str]:
    """What the disk of that folder cannot do, in words; empty where it can do everything, or the folder is missing.

    Leaves nothing behind. OSError where no file can be created there.
    """
    if not folder.is_dir():
        return []
    first = folder / f".probe.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    second = first.with_suffix(".link")
    descriptor = os.open(first, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, b"probe")
        steps: tuple[tuple[str, Callable[[], object]], ...] = (
            ("permissions", lambda: os.fchmod(descriptor, 0o600)),
            ("locks", lambda: _locked(descriptor)),
            ("reads of a locked file", first.read_bytes),
            ("hard links", lambda: os.link(first, second)),
            ("replacing a file", lambda: os.replace(first, first)),
            ("fsync of folders", lambda: _synced(folder)),
        )
        return [name for name, step in steps if not _succeeds(step)]
    finally:
        os.close(descriptor)
        for path in (first, second):
            with suppress(OSError):
                path.unlink()


def refuse_unwritable(folder: Path) -> None:
    """Raise StateUnusableError if the folder cannot be created, or if no file can be created in it. Leaves nothing."""
    present = folder
    try:
        while not present.exists():
            present = present.parent
        with tempfile.TemporaryDirectory(prefix=".probe.", dir=present) as probe:
            # On a full disk a file can be created, and not written.
            Path(probe, "file").write_bytes(bytes(4096))
    except OSError as error:
        reason = error.strerror or str(error)
        raise StateUnusableError(
            f"the folder of the state, `{folder}`, cannot be {'written' if present == folder else 'created'}: {reason}",
            hint=f"use another `--state`, or look there: {disk_hint(error, present)}",
        ) from error


def is_unsuitable(filesystem: str | None) -> bool:
    """Whether a state should not be on a file system of that type."""
    return filesystem is not None and (filesystem in UNSUITABLE or filesystem.startswith("fuse"))


def _succeeds(step: Callable[[], object]) -> bool:
    try:
        step()
    except OSError:
        return False
    return True


def _locked(descriptor: int) -> None:
    if not lock(descriptor):
        raise OSError("no locks")


def _synced(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
