"""One booted instance: a container with its own network and its own uptime, whose power-off is the end of a process."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from boot.metadata import Metadata, metadata_namespace


@dataclass
class Booted:
    """A container, and the file that is its console."""

    process: subprocess.Popen[bytes]
    metadata: Metadata
    console_file: Path

    def wait_until(self, instant: datetime) -> datetime | None:
        """When it powered off; None if it is still up at that instant."""
        while self.process.poll() is None:
            left = (instant - datetime.now(UTC)).total_seconds()
            if left <= 0:
                return None
            try:
                self.process.wait(min(left, 1))
            except subprocess.TimeoutExpired:
                continue
        return datetime.now(UTC)

    @property
    def console(self) -> list[str]:
        """The guard's lines on the console, oldest first."""
        lines = self.console_file.read_text("utf-8", "replace").splitlines()
        return [line for line in lines if line.startswith("gpuctl-")]


@contextmanager
def booted(root: Path, name: str, user_data: str, tags: dict[str, str]) -> Iterator[Booted]:
    """Boot that root, unchanged by it, with this user data and these tags; whatever is left at the end is killed.

    Its uptime begins at 0, as on an instance: a container shows the computer's own unless its clocks are set apart.
    """
    folder = Path(tempfile.mkdtemp(prefix="gpuctl-booted-"))
    metadata = Metadata(user_data, f"i-{os.urandom(8).hex()}0", tags)
    with metadata_namespace(name, metadata), _overlaid(root, folder) as merged, _control_groups(name) as groups:
        uptime = int(time.clock_gettime(time.CLOCK_BOOTTIME))
        # A file is its console: whatever reads a terminal could lose the last words of a system that stops.
        console = folder / "console"
        console.touch()
        process = subprocess.Popen(
            ["unshare", "--time", f"--monotonic=-{uptime}", f"--boottime=-{uptime}", "--fork", "--kill-child",
             "systemd-nspawn", "--quiet", f"--directory={merged}", f"--machine={name}", "--boot",
             "--register=no", "--keep-unit", "--console=pipe", f"--bind={console}:/dev/console",
             f"--network-namespace-path=/run/netns/{name}",
             "--link-journal=no", "--resolv-conf=off", "--timezone=off"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            preexec_fn=lambda: _join(groups),
        )  # fmt: skip
        instance = Booted(process, metadata, console)
        try:
            yield instance
        finally:
            for pid in reversed(_with_descendants(process.pid)):
                _kill(pid)
            process.wait()
    subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=False)


@contextmanager
def _overlaid(root: Path, folder: Path) -> Iterator[Path]:
    """A mount on which everything in `root` can be changed, while nothing in it is."""
    merged, memory = folder / "merged", folder / "memory"
    for each in (merged, memory):
        each.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(memory)], check=True)
    try:
        for name in ("upper", "work"):
            (memory / name).mkdir()
        layers = f"lowerdir={root},upperdir={memory}/upper,workdir={memory}/work"
        subprocess.run(["mount", "-t", "overlay", "-o", layers, "overlay", str(merged)], check=True)
        try:
            yield merged
        finally:
            subprocess.run(["umount", "--lazy", str(merged)], check=False)
    finally:
        subprocess.run(["umount", "--lazy", str(memory)], check=False)


@contextmanager
def _control_groups(name: str) -> Iterator[list[Path]]:
    """A control group for this container alone: systemd ends units by theirs, and two of one name would share it."""
    top = Path("/sys/fs/cgroup")
    trees = [top] if (top / "cgroup.procs").exists() else [top / "systemd", top / "unified"]
    groups = [tree / name for tree in trees if (tree / "cgroup.procs").exists()]
    for group in groups:
        group.mkdir()
    try:
        yield groups
    finally:
        for group in groups:
            for folder, _, _ in os.walk(group, topdown=False):
                with suppress(OSError):
                    os.rmdir(folder)


def _join(groups: Sequence[Path]) -> None:
    for group in groups:
        (group / "cgroup.procs").write_text(str(os.getpid()))


def _with_descendants(pid: int) -> list[int]:
    """That process and all below it, parents first."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(below for child in children for below in _with_descendants(int(child)))]


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
