"""`gpuctl doctor`: is everything right for instances to start, and to end?"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import INSTANCE_TYPE, option
from gpuctl.cli.render.figures import counted
from gpuctl.cli.render.hints import fitted
from gpuctl.cli.render.result import Result
from gpuctl.cli.render.tables import table, wrapped
from gpuctl.cli.terminal.text import brief, clean
from gpuctl.documents.checks import finding_shape
from gpuctl.domain.diagnosis import Finding, Verdict
from gpuctl.domain.duration import as_typed
from gpuctl.domain.instance import ProviderName
from gpuctl.domain.market.ssh_source import NONE
from gpuctl.errors import CloudError, GpuctlError, StateUnusableError, UsageError
from gpuctl.files import disk_hint
from gpuctl.providers.registry import SUPPORTED, facts_of
from gpuctl.services.doctor import examine_cloud, examine_local
from gpuctl.services.doctor.setup import CheckedCloud, CheckedSetup

if TYPE_CHECKING:
    from rich.console import RenderableType

EXAMPLES = """\
gpuctl doctor
gpuctl doctor --type g5.xlarge --region eu-west-1
gpuctl doctor --provider aws -o json | jq '.checks[] | select(.status == "fail")'"""

COLUMNS = ("check", "status", "provider", "message", "hint")
_COLORS = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red", Verdict.UNKNOWN: "dim"}
_MARKS = {Verdict.OK: "ok", Verdict.WARN: "warn", Verdict.FAIL: "FAIL", Verdict.UNKNOWN: "?"}


@dataclass(frozen=True, slots=True)
class _Line:
    """A finding, and of which cloud; None for what is of this computer."""

    cloud: ProviderName | None
    finding: Finding


def command(
    ctx: typer.Context,
    provider: options.Provider = None,
    region: options.Region = None,
    type_: Annotated[str | None, option(INSTANCE_TYPE, "Instance type to check", "--type")] = None,
) -> Result:
    """Check credentials, permissions, quota, instance type, image, state, schedule and clock.

    Creates nothing: permissions are checked with dry runs. Prints a fix for each problem, and exits with 1 if a check
    fails.
    """
    context: Context = ctx.find_root().obj
    context.wiring.start_sandbox()
    wanted = provider if type_ is None else context.wiring.catalog.find(type_, provider).provider
    setup = _setup(context)
    lines = [_Line(None, finding) for finding in examine_local(setup)]
    for cloud in _clouds(context, setup, wanted, region, type_):
        context.progress.step(f"checking {cloud.name}")
        lines += [_Line(cloud.name, finding) for finding in examine_cloud(setup, cloud)]
    return _result(context, lines)


def _setup(context: Context) -> CheckedSetup:
    from gpuctl.cli.commands.schedule.reaper_job import StateSchedule

    return CheckedSetup(
        runtime=context.wiring.runtime,
        catalog=context.wiring.catalog,
        user=context.wiring.user,
        schedule=lambda: StateSchedule(context).status(),
        in_sandbox=context.sandbox,
        platform=context.platform,
        disk_problems=lambda: _disk_problems(context),
    )


def _disk_problems(context: Context) -> list[str]:
    """What is wrong with the disk of a state that is a file on this computer, a sentence each.

    StateUnusableError where no file can be created or written there.
    """
    from gpuctl.store.local.promises import is_unsuitable, missing_promises

    if context.wiring.state.backups is None:
        return []
    path = Path(context.wiring.store.location)
    problems = []
    filesystem = context.platform.filesystem(path)
    if is_unsuitable(filesystem):
        problems.append(f"the state is on a network or foreign file system ({filesystem})")
    try:
        missing = missing_promises(path.parent)
    except OSError as error:
        raise StateUnusableError(
            f"no file can be written in `{path.parent}`: {error.strerror}", hint=disk_hint(error, path.parent)
        ) from error
    if missing:
        problems.append(f"the disk of the state lacks: {', '.join(missing)}; gpuctl works without, less safely")
    return problems


def _clouds(
    context: Context, setup: CheckedSetup, wanted: ProviderName | None, region: str | None, type_: str | None
) -> list[CheckedCloud]:
    """The provider of the options; else those of the config and the records; else all there are.

    A region belongs to the providers that have it: the others are left out. UsageError where none has it.
    """
    every = SUPPORTED
    if wanted is not None:
        names = [wanted]
    else:
        try:
            used = {record.provider for record in setup.records}
        except GpuctlError:
            # The check of the state reports that the state cannot be read.
            used = set()
        used |= set(context.wiring.config.clouds)
        names = [name for name in every if name in used] or list(every)
    if region is not None:
        candidates = names if wanted is not None else every
        having = [name for name in candidates if region in context.wiring.catalog.regions(name)]
        names = [name for name in names if name in having] or having
        if not names:
            raise _unknown_region(context, region, candidates)
    clouds = []
    for name in names:
        settings = context.wiring.config.cloud(name)
        profile = None if context.sandbox else settings.profile
        # The sandbox has no settings of a cloud's own that could name one.
        place = region or settings.region or (facts_of(name).example_region if context.sandbox else None)
        ssh_from = None if context.wiring.config.ssh.ssh_from == NONE else context.wiring.config.ssh.ssh_from
        clouds.append(CheckedCloud(name, profile, place, type_, settings.image, settings.subnet, ssh_from))
    return clouds


def _unknown_region(context: Context, region: str, names: Sequence[ProviderName]) -> UsageError:
    if len(names) == 1:
        context.wiring.catalog.check_region(names[0], region)
    known = sorted({region for name in names for region in context.wiring.catalog.regions(name)})
    near = get_close_matches(region, known, n=3)
    named = ", ".join(f"`{name}`" for name in near or known[:4])
    hint = f"did you mean {named}?" if near else f"one of {named}, …"
    return UsageError(f"no provider has a region {as_typed(region)}", hint=hint)


def _result(context: Context, lines: Sequence[_Line]) -> Result:
    failed = [line for line in lines if line.finding.verdict is Verdict.FAIL]
    warned = sum(line.finding.verdict is Verdict.WARN for line in lines)
    error = None
    if failed:
        names = ", ".join(dict.fromkeys(line.finding.check for line in failed))
        error = CloudError(f"{counted(len(failed), 'check')} failed: {names}", hint=failed[0].finding.hint)
    summary = f"{counted(len(lines), 'check')}: no failures" + (f", {counted(warned, 'warning')}" if warned else "")
    return Result(
        document={
            "checks": [finding_shape(line.finding, line.cloud) for line in lines],
            "count": len(lines),
            "failed": len(failed),
        },
        columns=COLUMNS,
        rows=[[text or "" for text in _row(line)] for line in lines],
        ids=list(dict.fromkeys(line.finding.check for line in failed)),
        draw=lambda width: _table(context, lines),
        footer=[] if failed else [summary],
        error=error,
    )


def _row(line: _Line) -> list[str | None]:
    finding = line.finding
    return [finding.check, finding.verdict.value, line.cloud.value if line.cloud else None, finding.text, finding.hint]


def _table(context: Context, lines: Sequence[_Line]) -> "RenderableType":
    from rich.text import Text

    grid = table("", "", wrapped(), header=False)
    for line in lines:
        finding = line.finding
        grid.add_row(
            Text(_MARKS[finding.verdict], style=_COLORS[finding.verdict]), finding.check, Text(brief(finding.text))
        )
        hint = fitted(finding.hint, in_sandbox=context.sandbox, state=context.globals.state)
        if hint and finding.verdict is not Verdict.OK:
            grid.add_row("", "", Text(f"hint: {clean(hint)}", style="dim"))
    return grid
