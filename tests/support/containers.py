"""gpuctl as in a container: under a user ID that has no name, on a root file system that cannot be written.

The mounts are those of a mount namespace of the process, and end with it.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from support.cli import Ran
from support.processes import run_commands

import gpuctl

NAMELESS = 12345
VOLUME = "/mnt/volume"
_SOURCES = Path(gpuctl.__file__).parents[1]
_FOLDERS = [Path(sys.base_prefix), Path(sys.prefix), _SOURCES, *map(Path, filter(os.path.isdir, sys.path))]


def missing_privilege() -> str | None:
    """What keeps this process from making a mount namespace; None if it can."""
    if os.geteuid() != 0:
        return "needs root"
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        return "unshare or setpriv of util-linux is missing"
    probe = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    denied = subprocess.run(probe, capture_output=True, check=False).returncode
    return "this container may not mount" if denied else None


def contained(
    commands: Sequence[Sequence[str]], environ: Mapping[str, str], *, is_nameless: bool, is_read_only: bool
) -> list[Ran]:
    """Run these command lines of gpuctl, one after the other, in one process in a container with a volume."""
    steps = ["set -e", "mount -t tmpfs -o mode=0755 tmpfs /mnt", f"mkdir -m 0777 {VOLUME}"]
    user = []
    if is_nameless:
        steps += _made_readable()
        user = ["setpriv", f"--reuid={NAMELESS}", f"--regid={NAMELESS}", "--clear-groups"]
    if is_read_only:
        steps.append("mount -o remount,bind,ro /")
    script = "\n".join([*steps, 'exec "$@"'])
    return run_commands(commands, environ, ["unshare", "--mount", "sh", "-c", script, "sh", *user])


def _made_readable() -> list[str]:
    """Mounts that let every user read Python and gpuctl where they are, whatever the folders above them allow."""
    hidden = {folder: _closed_above(folder) for folder in sorted({folder.absolute() for folder in _FOLDERS})}
    # One that is closed itself has nothing that is needed but other folders of the list.
    hidden = {folder: closed for folder, closed in hidden.items() if closed not in (None, folder)}
    remaining = {folder: f"/mnt/{number}" for number, folder in enumerate(hidden)}
    steps = [f"mkdir '{location}' && mount --bind '{folder}' '{location}'" for folder, location in remaining.items()]
    steps += [f"mount -t tmpfs -o mode=0755 tmpfs '{closed}'" for closed in sorted(set(hidden.values()))]
    steps += [f"mkdir -p '{folder}' && mount --bind '{location}' '{folder}'" for folder, location in remaining.items()]
    return steps


def _closed_above(folder: Path) -> Path | None:
    """The highest folder on the way there that other users may not enter."""
    way = [*reversed(folder.parents), folder]
    return next((step for step in way if step.stat().st_mode & 0o005 != 0o005), None)
