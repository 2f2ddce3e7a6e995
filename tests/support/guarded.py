"""An instance with the guard on it: a disk, clocks, a console, and stand-ins for what would end the test's own host."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from email import message_from_string
from enum import IntEnum
from pathlib import Path

from support.metadata import Metadata

from gpuctl.domain.tags import EXPIRES_AT, deadline_tag
from gpuctl.providers.aws.guard import guard_script

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MAX_TTL = timedelta(hours=2)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


class Stage(IntEnum):
    """What a boot has reached. cloud-init runs each kind of user data in the stage of the same place here."""

    NETWORK = 1  # before sysinit.target; boothooks, at every boot
    CONFIG = 2
    MULTI_USER = 3  # multi-user.target: every unit that it wants has started
    FINAL = 4  # shell scripts, at the first boot; on Debian and Ubuntu after multi-user.target


_STAGES = {
    "text/cloud-boothook": Stage.NETWORK,
    "text/cloud-config": Stage.CONFIG,
    "text/x-shellscript": Stage.FINAL,
}
_STARTS = (
    ("#cloud-boothook", "text/cloud-boothook"),
    ("#cloud-config", "text/cloud-config"),
    ("#!", "text/x-shellscript"),
)


def scripts_run(user_data: str, reached: Stage) -> list[str]:
    """The scripts in the user data that cloud-init has executed when a first boot has got that far, in order."""
    message = message_from_string(user_data)
    parts = message.walk() if message.is_multipart() else [message]
    kinds = [
        (message.get_content_type(), str(message.get_payload())) for message in parts if not message.is_multipart()
    ]
    if not message.is_multipart():
        kinds = [(kind, user_data) for start, kind in _STARTS if user_data.startswith(start)]
    ran = [(kind, text) for kind, text in kinds if kind != "text/cloud-config" and _STAGES[kind] <= reached]
    return [text.removeprefix("#cloud-boothook").lstrip() for _, text in sorted(ran, key=lambda row: _STAGES[row[0]])]


_WAYS_OUT = ("shutdown", "systemctl", "poweroff", "nohup")
# Before sysinit.target a start job waits for that target, and whoever waits for the job never lets it be reached.
_SYSTEMCTL = """#!/bin/sh
echo "systemctl $*" >>"@FOLDER@/calls"
case " $* " in
    *" --no-block "*) ;;
    *" start "* | *" --now "*) echo "systemctl waits for ever" >>"@FOLDER@/calls" ;;
esac
[ ! -e "@FOLDER@/systemctl-fails" ]
"""
_RECORDS = '#!/bin/sh\necho "${0##*/} $*" >>"@FOLDER@/calls"\n[ ! -e "@FOLDER@/${0##*/}-fails" ]\n'
# GNU date, but for what "now" is.
_DATE = '#!/bin/sh\ncase " $*" in *" -d"*) ;; *) set -- -d "@$(cat "@FOLDER@/now")" "$@" ;; esac\nexec @DATE@ "$@"\n'


class Machine:
    """Booted at noon. `time_passes` moves all its clocks; `clock_error` sets its own one apart from the cloud's."""

    def __init__(self, folder: Path, metadata: Metadata) -> None:
        self.folder, self.metadata = folder, metadata
        self.now, self.booted = NOON, NOON
        self.clock_error = timedelta(0)
        self.disk, self.memory, self.console_file = folder / "var", folder / "run", folder / "console"
        self.bin, self.tools = folder / "bin", "/usr/sbin:/usr/bin:/sbin:/bin"
        self.environment: dict[str, str] = {}
        self.argument = str(int(MAX_TTL.total_seconds()))
        self.bin.mkdir()
        for name in _WAYS_OUT:
            self.stand_in(name, _RECORDS)
        self.stand_in("systemctl", _SYSTEMCTL)
        self.stand_in("date", _DATE)
        (folder / "guard").write_text(guard_script(watches_idle=True))
        self.proc, self.homes = folder / "proc", folder / "home"
        self.is_used_by_nothing()

    def stand_in(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(script.replace("@FOLDER@", str(self.folder)).replace("@DATE@", str(shutil.which("date"))))
        path.chmod(0o755)

    def fails(self, *names: str) -> None:
        for name in names:
            (self.folder / f"{name}-fails").touch()

    def tagged(self, expires_at: datetime | bytes | None) -> None:
        if expires_at is None:
            self.metadata.tags.clear()
            return
        value = expires_at if isinstance(expires_at, bytes) else deadline_tag(expires_at).encode()
        self.metadata.tags[EXPIRES_AT] = value

    def unreachable(self) -> None:
        self.environment["GPUCTL_GUARD_METADATA"] = "http://127.0.0.1:1"

    def time_passes(self, span: timedelta) -> None:
        self.now += span
        if self.metadata.date is not None:
            self.metadata.date += span

    def reboot(self) -> None:
        shutil.rmtree(self.memory, ignore_errors=True)
        self.booted = self.now

    def at(self, instant: datetime) -> "Machine":
        """The same instance, after a run of the timer at that instant."""
        self.time_passes(instant - self.now)
        return self.tick()

    def tick(self) -> "Machine":
        """The same instance, after one run of the timer."""
        return self.run()

    def run(self, *also: str) -> "Machine":
        """The same instance, after one run of the script with these arguments too."""
        done = subprocess.run(
            ["/bin/bash", str(self.folder / "guard"), self.argument, *also],
            cwd=self.folder, env=self.surroundings(), capture_output=True, timeout=30, check=False,
        )  # fmt: skip
        assert b": line " not in done.stderr, "bash found fault with the script"
        return self

    def is_used_by_nothing(self) -> None:
        """What the instance shows of its use: two idle GPUs, nobody logged in, no connection but its own, no load."""
        self.homes.mkdir(exist_ok=True)
        self.stand_in("nvidia-smi", "#!/bin/sh\necho 0\necho 5\n")
        self.stand_in("who", "#!/bin/sh\n")
        self.shows("loadavg", "0.49 3.00 9.00 1/123 4567\n")
        self.shows("net/tcp", f"{_HEAD}{_connection('0016', '0A')}{_connection('D431', '01', '0016')}")
        self.shows("net/tcp6", _HEAD)

    def is_reached_by_ssh(self) -> None:
        self.shows("net/tcp", f"{_HEAD}{_connection('0016', '01')}")

    def shows(self, name: str, text: str) -> None:
        path = self.proc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def watched(self, span: timedelta, idle: str = "900", every: timedelta = timedelta(seconds=30)) -> "Machine":
        """The same instance, after that time with its idle timer running."""
        until = self.now + span
        while self.now < until:
            self.time_passes(min(every, until - self.now))
            self.run("idle", idle)
        return self

    def surroundings(self) -> dict[str, str]:
        (self.folder / "now").write_text(str(int((self.now + self.clock_error).timestamp())))
        (self.folder / "uptime").write_text(f"{(self.now - self.booted).total_seconds():.2f} 9.00\n")
        return {
            "PATH": f"{self.bin}:{self.tools}",
            "HOME": str(self.folder),
            "GPUCTL_GUARD_METADATA": self.metadata.url,
            "GPUCTL_GUARD_METADATA6": "http://127.0.0.1:1",
            "GPUCTL_GUARD_STATE": str(self.disk),
            "GPUCTL_GUARD_RUN": str(self.memory),
            "GPUCTL_GUARD_CONSOLE": str(self.console_file),
            "GPUCTL_GUARD_UPTIME": str(self.folder / "uptime"),
            "GPUCTL_GUARD_CLOUD_ID": str(self.folder / "cloud-id"),
            "GPUCTL_GUARD_PROC": str(self.proc),
            "GPUCTL_GUARD_HOMES": str(self.homes),
            **self.environment,
        }

    @property
    def calls(self) -> list[str]:
        return _lines(self.folder / "calls")

    @property
    def is_off(self) -> bool:
        return "shutdown -P now" in self.calls

    @property
    def console(self) -> list[str]:
        return [line.removeprefix("gpuctl-guard: ") for line in _lines(self.console_file)]


_HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"


def _connection(port: str, state: str, remote_port: str = "9C40") -> str:
    return f"   0: 0100A8C0:{port} 0200A8C0:{remote_port} {state} 00000000:00000000 00:00000000 00000000     0\n"


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
