"""`gpuctl reap`: terminate expired instances, confirm terminations, find orphans. Safe to run at any time."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import FILE, INTERVAL, flag, integer, option
from gpuctl.cli.render.renderer import render
from gpuctl.cli.render.result import Result
from gpuctl.cli.render.tables import table, wrapped
from gpuctl.cli.terminal.text import brief
from gpuctl.documents.events import reap_shape, reason_of
from gpuctl.domain.reconcile.actions import ActionKind
from gpuctl.domain.unfinished import has_work
from gpuctl.errors import StateLockedError, StateUnusableError, UsageError
from gpuctl.home.schedule import limit_error_log
from gpuctl.services.reap.loop import ReapReport
from gpuctl.services.reap.reaper import reportable
from gpuctl.services.reconcile.apply import ActionResult
from gpuctl.wiring.reaper import open_reaper, reap_options

if TYPE_CHECKING:
    from rich.table import Table

EXAMPLES = """\
gpuctl reap --dry-run
gpuctl reap --sweep
gpuctl schedule install               run it every minute; or by crontab line:
* * * * * /usr/local/bin/gpuctl reap --state /home/ana/.local/state/gpuctl/state.json"""

COLUMNS = ("id", "action", "reason", "status", "error", "detail")


def command(
    ctx: typer.Context,
    dry_run: options.DryRun = False,
    sweep: Annotated[bool, flag("Sweep all regions now", "--sweep")] = False,
    wait: Annotated[bool, flag("Wait until termination is confirmed", "--wait")] = False,
    watch: Annotated[bool, flag("Run continuously, once every --interval", "--watch")] = False,
    interval: Annotated[timedelta, option(INTERVAL, "Time between runs with --watch")] = timedelta(seconds=60),
    max_orphans: Annotated[int, option(integer("N", 0), "Maximum number of orphans to terminate per run")] = 3,
    log: Annotated[Path | None, option(FILE, "Also append messages to FILE (rotated)")] = None,
) -> Result | None:
    """Terminate expired instances, record confirmed terminations, adopt or terminate orphans.

    Also starts `gpuctl resume` in the background for work with a deadline whose `gpuctl run` was killed. If there is
    nothing to do and stdout is not a terminal, it prints nothing. Problems go to stderr and exit code 8.
    """
    context: Context = ctx.find_root().obj
    if log is not None:
        context.log_to(log)
        limit_error_log(log.parent)
    if watch and dry_run:
        raise UsageError("--watch and --dry-run cannot be combined")
    wiring = context.wiring
    reaper = open_reaper(
        wiring,
        reap_options(wiring, sweep=sweep, dry_run=dry_run, max_orphans=max_orphans),
        is_attended=context.is_terminal,
    )
    # Delivered after the reaper's lock is released: a reap that starts meanwhile terminates what is expired.
    context.owes_events = not dry_run
    if not watch:
        report = reaper.run(wait=wait)
        _continue_work(context, report, dry_run=dry_run)
        return _result(context, report, dry_run=dry_run)
    for report in reaper.watch(interval, partial(_notify, context), wait=wait):
        _continue_work(context, report, dry_run=False)
        result = _result(context, report, dry_run=False)
        if result is not None:
            render(context, result)
    return None


def _notify(context: Context, within: timedelta) -> None:
    from gpuctl.wiring.hooks import notify_hooks

    notify_hooks(context.wiring, within, is_reaper=True, is_attended=context.is_terminal)


def _continue_work(context: Context, report: ReapReport, *, dry_run: bool) -> None:
    """Start what continues unfinished work. A state that cannot be used was reported by the reaper itself."""
    with suppress(StateUnusableError, StateLockedError):
        if report.is_busy or dry_run or not has_work(context.wiring.store.snapshot().records):
            return
        from gpuctl.cli.commands.run.background import continue_work

        continue_work(context)


def _result(context: Context, report: ReapReport, *, dry_run: bool) -> Result | None:
    if report.is_busy and not context.is_output_chosen:
        return None
    done = reportable(report.result.done)
    shown = done if dry_run or context.is_output_chosen else [outcome for outcome in done if _is_done(outcome)]
    footer = [f"unresolved: {problem}" for problem in report.problems]
    if not shown and not footer and (context.is_terminal or dry_run):
        footer = ["nothing to do"]
    return Result(
        document=reap_shape(report.result.done, is_dry_run=dry_run),
        columns=COLUMNS,
        rows=[_row(outcome) for outcome in shown],
        ids=[outcome.action.subject for outcome in shown if outcome.terminates],
        draw=lambda width: _table(shown),
        footer=footer,
        error=report.error,
        is_silent=True,
    )


def _is_done(outcome: ActionResult) -> bool:
    return outcome.action.kind in (ActionKind.TERMINATE, ActionKind.CLOSE, ActionKind.ADOPT) and outcome.error is None


def _row(outcome: ActionResult) -> list[str]:
    return [
        outcome.action.subject,
        outcome.action.kind.value,
        reason_of(outcome.action) or "",
        outcome.record.status.value if outcome.record else "",
        outcome.error or "",
        outcome.action.detail,
    ]


def _table(done: Sequence[ActionResult]) -> "Table":
    grid = table("ID", "NAME", "ACTION", wrapped("REASON"), "STATUS")
    for outcome in done:
        reason = outcome.error or " · ".join(
            dict.fromkeys(part for part in (reason_of(outcome.action), outcome.action.detail) if part)
        )
        status = outcome.record.status.value if outcome.record else ""
        grid.add_row(
            *(
                brief(text)
                for text in (
                    outcome.action.subject,
                    outcome.record.name or "" if outcome.record else "",
                    outcome.action.kind.value,
                    reason,
                    status,
                )
            )
        )
    return grid
