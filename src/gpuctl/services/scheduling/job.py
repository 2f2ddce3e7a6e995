"""One reaper on a schedule, and how cron and systemd spell it: every name from the root on, no PATH, no HOME."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256

from gpuctl.domain.duration import as_typed, exact, parse_duration
from gpuctl.errors import UsageError

ENV = "/usr/bin/env"
MINUTES = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)
_MARK = re.compile(r"# gpuctl:([0-9a-f]{8})$")
_STEP = re.compile(r"\*/(\d+) \* \* \* \*", re.ASCII)
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=", re.ASCII)
# Debian's cron reads no longer command than this.
_LONGEST_LINE = 980


@dataclass(frozen=True, slots=True)
class ReaperJob:
    """The scheduled command, its interval and its variables. `key` distinguishes the reapers of several states."""

    key: str
    every: timedelta
    argv: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for text in (*self.argv, *self.environ.values()):
            if not text.isprintable():
                raise UsageError(f"a schedule cannot contain control characters: {as_typed(text)}")

    @property
    def command(self) -> tuple[str, ...]:
        """The whole command, variables included."""
        assignments = tuple(f"{name}={value}" for name, value in self.environ.items())
        return (ENV, *assignments, *self.argv) if assignments else self.argv


def key_of(state: str) -> str:
    """What marks the reaper of that state: the same for the same file."""
    return sha256(state.encode(errors="surrogateescape")).hexdigest()[:8]


def parse_every(text: str) -> timedelta:
    """How often, as cron can say it. UsageError for a span that is no whole part of an hour."""
    span = parse_duration(text, option="--every")
    if span not in [timedelta(minutes=minute) for minute in MINUTES]:
        known = ", ".join(f"`{exact(timedelta(minutes=minute))}`" for minute in MINUTES)
        raise UsageError(f"--every must divide an hour, not {as_typed(text)}", hint=f"one of {known}")
    return span


def cron_line(job: ReaperJob) -> str:
    """The job as one line of a crontab, its mark at the end as a comment of the shell's."""
    minutes = _minutes(job.every)
    when = {1: "* * * * *", 60: "0 * * * *"}.get(minutes, f"*/{minutes} * * * *")
    # To cron an unescaped percent sign is the end of the line.
    command = shlex.join(job.command).replace("%", "\\%")
    line = f"{when} {command} # gpuctl:{job.key}"
    if len(line) > _LONGEST_LINE:
        raise UsageError(
            f"the crontab line would have {len(line)} characters, and cron reads {_LONGEST_LINE}",
            hint="gpuctl schedule install --systemd",
        )
    return line


def from_cron(line: str) -> ReaperJob | None:
    """The job in a line of a crontab; None for one that is not ours."""
    mark = _MARK.search(line)
    if mark is None or line.lstrip().startswith("#"):
        return None
    when, command = " ".join(line.split(" ")[:5]), line.split(" ", 5)[-1]
    step = _STEP.fullmatch(when)
    minutes = int(step[1]) if step else {"* * * * *": 1, "0 * * * *": 60}.get(when, 0)
    try:
        words = shlex.split(_MARK.sub("", command).replace("\\%", "%"))
    except ValueError:
        return None
    return _job(mark[1], timedelta(minutes=minutes), words)


def service_unit(job: ReaperJob) -> str:
    """The service that systemd runs each time."""
    variables = "".join(f"Environment={_quoted(f'{name}={value}')}\n" for name, value in job.environ.items())
    command = " ".join(_quoted(text).replace("$", "$$") for text in job.argv)
    return (
        "# Made by `gpuctl schedule install`, removed by `gpuctl schedule uninstall`.\n"
        "[Unit]\n"
        "Description=Terminate expired GPU instances (gpuctl reap)\n\n"
        "[Service]\n"
        "Type=oneshot\n"
        f"{variables}"
        f"ExecStart={command}\n"
        "TimeoutStartSec=15min\n"
        # What a hook left in the background goes on, as it does under cron.
        "KillMode=process\n"
    )


def timer_unit(job: ReaperJob) -> str:
    """The timer that runs it, and catches up once after the instance slept."""
    minutes = _minutes(job.every)
    return (
        "# Made by `gpuctl schedule install`, removed by `gpuctl schedule uninstall`.\n"
        "[Unit]\n"
        f"Description=gpuctl reap every {exact(job.every)}\n\n"
        "[Timer]\n"
        f"OnCalendar={'*:00' if minutes == 60 else f'*:0/{minutes}'}\n"
        "AccuracySec=1s\n"
        "Persistent=true\n\n"
        "[Install]\n"
        "WantedBy=timers.target\n"
    )


def from_units(key: str, service: str, timer: str) -> ReaperJob | None:
    """The job in a pair of units; None where they cannot be read."""
    calendar = re.search(r"^OnCalendar=\*:(?:0/(\d+)|00)$", timer, re.MULTILINE)
    command = re.search(r"^ExecStart=(.+)$", service, re.MULTILINE)
    if calendar is None or command is None:
        return None
    try:
        argv = [text.replace("$$", "$") for text in _unquoted(command[1])]
        assigned = [
            item for text in re.findall(r"^Environment=(.+)$", service, re.MULTILINE) for item in _unquoted(text)
        ]
    except ValueError:
        return None
    environ = dict(text.split("=", 1) for text in assigned)
    return ReaperJob(key, timedelta(minutes=int(calendar[1] or 60)), tuple(argv), environ)


def _job(key: str, every: timedelta, words: list[str]) -> ReaperJob:
    environ: dict[str, str] = {}
    if words[:1] == [ENV]:
        words = words[1:]
        while words and _ASSIGNMENT.match(words[0]):
            name, value = words.pop(0).split("=", 1)
            environ[name] = value
    return ReaperJob(key, every, tuple(words), environ)


def _quoted(text: str) -> str:
    """One word of a unit file."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _unquoted(text: str) -> list[str]:
    return [part.replace("%%", "%") for part in shlex.split(text)]


def _minutes(span: timedelta) -> int:
    return span // timedelta(minutes=1)
