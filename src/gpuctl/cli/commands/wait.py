"""`gpuctl wait`: waits until instances are ready or terminated."""

from datetime import timedelta
from typing import Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import ID, argument, choice, option
from gpuctl.cli.render.instances import COLUMNS, row, table
from gpuctl.cli.render.result import Result, overall_error
from gpuctl.documents.instances import instance_shape
from gpuctl.errors import PartialError
from gpuctl.services.query import resolve
from gpuctl.services.wait import Goal, wait_for

EXAMPLES = """\
id=$(gpuctl provision g4dn.xlarge --region us-east-1 --no-wait -q)
gpuctl wait "$id" --for ready && echo ready
gpuctl wait train-7 train-8 --for terminated --timeout 2h"""

_GOAL = choice("GOAL", Goal)


def command(
    ctx: typer.Context,
    instances: Annotated[list[str], argument(ID, "Instance IDs, names, or ID prefixes (4+ characters)", "ID...")],
    goal: Annotated[
        Goal, option(choice("GOAL", Goal), "Status to wait for: ready or terminated", "--for")
    ] = Goal.READY,
    timeout: options.Timeout = timedelta(minutes=15),
) -> Result:
    """Wait until instances are ready or confirmed terminated. Terminates nothing.

    Exits with 1 if an instance can no longer become ready, and with 8 on timeout.
    """
    context: Context = ctx.find_root().obj
    records = list(
        {record.id: record for record in (resolve(context.wiring.store, text) for text in instances)}.values()
    )
    waited = wait_for(context.wiring.runtime, records, goal, timeout)
    now = context.clock.now()
    shapes = [instance_shape(record, now) for record in waited.records]
    document: dict[str, object] = {"instances": shapes, "count": len(shapes)}
    if len(shapes) == 1:
        document["instance"] = shapes[0]
    hopeless = next((error for error in waited.errors.values() if error.exit_code == 1), None)
    partial = PartialError(f"{len(waited.errors)} of {len(records)} are not {goal}", hint="gpuctl list --refresh")
    return Result(
        document=document,
        columns=COLUMNS,
        rows=[row(record, now) for record in waited.records],
        ids=[record.id for record in waited.records],
        draw=lambda width: table(waited.records, now, width),
        error=hopeless or overall_error(waited.errors, len(records), partial),
        errors=waited.errors,
        requested=len(records),
    )
