"""The operating system of your computer: its kind, and the commands that hints name for it."""

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# By the program that manages packages: how the OpenSSH client is installed with it.
_INSTALL_SSH = {
    "brew": "brew install openssh",
    "apt-get": "sudo apt-get install openssh-client",
    "apk": "sudo apk add openssh-client",
    "dnf": "sudo dnf install openssh-clients",
    "yum": "sudo yum install openssh-clients",
    "zypper": "sudo zypper install openssh-clients",
    "pacman": "sudo pacman -S openssh",
}
ON_WINDOWS_DRIVE = "on a drive of Windows, which has no permissions and no reliable locks"
# How WSL mounts the drives of Windows: drvfs in version 1, 9p or virtiofs in version 2.
_WINDOWS_DRIVES = frozenset({"9p", "drvfs", "v9fs", "virtiofs"})
# A space and other characters in the paths of mountinfo: a backslash and three octal digits.
_ESCAPED = re.compile(r"\\([0-7]{3})")
_CONTAINER_MARKS = (".dockerenv", "run/.containerenv")


@dataclass(frozen=True, slots=True)
class Platform:
    """What is known of the operating system. `name` is Python's `sys.platform`, `kernel` the release of the kernel.

    `root` is the folder of the system's files.
    """

    name: str = "linux"
    kernel: str = ""
    is_container: bool = False
    root: Path = Path("/")

    @property
    def is_mac(self) -> bool:
        return self.name == "darwin"

    @property
    def is_wsl(self) -> bool:
        """Whether this is Linux inside Windows. A container there is a container."""
        return "microsoft" in self.kernel.casefold() and not self.is_container

    def filesystem(self, path: Path) -> str | None:
        """The type of the file system that holds the path, such as `ext4` or `nfs4`; None where that cannot be read.

        The path need not exist.
        """
        try:
            lines = (self.root / "proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
        except OSError:
            return None
        real, text, depth = Path(os.path.realpath(path)), None, -1
        for line in lines:
            fields, _, filesystem = line.partition(" - ")
            mount = Path(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields.split(" ")[4]))
            # Of two mounts on one folder the later one is seen.
            if real.is_relative_to(mount) and len(mount.parts) >= depth:
                text, depth = filesystem.split(" ")[0], len(mount.parts)
        return text

    def is_on_windows_drive(self, path: Path) -> bool:
        """Whether this is WSL and the path is on a drive of Windows, which has no permissions and no reliable locks."""
        return self.is_wsl and self.filesystem(path) in _WINDOWS_DRIVES

    @property
    def computer(self) -> str | None:
        """An ID of this computer that a copy of its files on another one does not have; None where there is none.

        Clones that kept their `/etc/machine-id` have the same one.
        """
        content = _mac_uuid() if self.is_mac else _machine_id(self.root)
        # machine-id(5) asks not to give the ID itself away.
        return hashlib.sha256(b"gpuctl " + content).hexdigest()[:16] if content else None

    @property
    def set_clock(self) -> str:
        """The command that sets the clock."""
        if self.is_mac:
            return "sudo sntp -sS time.apple.com"
        if self.is_wsl:
            return "sudo hwclock -s, or in Windows: wsl --shutdown"
        return "sudo timedatectl set-ntp true"

    def install_ssh(self, find_program: Callable[[str], str | None] = shutil.which) -> str:
        """The command that installs the OpenSSH client, with the package manager that is present."""
        managers = ("brew",) if self.is_mac else _INSTALL_SSH
        text = next((program for program in managers if find_program(program)), "")
        return _INSTALL_SSH.get(text, "install the OpenSSH client")


def _machine_id(root: Path) -> bytes | None:
    for name in ("etc/machine-id", "var/lib/dbus/machine-id"):
        with suppress(OSError):
            content = (root / name).read_bytes().strip()
            # `uninitialized` in an image that has not booted yet; empty in many containers.
            if len(content) == 32:
                return content
    return None


def _mac_uuid() -> bytes | None:
    """The IOPlatformUUID, from the C library: it takes no process."""
    import ctypes

    uuid, wait = ctypes.create_string_buffer(16), (ctypes.c_long * 2)(1, 0)
    try:
        failed = ctypes.CDLL(None).gethostuuid(uuid, wait)
    except (AttributeError, OSError):
        return None
    return None if failed else uuid.raw


def read_platform(
    environ: Mapping[str, str] | None = None, *, name: str = sys.platform, root: Path = Path("/")
) -> Platform:
    """The platform of this process, as the system's files below `root` show it; a file missing there is unknown."""
    try:
        kernel = (root / "proc/sys/kernel/osrelease").read_text("ascii", "replace").strip()
    except OSError:
        kernel = ""
    is_container = any((root / mark).exists() for mark in _CONTAINER_MARKS)
    return Platform(name, kernel, is_container or bool((environ or {}).get("KUBERNETES_SERVICE_HOST")), root)
