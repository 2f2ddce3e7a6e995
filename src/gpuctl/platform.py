"""The operating system of your computer: what tells it apart, and the commands that hints name on it."""

import shutil
import sys
from collections.abc import Callable, Mapping
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
_CONTAINER_MARKS = (".dockerenv", "run/.containerenv")


@dataclass(frozen=True, slots=True)
class Platform:
    """What is known of the operating system. `name` is Python's `sys.platform`, `kernel` the release of a Linux kernel.

    `package_manager` is the program that installs packages, None where none was found.
    """

    name: str = "linux"
    kernel: str = ""
    package_manager: str | None = None
    is_container: bool = False

    @property
    def is_mac(self) -> bool:
        return self.name == "darwin"

    @property
    def is_wsl(self) -> bool:
        """Whether this is Linux inside Windows. A container there is a container."""
        return "microsoft" in self.kernel.casefold() and not self.is_container

    @property
    def install_ssh(self) -> str:
        """The command that installs the OpenSSH client."""
        return _INSTALL_SSH.get(self.package_manager or "", "install the OpenSSH client")

    @property
    def set_clock(self) -> str:
        """The command that sets the clock."""
        if self.is_mac:
            return "sudo sntp -sS time.apple.com"
        if self.is_wsl:
            return "sudo hwclock -s, or in Windows: wsl --shutdown"
        return "sudo timedatectl set-ntp true"


def read_platform(
    environ: Mapping[str, str],
    *,
    name: str = sys.platform,
    root: Path = Path("/"),
    find_program: Callable[[str], str | None] = shutil.which,
) -> Platform:
    """The platform of this process. `root` is the folder of the system's files; what is missing there is unknown."""
    try:
        kernel = (root / "proc/sys/kernel/osrelease").read_text("ascii", "replace").strip()
    except OSError:
        kernel = ""
    managers = ("brew",) if name == "darwin" else _INSTALL_SSH
    return Platform(
        name=name,
        kernel=kernel,
        package_manager=next((program for program in managers if find_program(program)), None),
        is_container=bool(environ.get("KUBERNETES_SERVICE_HOST"))
        or any((root / mark).exists() for mark in _CONTAINER_MARKS),
    )
