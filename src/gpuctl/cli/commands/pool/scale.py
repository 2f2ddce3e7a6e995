"""`gpuctl pool scale`: one tick over the pools. Safe to run at any time, and at several computers at once."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.commands.pool.parameters import POOL
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import FILE, INTERVAL, argument, flag, option
from gpuctl.cli.render.renderer import render
from gpuctl.cli.render.result import Result
from gpuctl.cli.render.tables import table, wrapped
from gpuctl.cli.terminal.text import brief
from gpuctl.domain.pools.events import KEPT_FOR
from gpuctl.errors import StateLockedError, StateUnusableError, UsageError
from gpuctl.services.pools.result import PoolActionResult
from gpuctl.services.pools.scale import ScaleResult, scale
from gpuctl.services.progress import is_report_due
from gpuctl.store.reaper import ReapTimes
from gpuctl.wiring.pools import open_pools

if TYPE_CHECKING:
    from rich.table import Table

EXAMPLES = """\
gpuctl pool scale --dry-run
gpuctl pool scale train
gpuctl schedule install               run it every minute"""

COLUMNS = ("pool", "action", "id", "reason")


def command(
    ctx: typer.Context,
    names: Annotated[list[str] | None, argument(POOL, "Names of pools [default: all]", "[NAME]...")] = None,
    dry_run: options.DryRun = False,
    watch: Annotated[bool, flag("Run continuously, once every --interval", "--watch")] = False,
    interval: Annotated[timedelta, option(INTERVAL, "Time between runs with --watch")] = timedelta(seconds=60),
    log: Annotated[Path | None, option(FILE, "Also append messages to FILE (rotated)")] = None,
) -> Result | None:
    """Launch, renew and terminate pool instances by demand.

    Idle instances have deadlines at most 15 minutes ahead, which this command renews. If it stops running, idle
    instances are terminated. If there is nothing to do and stdout is not a terminal, it prints nothing. Problems go to
    stderr and exit code 8.
    """
    context: Context = ctx.find_root().obj
    if log is not None:
        context.log_to(log)
    if watch and dry_run:
        raise UsageError("--watch and --dry-run cannot be combined")
    context.wiring.require_state()
    if not watch:
        return _result(context, _tick(context, names or [], is_dry_run=dry_run), is_dry_run=dry_run)
    is_first = True
    while True:
        begun = context.clock.elapsed()
        try:
            result = _result(context, _tick(context, names or [], is_dry_run=False), is_dry_run=False)
        except (StateUnusableError, StateLockedError) as error:
            # Later it may be usable again.
            if is_first:
                raise
            result = Result({"actions": [], "count": 0}, error=error)
        is_first = False
        render(context, result)
        context.clock.sleep(interval - (context.clock.elapsed() - begun))


def _tick(context: Context, names: Sequence[str], *, is_dry_run: bool) -> ScaleResult:
    # Credentials expire, and clocks are corrected, while this runs for days.
    context.wiring.forget_credentials()
    tools = open_pools(context.wiring)
    result = scale(tools, names, is_dry_run=is_dry_run)
    if not is_dry_run and any(done.record for done in result.done):
        tools.forget_old(KEPT_FOR)
    return result


def _result(context: Context, result: ScaleResult, *, is_dry_run: bool) -> Result:
    done, error = result.done, result.error
    is_shown = is_dry_run or context.is_output_chosen or context.is_terminal
    shown = done if is_shown else [each for each in done if not each.is_unresolved]
    footer = [f"unresolved: {line}" for line in _problems(context, done, is_dry_run=is_dry_run)]
    if not done and (context.is_terminal or is_dry_run):
        footer = ["nothing to do"]
    return Result(
        document={
            **({"dryRun": True} if is_dry_run else {}),
            "actions": [_shape(each) for each in done],
            "count": len(done),
        },
        columns=COLUMNS,
        rows=[_row(each) for each in shown],
        ids=[each.record.id for each in done if each.record],
        draw=lambda width: _table(done),
        footer=footer,
        error=error,
        is_silent=True,
    )


def _problems(context: Context, done: Sequence[PoolActionResult], *, is_dry_run: bool) -> list[str]:
    """The problems to print now: cron mails every line, so one that lasts is printed once an hour."""
    problems = list(dict.fromkeys(f"{each.action.pool}: {each.reason}" for each in done if each.is_unresolved))
    if context.is_terminal or is_dry_run or context.wiring.store.state_id is None:
        return problems
    memory, now = context.wiring.state.reaper, context.clock.now()
    reported = memory.read().pools_reported
    due = [text for text in problems if is_report_due(reported.get(text), now)]
    remembered = {text: now if text in due else reported[text] for text in problems}
    if remembered != reported:
        memory.update(partial(_with_reported, reported=remembered))
    return due


def _with_reported(times: ReapTimes, reported: dict[str, datetime]) -> ReapTimes:
    return times.model_copy(update={"pools_reported": reported})


def _shape(each: PoolActionResult) -> dict[str, str | None]:
    return {
        "pool": each.action.pool,
        "action": each.action.kind.value,
        "id": each.record.id if each.record else None,
        "reason": each.reason,
    }


def _row(each: PoolActionResult) -> list[str]:
    return [each.action.pool, each.action.kind.value, each.record.id if each.record else "", each.reason]


def _table(done: Sequence[PoolActionResult]) -> "Table":
    grid = table("POOL", "ACTION", "ID", wrapped("REASON"))
    for each in done:
        grid.add_row(*(brief(cell) for cell in _row(each)))
    return grid
