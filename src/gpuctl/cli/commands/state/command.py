"""`gpuctl state`: show, create, move and export the state."""

import shlex
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from gpuctl.cli.context import Context
from gpuctl.cli.parameters import FILE_NAME, flag, option
from gpuctl.cli.render.figures import counted
from gpuctl.cli.render.result import Result
from gpuctl.documents.events import exported_shape
from gpuctl.domain.instance import Instance
from gpuctl.services.moving import move as move_state
from gpuctl.store.admin import Description

EXAMPLES = """\
gpuctl state show
gpuctl --state postgresql://ana@db.example.org/gpuctl state init
gpuctl state move --to postgresql://ana@db.example.org/gpuctl
gpuctl state export > records.jsonl"""

COLUMNS = ("location", "id", "kind", "format", "serial", "records", "archived", "movedTo")


def show(ctx: typer.Context) -> Result:
    """Show the location, the ID and the number of records of the state."""
    context: Context = ctx.find_root().obj
    context.wiring.start_sandbox()
    return _result(context.wiring.state.admin.describe())


def init(
    ctx: typer.Context,
    script: Annotated[bool, flag("Print the statements for an administrator; change nothing", "--print")] = False,
) -> Result | None:
    """Create a shared state in a database. An existing state is not an error.

    The database must exist. A state file needs no initialization.
    """
    context: Context = ctx.find_root().obj
    context.wiring.start_sandbox()
    admin = context.wiring.state.admin
    if script:
        context.streams.out.write(admin.script or "")
        if admin.script is None:
            context.progress.info("a state file needs nothing but its folder")
        return None
    description = admin.create()
    return _result(description, f"the state `{description.state_id}` is ready at {description.location}")


def move(
    ctx: typer.Context,
    to: Annotated[str, option(FILE_NAME, "New state: a file, or a URL initialized with `state init`")],
) -> Result:
    """Move the state with its archive to another location, and mark the old state as moved.

    Every record is compared before the old state is marked. After a failure, run the same command again.
    """
    context: Context = ctx.find_root().obj
    context.wiring.start_sandbox()
    context.progress.step("copying the state")
    moved = move_state(context.wiring.state, context.wiring.open_state(to))
    document = {
        "records": moved.records,
        "archived": moved.archived,
        "from": moved.source,
        "to": moved.target,
    }
    summary = (
        f"moved {counted(moved.records, 'record')} and {counted(moved.archived, 'archived record')}; from now on use "
        f"`--state {shlex.quote(moved.target)}` or set GPUCTL_STATE"
    )
    return Result(
        {"moved": document},
        columns=tuple(document),
        rows=[[str(value) for value in document.values()]],
        footer=[summary],
    )


def export(ctx: typer.Context) -> int:
    """Print all records, archived records included, as one JSON line each."""
    import json

    context: Context = ctx.find_root().obj
    context.wiring.start_sandbox()
    now = context.clock.now()
    for record in _every_record(context):
        context.streams.out.write(json.dumps(exported_shape(record, now, sandbox=context.sandbox)) + "\n")
    return 0


def _every_record(context: Context) -> Iterator[Instance]:
    store = context.wiring.store
    context.wiring.require_state()
    present = store.snapshot().records
    yield from present
    ids = {record.id for record in present}
    # A record that was archived between the two reads is in both.
    yield from (record for record in store.archived() if record.id not in ids)


def _result(description: Description, summary: str | None = None) -> Result:
    shape: dict[str, Any] = {
        "location": description.location,
        "id": description.state_id,
        "kind": description.kind.value,
        "format": description.format,
        "serial": description.serial,
        "records": description.records,
        "archived": description.archived,
        "movedTo": description.moved_to,
    }
    footer = [summary] if summary else []
    if description.moved_to is not None:
        footer.append(f"moved to {description.moved_to}")
    if description.incoming_from is not None:
        footer.append(f"a move from {description.incoming_from} has not finished; run it again")
    row = ["" if value is None else str(value) for value in shape.values()]
    return Result({"state": shape}, columns=COLUMNS, rows=[row], footer=footer)
