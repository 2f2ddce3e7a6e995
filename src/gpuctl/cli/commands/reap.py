"""`gpuctl reap`: end what is due, prove what is gone, find what was lost. For cron, and safe to run at any time."""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpuctl.cli import options
from gpuctl.cli.context import Context
from gpuctl.cli.render.renderer import render
from gpuctl.cli.render.result import Result
from gpuctl.cli.terminal.text import brief
from gpuctl.documents import scope_shape
from gpuctl.domain.duration import parse_duration, rough
from gpuctl.domain.instance import ProviderName
from gpuctl.domain.reconcile.actions import Kind
from gpuctl.errors import GpuctlError, StateFault, StateLockedError, StateUnusableError, UnresolvedError, UsageError
from gpuctl.home.environment import path_of
from gpuctl.services.launch.emergency import Unwritable
from gpuctl.services.reap.by_tags import reap_by_tags
from gpuctl.services.reap.reaper import Reaped, Reaper, news, reap, remembered
from gpuctl.services.reconcile.apply import ActionResult
from gpuctl.services.terminate import wait_until_gone
from gpuctl.store.reaper import ReapTimes

if TYPE_CHECKING:
    from rich.table import Table

EXAMPLES = """\
gpuctl reap --dry-run
gpuctl reap --sweep
gpuctl schedule install               run it every minute; or by crontab line:
* * * * * /usr/local/bin/gpuctl reap --state /home/ana/.local/state/gpuctl/state.json"""

COLUMNS = ("id", "action", "reason", "status", "error", "detail")
_BUSY_FOR = timedelta(minutes=5)
_TELL_AGAIN = timedelta(hours=1)
_WAIT = timedelta(minutes=5)


def command(
    ctx: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show planned actions; change nothing")] = False,
    sweep: Annotated[bool, typer.Option("--sweep", help="Sweep all regions now")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until termination is confirmed")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Run continuously, once every --interval")] = False,
    interval: Annotated[str, typer.Option(metavar="TIME", help="Time between runs with --watch")] = "60s",
    max_orphans: Annotated[str, typer.Option(metavar="N", help="Maximum number of orphans to terminate per run")] = "3",
    log: Annotated[str | None, typer.Option(metavar="FILE", help="Also append messages to FILE (rotated)")] = None,
) -> Result | None:
    """Terminate expired instances, record confirmed terminations, adopt or terminate orphans.

    If there is nothing to do and stdout is not a terminal, it prints nothing. Problems go to stderr and exit code 8.
    """
    context: Context = ctx.find_root().obj
    if log is not None:
        context.log_to(path_of(log))
    pause = parse_duration(interval, option="--interval")
    most = options.whole(max_orphans, option="--max-orphans")
    if most < 0:
        raise UsageError(f"--max-orphans must be 0 or more, not `{most}`")
    if pause < timedelta(seconds=1):
        raise UsageError("--interval must be at least 1s")
    if watch and dry_run:
        raise UsageError("--watch and --dry-run do not go together")
    reaper = reaper_of(context, sweep=sweep, dry_run=dry_run, max_orphans=most)
    # They are told outside of the reaper's turn: one that begins meanwhile ends what is due.
    context.owes_events = not dry_run
    if not watch:
        return _pass(context, reaper, wait=wait)
    while True:
        result = _pass(context, reaper, wait=wait)
        if result is not None:
            render(context, result)
        from gpuctl.cli.hooking import tell_hooks
        from gpuctl.services.events.deliver import IN_ALL

        # Out of the pause, and never longer: telling somebody delays no pass.
        begun = context.clock.elapsed()
        tell_hooks(context, min(pause, IN_ALL))
        context.clock.sleep(pause - (context.clock.elapsed() - begun))
        context.wiring.forget_credentials()


def reaper_of(context: Context, *, sweep: bool, dry_run: bool, max_orphans: int) -> Reaper:
    """What the settings and these options ask of the reaper."""
    return Reaper(
        sweep=sweep,
        dry_run=dry_run,
        max_orphans=max_orphans,
        reap_state_ids=frozenset(context.wiring.config.reap_state_ids),
        keep_ended=context.wiring.config.keep_ended,
        places=tuple(_places(context)),
    )


def _places(context: Context) -> Iterable[tuple[ProviderName, str | None, str]]:
    for name, cloud in context.wiring.config.clouds.items():
        profile = None if context.sandbox else cloud.profile
        for region in dict.fromkeys((*([cloud.region] if cloud.region else []), *cloud.regions)):
            yield name, profile, region


def _pass(context: Context, reaper: Reaper, *, wait: bool) -> Result | None:
    now = context.clock.now()
    if reaper.dry_run:
        reaped, unusable = _reaped(context, context.wiring.reap_log.read(), reaper)
        return _result(context, reaped, reaper, [], unusable)
    with context.wiring.reap_log.turn(now) as begun:
        if begun is not None:
            if timedelta(0) <= now - begun < _BUSY_FOR:
                return None if not context.is_output_chosen else _result(context, Reaped(), reaper, [])
            context.progress.warn(f"another reap has been running for {rough(now - begun)}; running in parallel")
        return _worked(context, reaper, wait=wait)


def _worked(context: Context, reaper: Reaper, *, wait: bool) -> Result:
    runtime, log = context.wiring.runtime, context.wiring.reap_log
    times = log.read()
    reaped, unusable = _reaped(context, times, reaper)
    if wait and unusable is None:
        ids = [
            outcome.record.id for outcome in reaped.done if outcome.record and outcome.record.is_live and _ends(outcome)
        ]
        for key, error in wait_until_gone(runtime, ids, _WAIT).errors.items():
            reaped.problems.append(f"{key}: {error.message}")
    now = context.clock.now()
    matters = reaped.unresolved
    to_tell = matters if context.is_terminal else _not_told(matters, times.reported, now)
    told = {matter: now if matter in to_tell else times.reported[matter] for matter in matters}
    result = _result(context, reaped, reaper, to_tell, unusable)
    memory = times if unusable else remembered(times, reaped, reaper, context.wiring.store.snapshot().records)
    failing_since = (times.failing_since or now) if result.exit_code else None
    memory = memory.model_copy(
        update={
            "last_reap_at": now,
            "last_reap_exit": result.exit_code,
            "failing_since": failing_since,
            "reported": told,
        }
    )
    with suppress(StateUnusableError) if unusable else nullcontext():
        log.write(memory)
    return result


def _reaped(context: Context, times: ReapTimes, reaper: Reaper) -> tuple[Reaped, Unwritable | None]:
    """One pass. Where the state cannot be used, or a process that hangs holds it, its machines' own tags decide.

    Why it could not be used stands beside.
    """
    try:
        context.wiring.require_state()
        return reap(context.wiring.runtime, times, reaper), None
    except (StateUnusableError, StateLockedError) as error:
        is_anothers = isinstance(error, StateUnusableError) and error.fault is StateFault.OTHER
        state_id = None if is_anothers else context.wiring.store.state_id
        if state_id is None:
            raise
        reaped = reap_by_tags(context.wiring.runtime, state_id, times, reaper)
        reaped.problems.insert(0, f"{error.message}; its instances were processed by their tags only")
        return reaped, error


def _not_told(matters: Sequence[str], reported: dict[str, datetime], now: datetime) -> list[str]:
    """Those that are new, or were told over an hour ago."""
    return [
        problem
        for problem in matters
        if problem not in reported or not timedelta(0) <= now - reported[problem] < _TELL_AGAIN
    ]


def _result(
    context: Context,
    reaped: Reaped,
    reaper: Reaper,
    to_tell: Sequence[str],
    unusable: Unwritable | None = None,
) -> Result:
    matters = reaped.unresolved
    done = news(reaped.done)
    shown = done if reaper.dry_run or context.is_output_chosen else [outcome for outcome in done if _is_done(outcome)]
    error: GpuctlError | None = unusable
    if matters and unusable is None and not reaper.dry_run:
        error = UnresolvedError(
            f"{len(matters)} unresolved: {matters[0]}{' …' if len(matters) > 1 else ''}",
            hint=reaped.hint or "gpuctl list --refresh",
        )
    footer = [f"unresolved: {problem}" for problem in (matters if reaper.dry_run else to_tell)]
    if not shown and not footer and (context.is_terminal or reaper.dry_run):
        footer = ["nothing to do"]
    return Result(
        document={"dryRun": reaper.dry_run, "actions": [_shape(outcome) for outcome in done], "count": len(done)},
        columns=COLUMNS,
        rows=[_row(outcome) for outcome in shown],
        ids=[outcome.action.subject for outcome in shown if _ends(outcome)],
        draw=lambda width: _table(shown),
        footer=footer,
        error=error,
        is_silent=True,
    )


def _is_done(outcome: ActionResult) -> bool:
    return outcome.action.kind in (Kind.TERMINATE, Kind.CLOSE, Kind.ADOPT) and outcome.error is None


def _ends(outcome: ActionResult) -> bool:
    return outcome.action.kind in (Kind.TERMINATE, Kind.CLOSE)


def _shape(outcome: ActionResult) -> dict[str, Any]:
    scope = outcome.action.scope
    return {
        "id": outcome.action.instance_id,
        "action": outcome.action.kind.value,
        "reason": _reason(outcome),
        "detail": outcome.action.detail or None,
        "scope": scope_shape(scope.provider, scope.account, scope.region),
        "status": outcome.record.status.value if outcome.record else None,
        "error": outcome.error,
    }


def _reason(outcome: ActionResult) -> str | None:
    reason = outcome.action.proof.reason if outcome.action.proof else outcome.action.reason
    return reason.value if reason else None


def _row(outcome: ActionResult) -> list[str]:
    return [
        outcome.action.subject,
        outcome.action.kind.value,
        _reason(outcome) or "",
        outcome.record.status.value if outcome.record else "",
        outcome.error or "",
        outcome.action.detail,
    ]


def _table(done: Sequence[ActionResult]) -> "Table":
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("ID", "NAME", "ACTION", "WHY", "STATUS"):
        drawn.add_column(heading, no_wrap=heading != "WHY")
    for outcome in done:
        why = outcome.error or " · ".join(
            dict.fromkeys(part for part in (_reason(outcome), outcome.action.detail) if part)
        )
        status = outcome.record.status.value if outcome.record else ""
        drawn.add_row(
            *(
                brief(text)
                for text in (
                    outcome.action.subject,
                    outcome.record.name or "" if outcome.record else "",
                    outcome.action.kind.value,
                    why,
                    status,
                )
            )
        )
    return drawn
