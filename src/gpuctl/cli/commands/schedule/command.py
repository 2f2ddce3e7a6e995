"""`gpuctl schedule`: lets a scheduler of this computer run the reaper for this state."""

import shlex
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.commands.schedule.programs import started_bare
from gpuctl.cli.commands.schedule.reaper_job import (
    StateSchedule,
    bare_environment,
    check_command_of,
    command_of,
    limits_of,
    log_in,
    pools_command_of,
    providers_in_use,
    variables_left_out,
    variables_of,
)
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import ParameterType, flag, option
from gpuctl.cli.render.figures import ago, cell
from gpuctl.cli.render.result import Result
from gpuctl.cli.render.tables import Labeled
from gpuctl.cli.terminal.text import clean
from gpuctl.documents.schedule import schedule_shape
from gpuctl.domain.duration import exact
from gpuctl.domain.schedule import Installed
from gpuctl.errors import UsageError
from gpuctl.home.schedule import ScheduleNote
from gpuctl.providers.registry import all_facts
from gpuctl.services.scheduling.credentials_check import logins_to_prove, proofs_from
from gpuctl.services.scheduling.credentials_check import prove as prove_logins
from gpuctl.services.scheduling.cron import KIND as CRON
from gpuctl.services.scheduling.job import ReaperJob, parse_every
from gpuctl.services.scheduling.overdue import patience, wait_for_run
from gpuctl.services.scheduling.process import ScheduleError
from gpuctl.services.scheduling.schedulers import Scheduler
from gpuctl.services.scheduling.status import ScheduleStatus

if TYPE_CHECKING:
    pass

EXAMPLES = """\
gpuctl schedule install
gpuctl schedule install --cron --every 5m --profile prod
gpuctl schedule status
gpuctl schedule uninstall"""

_PROOF_PATIENCE_S = 90
_STARTED_WITHIN = timedelta(seconds=20)
_EVERY = ParameterType("TIME", lambda text, name: parse_every(text))


def install(
    ctx: typer.Context,
    every: Annotated[timedelta, option(_EVERY, "Interval that divides an hour, such as 1m, 5m or 1h")] = timedelta(
        minutes=1
    ),
    cron: Annotated[bool, flag("Use cron", "--cron")] = False,
    systemd: Annotated[bool, flag("Use a systemd user timer", "--systemd")] = False,
    wait: Annotated[bool, flag("Wait until the reaper has run, for at most two intervals", "--wait")] = False,
) -> Result:
    """Run `gpuctl reap` and `gpuctl pool scale` on a schedule. Installing again replaces the schedule.

    Uses launchd on macOS, elsewhere a systemd user timer if available, otherwise cron. Writes absolute paths, and no
    secrets.
    """
    if cron and systemd:
        raise UsageError("--cron and --systemd cannot be combined")
    wanted = "cron" if cron else "systemd" if systemd else None
    place = _place(ctx, wanted)
    context, location = place.context, place.context.wiring.state_url
    variables, scheduler = variables_of(context), place.schedulers.choose(wanted)
    folder = context.wiring.create_state_folder()
    job = ReaperJob(place.key, every, command_of(context, folder), variables)
    installed_at = context.clock.now()
    where = scheduler.install(job)
    # In a process of its own: no launch delays a termination.
    scheduler.install(replace(job, key=place.pools_key, argv=pools_command_of(context, folder)))
    for key in (place.key, place.pools_key):
        place.schedulers.uninstall(key, keep=scheduler)
    ScheduleNote(folder).write(
        Installed(kind=scheduler.kind, every=job.every, installed_at=installed_at, state=location)
    )
    for warning in (*_warnings_of_variables(context), *scheduler.warnings(place.key), *limits_of(context, job)):
        context.progress.warn(warning)
    proven = _credentials_report(context, job)
    _check_first_run(place, scheduler, job, installed_at, wait=wait)
    lines = [_installed(place.status(), scheduler.kind, job, log_in(folder)), *proven]
    return _result(place, footer=[*lines, where] if context.globals.verbose else lines)


def _installed(status: ScheduleStatus, kind: str, job: ReaperJob, log: Path) -> str:
    """What the installation has achieved, in a line."""
    if status.problem is None:
        return f"{kind} runs the reaper every {exact(job.every)}; log: {log}"
    written = "the line is in the crontab" if kind == CRON else f"the schedule is written for {kind}"
    return f"{written}, but nothing runs it: {status.remedy}"


def _check_first_run(
    place: StateSchedule, scheduler: Scheduler, job: ReaperJob, installed_at: datetime, *, wait: bool
) -> None:
    """Warn of what is known to keep the reaper from running. With `wait`, ScheduleError if two runs are missed."""
    context = place.context
    problem = place.status().problem
    if problem is not None:
        context.progress.warn(f"the reaper will not run: {problem}")
    if not wait and not scheduler.starts_at_once:
        return
    context.progress.step("waiting for the first run of the reaper")
    within = patience(job.every) if wait else _STARTED_WITHIN
    if wait_for_run(context.wiring.state.reaper.read, installed_at, within, context.clock):
        return
    if wait:
        raise ScheduleError(f"the reaper did not run within {exact(within)}", hint="gpuctl schedule status")
    context.progress.warn(
        f"{scheduler.kind} has not run the reaper within {exact(within)}; run: gpuctl schedule status"
    )


def _credentials_report(context: Context, job: ReaperJob) -> list[str]:
    """Use the credentials once in the environment of the job, and return the result as lines below the table."""
    trial = replace(job, argv=check_command_of(context))
    context.progress.step("checking the credentials of the scheduled reaper")
    ran = started_bare(trial.command, bare_environment(), _PROOF_PATIENCE_S)
    try:
        proofs = proofs_from(ran)
    except ValueError as error:
        context.progress.warn(f"could not check whether the scheduled reaper can use your credentials: {error}")
        return []
    for proof in proofs:
        if proof.error is not None:
            context.progress.warn(f"the schedule cannot use your credentials for {proof.label}: {proof.error}")
        if proof.warning is not None:
            text = f"the schedule can use your credentials for {proof.label} only for a time: {proof.warning}"
            context.progress.warn(text)
    providers = {proof.provider for proof in proofs}
    for provider, _ in providers_in_use(context):
        if provider not in providers:
            context.progress.warn(
                f"the schedule cannot use your credentials for {provider}: it finds none in its environment and files"
            )
    proven = [proof.label for proof in proofs if proof.error is None]
    if not proofs:
        return ["no credentials were tried: neither an instance nor the config names a provider yet"]
    return [f"it can use your credentials: {', '.join(proven)}"] if proven else []


def prove(ctx: typer.Context) -> Result:
    """Check the credentials. `install` runs this command in the environment of the schedule."""
    context = _place(ctx).context
    logins = logins_to_prove(context.wiring.store.snapshot().records, providers_in_use(context))
    proofs = prove_logins(context.wiring.runtime.sessions, logins)
    rows = [[proof.label, proof.error or ""] for proof in proofs]
    return Result({"proofs": [proof.shape for proof in proofs]}, columns=["credentials", "error"], rows=rows)


def _warnings_of_variables(context: Context) -> list[str]:
    missing = variables_left_out(context)
    if not missing:
        return []
    return [
        f"{', '.join(missing)} will not be there when it runs, as no schedule keeps secrets: put the login into a "
        f"profile ({', '.join(facts.log_in for facts in all_facts())}) and hooks into the config"
    ]


def status(ctx: typer.Context) -> Result:
    """Show the schedule of the reaper and its last run."""
    return _result(_place(ctx), footer=[])


def uninstall(ctx: typer.Context) -> Result:
    """Remove the schedule of the reaper."""
    place = _place(ctx)
    place.schedulers.uninstall(place.pools_key)
    was_installed = place.schedulers.uninstall(place.key)
    folder = place.context.wiring.state_folder
    if folder is not None:
        ScheduleNote(folder).forget()
    removed = "schedule removed" if was_installed else "no schedule was installed"
    return _result(place, footer=[removed])


def _place(ctx: typer.Context, wanted: str | None = None) -> StateSchedule:
    context: Context = ctx.find_root().obj
    if context.sandbox:
        raise UsageError("the sandbox needs no schedule", hint="gpuctl --sandbox reap")
    return StateSchedule(context, wanted)


def _result(place: StateSchedule, footer: list[str]) -> Result:
    context = place.context
    schedule_status = place.status()
    folder = context.wiring.state_folder
    log = None if folder is None else str(log_in(folder))
    shape = schedule_shape(schedule_status, context.wiring.store.location, log)
    hints = {"overdue": f"tail {log}", "failing": f"tail {log}", "installed": ""}
    hint = hints.get(schedule_status.word, schedule_status.remedy)
    return Result(
        document={"schedule": shape},
        columns=list(shape),
        rows=[[cell(value) for value in shape.values()]],
        draw=lambda width: _table(schedule_status, context.wiring.store.location, log),
        footer=[*footer, *([f"hint: {hint}"] if hint and not footer else [])],
    )


def _table(status: ScheduleStatus, state: str, log: str | None) -> Labeled:
    grid = Labeled()
    job, times = status.job, status.times
    last = ago(times.last_reap_at, status.now)
    place = f" in {times.last_reap_in}" if times.last_reap_in else ""
    exit_code = f", exit {times.last_reap_exit}" if times.last_reap_exit else ""
    rows = [
        ("schedule", f"{status.word}, {status.kind} every {exact(job.every)}" if job else status.word),
        *([("problem", status.problem)] if status.problem else []),
        ("last reap", f"{last}{place}{exit_code}"),
        ("state", state),
        *([("command", shlex.join(job.command)), ("log", log or "")] if job else []),
    ]
    for name, text in rows:
        grid.add_row(name, clean(text))
    return grid
