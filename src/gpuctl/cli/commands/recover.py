"""`gpuctl recover`: rebuild a lost or damaged state from a backup and from the clouds."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from gpuctl.cli import options
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import FILE_NAME, option, text
from gpuctl.cli.render.figures import counted, local
from gpuctl.cli.render.instances import COLUMNS, row, table
from gpuctl.cli.render.result import Result
from gpuctl.documents.errors import scope_shape
from gpuctl.documents.instances import instance_shape
from gpuctl.domain.instance import Instance
from gpuctl.errors import UnresolvedError, UsageError
from gpuctl.services.reap.restore import Unqueried
from gpuctl.services.recover import Recovery, find, is_needed, rebuild
from gpuctl.wiring.reaper import configured_regions

EXAMPLES = """\
gpuctl recover --dry-run
gpuctl recover
gpuctl recover --backup ~/.local/state/gpuctl/state.json.backups/20261124T120000Z.json"""


_MOST_SHOWN = 50


def command(
    ctx: typer.Context,
    backup: Annotated[str | None, option(FILE_NAME, "Start from this backup")] = None,
    state_id: Annotated[
        str | None, option(text("ID"), "ID of the lost state, if it is not known on your computer")
    ] = None,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
) -> Result:
    """Rebuild a lost or damaged state file from the tags of its instances.

    Queries all regions of all providers. Keeps the old state file. Terminates nothing.
    """
    context: Context = ctx.find_root().obj
    context.wiring.start_sandbox()
    store = context.wiring.store
    if dry_run and not is_needed(store):
        context.progress.info(f"nothing to recover: the state `{store.location}` is usable")
        return Result({"instances": [], "count": 0, "stateId": store.state_id, "previousStateFile": None})
    context.progress.step("querying all regions of all providers")
    wanted = state_id or context.environ.get("GPUCTL_STATE_ID")
    regions = configured_regions(context.wiring)
    recovery = find(context.wiring.runtime, context.wiring.state, regions, backup=backup, state_id=wanted)
    _announce(context, recovery)
    if dry_run:
        return _result(context, [*recovery.backup, *recovery.unknown], recovery, None)
    if not yes and not context.may_prompt:
        raise UsageError("rebuilding the state requires confirmation", hint="add `--yes`, or preview with `--dry-run`")
    if not yes and not context.confirm("Rebuild the state from this?"):
        raise UsageError("nothing was written")
    previous = rebuild(context.wiring.runtime, recovery)
    return _result(context, context.wiring.store.snapshot().records, recovery, previous)


def _announce(context: Context, recovery: Recovery) -> None:
    count = sum(len(survey.listed) for survey in recovery.everywhere.surveys)
    parts = [f"{counted(len(recovery.unknown), 'instance')} with gpuctl tags in {counted(count, 'region')}"]
    if recovery.backup:
        parts.insert(
            0, f"{counted(len(recovery.backup), 'record')} in the {'state' if recovery.is_merging else 'backup'}"
        )
    context.progress.info(f"state `{recovery.state_id}`: {', '.join(parts)}")
    for record in (*recovery.backup, *recovery.unknown)[:_MOST_SHOWN]:
        about = (record.id, record.name or "", record.status.value, record.instance_type, record.region, record.user)
        context.progress.info("  ".join(part for part in (*about, f"deadline {local(record.expires_at)}") if part))
    for remark in sorted(recovery.everywhere.remarks):
        context.progress.info(remark)


def _result(context: Context, records: Sequence[Instance], recovery: Recovery, previous: str | None) -> Result:
    now = context.clock.now()
    problems = recovery.everywhere.problems
    error = None
    if problems:
        error = UnresolvedError(
            f"{len(problems)} regions could not be queried: {problems[0]}; until then only deadlines that the tags "
            "confirm are enforced",
            hint="fix the problem, then run: gpuctl reap",
        )

    return Result(
        document={
            "instances": [instance_shape(record, now) for record in records],
            "count": len(records),
            "stateId": recovery.state_id,
            "previousStateFile": previous,
        },
        columns=COLUMNS,
        rows=[row(record, now) for record in records],
        ids=[record.id for record in records],
        draw=lambda width: table(records, now, width),
        footer=[f"saved the previous state file as {previous}"] if previous else [],
        error=error,
        scoped_errors=[(_scope(problem), UnresolvedError(str(problem))) for problem in problems],
        requested=len(problems) + len(recovery.everywhere.surveys),
    )


def _scope(problem: Unqueried) -> dict[str, Any]:
    return scope_shape(problem.provider, problem.account, problem.region)
