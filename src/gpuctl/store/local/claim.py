"""A lock for disks that have none: a process claims a file by creating the next in a sequence of numbered files."""

import os
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

ABANDONED_AFTER = timedelta(minutes=5)
# How long what follows a look at one's own claim may take.
_MARGIN = timedelta(minutes=1)
_RELEASED = b"released\n"


class Claims:
    """The claims beside a lock file: `FILE.claim.1`, `FILE.claim.2` and so on; the highest number counts.

    Creating a file that must not exist has one winner on every file system. The highest is never removed, only marked
    as released: a process that read an old number and was held up then finds a higher one, and gives way.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def make(self) -> Path:
        """Claim the lock and return the claim. BlockingIOError while another process holds it."""
        highest = max(self._numbers(), default=0)
        if highest and not self._is_over(self._path_of(highest)):
            raise BlockingIOError
        path = self._path_of(highest + 1)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise BlockingIOError from None
        try:
            os.write(descriptor, _holder())
        finally:
            os.close(descriptor)
        numbers = self._numbers()
        if max(numbers) > highest + 1:
            with suppress(OSError):
                path.unlink()
            raise BlockingIOError
        for number in numbers - {highest + 1}:
            with suppress(OSError):
                self._path_of(number).unlink()
        return path

    def is_held(self, claim: Path) -> bool:
        """Whether nobody has taken over from that claim, and nobody will in the next minute."""
        try:
            is_newest = claim == self._path_of(max(self._numbers(), default=0))
            return is_newest and self._age_s(claim) < (ABANDONED_AFTER - _MARGIN).total_seconds()
        except OSError:
            return False

    def release(self, claim: Path) -> None:
        """Let the next one have it."""
        # A claim that cannot be marked is over when its process is, or after 5 min.
        with (
            suppress(OSError),
            open(os.open(claim, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC), "wb") as file,
        ):
            file.write(_RELEASED)

    def _numbers(self) -> set[int]:
        # The name of a state may contain characters that mean something in a pattern.
        start = f"{self._path.name}.claim."
        names = (path.name.removeprefix(start) for path in self._path.parent.iterdir() if path.name.startswith(start))
        return {int(name) for name in names if name.isdecimal()}

    def _path_of(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.claim.{number}")

    def _is_over(self, claim: Path) -> bool:
        try:
            content = claim.read_bytes()
            if content == _RELEASED or _is_dead(content):
                return True
            return self._age_s(claim) > ABANDONED_AFTER.total_seconds()
        except OSError:
            return False

    def _age_s(self, claim: Path) -> float:
        claimed_at = claim.stat().st_mtime
        # By the disk's own clock, which may be another computer's.
        os.utime(self._path)
        return self._path.stat().st_mtime - claimed_at


def _holder() -> bytes:
    return f"{_processes()} {os.getpid()}\n".encode()


def _processes() -> str:
    """Which processes the IDs count: two containers may have the name of one computer, and each its own IDs."""
    namespace = ""
    with suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")
    return f"{os.uname().nodename} {namespace}".rstrip()


def _is_dead(content: bytes) -> bool:
    """Whether a process is named that could be seen from here and does not run any more."""
    processes, _, pid = content.decode(errors="replace").rstrip("\n").rpartition(" ")
    if processes != _processes() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
