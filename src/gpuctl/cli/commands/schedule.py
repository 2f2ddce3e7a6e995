"""`gpuctl schedule`: let cron or systemd run the reaper for this state."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpuctl.cli.context import Context
from gpuctl.cli.programs import runner
from gpuctl.cli.render.figures import ago
from gpuctl.cli.render.result import Result
from gpuctl.cli.render.shapes import instant
from gpuctl.cli.render.text import clean
from gpuctl.cli.scheduled import command_of, left_behind, log_of, variables_of
from gpuctl.domain.duration import shown, spelled
from gpuctl.errors import UsageError
from gpuctl.services.scheduling.cron import Crontab
from gpuctl.services.scheduling.job import Job, key_of, parse_every
from gpuctl.services.scheduling.overdue import late_by
from gpuctl.services.scheduling.ran import ScheduleError
from gpuctl.services.scheduling.systemd import Timers
from gpuctl.store.base import ReapTimes
from gpuctl.store.schedule import Installed, ScheduleNote

if TYPE_CHECKING:
    from rich.table import Table

EXAMPLES = """\
gpuctl schedule install
gpuctl schedule install --cron --every 5m --profile prod
gpuctl schedule status
gpuctl schedule uninstall"""


def command(
    ctx: typer.Context,
    do: Annotated[str, typer.Argument(metavar="install|status|uninstall", help="What to do", show_default=False)],
    every: Annotated[str, typer.Option(metavar="TIME", help="How often, a whole part of an hour")] = "1m",
    cron: Annotated[bool, typer.Option("--cron", help="Use the crontab")] = False,
    systemd: Annotated[bool, typer.Option("--systemd", help="Use a timer of systemd's for this user")] = False,
) -> Result:
    """Put `gpuctl reap` on a schedule, look at it, or take it off.

    It takes systemd where that answers this user, else cron. The line names everything from the root on: the state,
    the config, the profile and a log that stays small. Installing again replaces it. Secrets are never written down.
    """
    context: Context = ctx.find_root().obj
    if do not in _ACTIONS:
        raise UsageError(f"unknown action {shown(do)}", hint="gpuctl schedule install|status|uninstall")
    if context.sandbox:
        raise UsageError("the sandbox needs no schedule", hint="gpuctl --sandbox reap")
    if cron and systemd:
        raise UsageError("--cron and --systemd do not go together")
    wanted = "cron" if cron else "systemd" if systemd else None
    return _ACTIONS[do](_Place(context), every, wanted)


class _Place:
    """The two places a schedule can be in, for this invocation's state."""

    def __init__(self, context: Context) -> None:
        run = runner(context.environ)
        self.context = context
        self.key = key_of(context.store.location)
        self.note = ScheduleNote(context.state_path)
        self.cron = Crontab(run)
        self.systemd = Timers(run, _units_folder(context))

    def pick(self, wanted: str | None) -> Crontab | Timers:
        """Where to install: where it was asked for, else systemd, else cron. ScheduleError where there is neither."""
        if wanted != "cron" and self.systemd.is_usable:
            return self.systemd
        if wanted == "systemd":
            raise ScheduleError("no systemd answers this user", hint="gpuctl schedule install --cron")
        if wanted == "cron" or self.cron.is_usable:
            return self.cron
        raise ScheduleError(
            "neither systemd nor cron can be used on this machine", hint="let a supervisor run: gpuctl reap --watch"
        )

    def find(self) -> "tuple[str, Job] | None":
        """The job that stands somewhere, and where."""
        for kind, place in (("systemd", self.systemd), ("cron", self.cron)):
            if kind == "cron" and not self.cron.is_usable:
                continue
            job = place.find(self.key)
            if job is not None:
                return kind, job
        return None


def _units_folder(context: Context) -> Path:
    home = context.environ.get("XDG_CONFIG_HOME", "")
    return (Path(home) if home.startswith("/") else Path("~/.config").expanduser()) / "systemd" / "user"


def _install(place: _Place, every: str, wanted: str | None) -> Result:
    context = place.context
    job = Job(place.key, parse_every(every), command_of(context), variables_of(context))
    chosen = place.pick(wanted)
    if context.store.snapshot().state_id is None:
        context.store.add([], lambda present: None)
    where = chosen.install(job)
    is_systemd = isinstance(chosen, Timers)
    if is_systemd and place.cron.is_usable:
        place.cron.uninstall(place.key)
    elif not is_systemd:
        place.systemd.uninstall(place.key)
    kind = "systemd" if is_systemd else "cron"
    place.note.write(Installed(kind=kind, every=job.every, installed_at=context.clock.now()))
    _warn(place, is_systemd=is_systemd)
    said = f"{kind} runs the reaper every {spelled(job.every)}; what it says is in {log_of(context)}"
    return _result(place, footer=[said, where] if context.globals.verbose else [said])


def _warn(place: _Place, *, is_systemd: bool) -> None:
    missing = left_behind(place.context)
    if missing:
        place.context.talk.warn(
            f"{', '.join(missing)} will not be there when it runs, as no schedule keeps secrets: put the login into a "
            "profile (aws configure, az login) and hooks into the config"
        )
    if is_systemd and not place.systemd.outlives_logout:
        place.context.talk.warn("it stops when you log out: loginctl enable-linger")


def _status(place: _Place, every: str, wanted: str | None) -> Result:
    return _result(place, footer=[])


def _uninstall(place: _Place, every: str, wanted: str | None) -> Result:
    was_there = place.systemd.uninstall(place.key)
    if place.cron.is_usable:
        was_there = place.cron.uninstall(place.key) or was_there
    place.note.forget()
    said = "the reaper is off its schedule" if was_there else "no schedule was installed"
    return _result(place, footer=[said])


_ACTIONS: dict[str, Callable[[_Place, str, str | None], Result]] = {
    "install": _install,
    "status": _status,
    "uninstall": _uninstall,
}


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is known of the schedule of one state."""

    kind: str | None
    job: Job | None
    note: Installed | None
    times: ReapTimes
    now: datetime

    @property
    def is_overdue(self) -> bool:
        """Whether it should have run and did not; also when its line is gone and the note of it stands."""
        return self.note is not None and (
            self.job is None
            or late_by(self.now, self.job.every, self.note.installed_at, self.times.last_reap_at) is not None
        )

    @property
    def word(self) -> str:
        if self.job is None:
            return "gone, though it was installed" if self.note else "not installed"
        return "overdue" if self.is_overdue else "installed"


def _result(place: _Place, footer: list[str]) -> Result:
    context = place.context
    found = place.find()
    kind, job = found or (None, None)
    seen = _Seen(kind, job, place.note.read(), context.reap_log.read(), context.clock.now())
    log = str(log_of(context))
    shape = _shape(seen, context.store.location, log)
    hints = {"overdue": f"tail {log}", "not installed": "gpuctl schedule install"}
    hint = hints.get(seen.word, "gpuctl schedule install" if seen.is_overdue else "")
    return Result(
        document={"schedule": shape},
        columns=list(shape),
        rows=[[_cell(value) for value in shape.values()]],
        draw=lambda width: _table(seen, context.store.location, log),
        footer=[*footer, *([f"hint: {hint}"] if hint and not footer else [])],
    )


def _shape(seen: _Seen, state: str, log: str) -> dict[str, Any]:
    job, times = seen.job, seen.times
    return {
        "installed": job is not None,
        "kind": seen.kind,
        "every": spelled(job.every) if job else None,
        "command": shlex.join(job.command) if job else None,
        "state": state,
        "log": log,
        "installedAt": instant(seen.note.installed_at) if seen.note else None,
        "lastReapAt": instant(times.last_reap_at) if times.last_reap_at else None,
        "lastReapExit": times.last_reap_exit,
        "overdue": seen.is_overdue,
    }


def _cell(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _table(seen: _Seen, state: str, log: str) -> "Table":
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    drawn.add_column(style="bold", no_wrap=True)
    drawn.add_column(overflow="fold")
    job, times = seen.job, seen.times
    last = ago(times.last_reap_at, seen.now)
    exit_code = f", exit {times.last_reap_exit}" if times.last_reap_exit else ""
    rows = [
        ("schedule", f"{seen.word}, {seen.kind} every {spelled(job.every)}" if job else seen.word),
        ("last reap", f"{last}{exit_code}"),
        ("state", state),
        *([("command", shlex.join(job.command)), ("log", log)] if job else []),
    ]
    for name, text in rows:
        drawn.add_row(name, clean(text))
    return drawn
