"""One instance that has booted: its folder, its SSH server and its processes."""

import asyncio
import os
import shlex
import shutil
from contextlib import suppress
from pathlib import Path

from gpuctl_sandbox.guests import processes, programs
from gpuctl_sandbox.guests.guest import Guest
from gpuctl_sandbox.guests.network import Network
from gpuctl_sandbox.guests.server import SshServer, new_host_key
from gpuctl_sandbox.guests.shell import Session
from gpuctl_sandbox.guests.units import Clock, Units, can_boot

_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A login shell reads /etc/profile, which sets the PATH anew, and this file after it.
_PROFILE = """\
export PATH={binaries}:$PATH
PS1='{user}@{name}:\\w\\$ '
"""


class BootedInstance:
    """One instance: made when it first runs, `boot` and `halt` as its power goes, `remove` when it is gone.

    Everything of it is in `folder`, which nobody but the user who started the sandbox can enter.
    """

    def __init__(self, guest: Guest, folder: Path, clock: Clock, url: str, network: Network) -> None:
        self.guest = guest
        self.folder = folder
        self.port = 0
        self._url = url
        login_keys = folder.parent.parent / "login_keys"
        self._server = SshServer(lambda: self.guest, self._session, new_host_key(), login_keys, network)
        self._clock = clock
        self._units: asyncio.Task[None] | None = None
        self.is_up = False

    @property
    def metadata_url(self) -> str:
        """The address of its metadata service."""
        return f"{self._url}/gpuctl-sandbox/metadata/{self.guest.name}"

    async def boot(self) -> None:
        """Install its programs and let in who may log in. Raises OSError."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        programs.install(self.guest, self.folder, self.metadata_url)
        self.port = await self._server.open(self.port)
        self.is_up = True
        if self.guest.boot_script is not None and can_boot():
            units = Units(self.folder, self.environment("root"), lambda: self._server.count, self._clock)
            work = units.run(self.guest.boot_script, self.guest.id, self.metadata_url)
            self._units = asyncio.create_task(work)

    async def halt(self) -> None:
        """Break its connections and kill its processes; its files stay. A second call has no effect."""
        self.is_up = False
        await self._server.close()
        if self._units is not None:
            self._units.cancel()
            await asyncio.gather(self._units, return_exceptions=True)
            self._units = None
        processes.kill(self.folder)
        for name in (programs.POWER_FILE, "terminals"):
            (self.folder / name).unlink(missing_ok=True)

    async def remove(self) -> None:
        """Halt it and delete its files."""
        await self.halt()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def cut(self) -> None:
        """Break its connections."""
        await self._server.cut()

    def wanted_power(self, now: float) -> str | None:
        """`off` or `reboot` where a program of the instance requested it and its time has come, else None."""
        try:
            wanted, at = (self.folder / programs.POWER_FILE).read_text("utf-8").split()
            return wanted if float(at) <= now else None
        except (OSError, ValueError):
            return None

    def environment(self, user: str) -> dict[str, str]:
        """The environment of a command of that user."""
        own = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TMPDIR") if name in os.environ}
        return {
            **own,
            "PATH": os.pathsep.join([str(self.folder / "bin"), _SYSTEM, os.environ.get("PATH", "")]),
            "HOME": str(self._home(user)),
            "USER": user,
            "LOGNAME": user,
            "SHELL": "/bin/bash",
            processes.MARK: str(self.folder),
        }

    def _session(self, user: str) -> Session:
        home = self._home(user)
        if not home.is_dir():
            home.mkdir(mode=0o750, parents=True)
            with suppress(FileExistsError):
                profile = _PROFILE.format(
                    binaries=shlex.quote(str(self.folder / "bin")), user=user, name=self.guest.name
                )
                (home / ".bash_profile").write_text(profile, "utf-8")
        return Session(home, self.environment(user), self.folder / "terminals")

    def _home(self, user: str) -> Path:
        return self.folder / "home" / user
