"""The boot of one instance: its boot script, and the systemd timers that the script installs, as processes."""

import asyncio
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gpuctl_sandbox.guests.processes import processes_of

_SPAN = re.compile(r"(\d+)(s|min)?")
_TCP = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
_SSH_CONNECTION = "   0: 0100007F:0016 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0\n"
# What the guard of a boot script is made of, and macOS lacks.
_NEEDED = ("bash", "timeout", "mv", "tee")


@dataclass(frozen=True)
class Clock:
    """The time of the clouds, and how many times faster than in real time the timers of the instances run."""

    now: Callable[[], datetime]
    pace: float = 1.0


def can_boot() -> bool:
    """Whether this computer has what the boot scripts of Linux images use."""
    return sys.platform == "linux" and all(shutil.which(name) for name in _NEEDED)


class Units:
    """What an instance does by itself from its boot on. Its root folder is `folder/root`.

    `connections` returns how many SSH connections are open.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        connections: Callable[[], int],
        clock: Clock,
    ) -> None:
        self._folder = folder
        self._root = folder / "root"
        self._environment = environment
        self._connections = connections
        self._now, self._pace = clock.now, clock.pace
        self._booted_at = clock.now()

    async def run(self, boot_script: str, instance_id: str, metadata: str) -> None:
        """Execute the script as cloud-init or the guest agent does, then its timers, until cancelled."""
        identity = self._root / "var" / "lib" / "cloud" / "data" / "instance-id"
        identity.parent.mkdir(parents=True, exist_ok=True)
        identity.write_text(f"{instance_id}\n", "utf-8")
        (self._folder / "boot-script").write_text(boot_script, "utf-8")
        self._booted_at = self._now()
        shutil.rmtree(self._root / "run", ignore_errors=True)
        environment = {**self._environment, **self._guard_settings(metadata)}
        await self._execute(["/bin/bash", str(self._folder / "boot-script")], environment)
        enabled = [path.name for path in (self._folder / "enabled").iterdir()]
        for name in sorted(name for name in enabled if name.endswith(".service")):
            await self._start(name, environment)
        async with asyncio.TaskGroup() as timers:
            for name in enabled:
                if name.endswith(".timer"):
                    timers.create_task(self._repeat(name, environment))

    async def _repeat(self, timer: str, environment: Mapping[str, str]) -> None:
        settings = _settings(self._root / "etc" / "systemd" / "system" / timer)
        await asyncio.sleep(_seconds(settings.get("OnBootSec", "")) / self._pace)
        while True:
            await self._start(timer.replace(".timer", ".service"), environment)
            await asyncio.sleep(max(0.05, _seconds(settings["OnUnitActiveSec"]) / self._pace))

    async def _start(self, service: str, environment: Mapping[str, str]) -> None:
        settings = _settings(self._root / "etc" / "systemd" / "system" / service)
        program, *arguments = shlex.split(settings["ExecStart"])
        self._show_use()
        await self._execute([f"{self._root}{program}", *arguments], environment)

    async def _execute(self, argv: list[str], environment: Mapping[str, str]) -> None:
        nowhere = asyncio.subprocess.DEVNULL
        with open(self._folder / "journal", "ab") as journal:
            child = await asyncio.create_subprocess_exec(
                *argv,
                stdin=nowhere,
                stdout=journal,
                stderr=journal,
                cwd=self._root,
                env=environment,
                start_new_session=True,
            )
        await child.wait()

    def _guard_settings(self, metadata: str) -> dict[str, str]:
        return {
            "GPUCTL_GUARD_ROOT": str(self._root),
            "GPUCTL_GUARD_STATE": str(self._root / "var" / "lib" / "gpuctl"),
            "GPUCTL_GUARD_RUN": str(self._root / "run" / "gpuctl"),
            "GPUCTL_GUARD_CONSOLE": str(self._folder / "console"),
            "GPUCTL_GUARD_CLOUD_ID": str(self._root / "var" / "lib" / "cloud" / "data" / "instance-id"),
            "GPUCTL_GUARD_METADATA": metadata,
            "GPUCTL_GUARD_METADATA6": "http://127.0.0.1:1",
            "GPUCTL_GUARD_UPTIME": str(self._folder / "uptime"),
            "GPUCTL_GUARD_PROC": str(self._folder / "proc"),
            "GPUCTL_GUARD_HOMES": str(self._folder / "home"),
        }

    def _show_use(self) -> None:
        """What the kernel would show of the use of this instance, and not of this computer."""
        uptime = max(0.0, (self._now() - self._booted_at).total_seconds())
        (self._folder / "uptime").write_text(f"{uptime:.2f} 0.00\n", "utf-8")
        proc = self._folder / "proc"
        shutil.rmtree(proc, ignore_errors=True)
        (proc / "net").mkdir(parents=True)
        (proc / "loadavg").write_text("0.00 0.00 0.00 1/100 1000\n", "utf-8")
        (proc / "net" / "tcp").write_text(_TCP + (_SSH_CONNECTION if self._connections() else ""), "utf-8")
        for pid in processes_of(self._folder):
            (proc / str(pid)).touch()


def _settings(unit: Path) -> dict[str, str]:
    settings: dict[str, str] = {}
    with suppress(OSError):
        for line in unit.read_text("utf-8").splitlines():
            name, equals, value = line.partition("=")
            if equals and not line.startswith("#"):
                settings[name.strip()] = value.strip()
    return settings


def _seconds(span: str) -> float:
    matches = _SPAN.fullmatch(span)
    if matches is None:
        return 0.0
    return float(matches[1]) * (60 if matches[2] == "min" else 1)
