"""The processes of one instance: those that have its folder in their environment, whoever started them."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

MARK = "GPUCTL_SANDBOX_INSTANCE"
_PASSES = 20


def processes_of(folder: Path) -> list[int]:
    """The process IDs of the instance whose folder that is, or of all instances in that folder."""
    mark = f"{MARK}={folder}"
    if sys.platform == "linux":
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _has(entry, mark)]
    listed = subprocess.run(["ps", "-axEww", "-o", "pid=,command="], capture_output=True, check=False).stdout
    lines = listed.decode(errors="replace").splitlines()
    return [int(line.split(None, 1)[0]) for line in lines if f"{mark} " in f"{line} " or f"{mark}/" in line]


def kill(folder: Path) -> None:
    """Kill them, and those that they start meanwhile."""
    for _ in range(_PASSES):
        running = [pid for pid in processes_of(folder) if pid != os.getpid()]
        if not running:
            return
        for pid in running:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _has(entry: Path, mark: str) -> bool:
    try:
        environment = (entry / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
    wanted = os.fsencode(mark)
    return any(value == wanted or value.startswith(wanted + b"/") for value in environment)
