"""Starts real gpuctl processes and kills them."""

import array
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock


@dataclass
class Process:
    """One gpuctl that runs, or has ended. `code` is None after a kill."""

    pid: int
    folder: Path
    _status: int
    _told: bytes | None = field(default=None)
    _waited: Lock = field(default_factory=Lock, repr=False)

    def wait(self) -> int | None:
        """Wait until it has ended; its exit code, None if it was killed. Any thread may."""
        with self._waited:
            if self._told is None:
                self._told = b"".join(iter(lambda: os.read(self._status, 16), b""))
                os.close(self._status)
        return int(self._told) if self._told else None

    def kill(self) -> None:
        """End it as a power cut would; gone already is fine."""
        if self._told is None:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    @property
    def out(self) -> str:
        return _read(self.folder / "out")

    @property
    def err(self) -> str:
        return _read(self.folder / "err")


def _read(path: Path) -> str:
    # One that was killed at its very first instant has opened nothing.
    return path.read_text(errors="replace") if path.exists() else ""


class Processes:
    """The parent of all of them; `stop` ends it."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server = subprocess.Popen(
            [sys.executable, "-m", "faults.fork_server", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        theirs.close()
        self._replies = self._line.makefile("rb")
        assert self._replies.readline() == b"ready\n"
        self._count = 0

    def start(
        self,
        argv: Sequence[str],
        *,
        environ: Mapping[str, str],
        clock: Path,
        folder: Path,
        mutants: Sequence[str] = (),
        die_at_step: int | None = None,
        steps: Path | None = None,
        umask: int = 0o077,
    ) -> Process:
        """Start one; it is at work when this returns."""
        self._count += 1
        url = folder / f"process-{self._count}"
        url.mkdir(parents=True)
        request = {
            "argv": list(argv),
            "environ": dict(environ),
            "clock": str(clock),
            "out": str(url / "out"),
            "err": str(url / "err"),
            "mutants": list(mutants),
            "die_at_step": die_at_step,
            "steps": str(steps) if steps else None,
            "umask": umask,
        }
        ours, theirs = os.pipe()
        self._line.sendmsg(
            [json.dumps(request).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs]))]
        )
        os.close(theirs)
        return Process(int(self._replies.readline()), url, ours)

    def stop(self) -> None:
        """Close the line; the parent ends by itself."""
        self._replies.close()
        self._line.close()
        self._server.wait(timeout=10)
