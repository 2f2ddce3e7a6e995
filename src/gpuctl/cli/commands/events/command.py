"""`gpuctl events`: what happened to instances, from their records' own histories; and what happens now."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.commands.events.render import COLUMNS, row, table
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import ANY_ID, flag, option
from gpuctl.cli.render.renderer import draw, rows_of, write
from gpuctl.cli.render.result import Result
from gpuctl.cli.terminal.interrupt import until_ctrl_c
from gpuctl.documents.events import event_document, event_shape
from gpuctl.domain.events import Event
from gpuctl.services.events.follow import Follower
from gpuctl.services.query import resolve

EXAMPLES = """\
gpuctl events --since 1d
gpuctl events --id train-7
gpuctl events --follow
gpuctl events --follow -o json | jq -r 'select(.event == "instance:ready") | .instance.publicIp'"""

_POLL_EVERY = timedelta(seconds=1)
_INSTANCE_WIDTH = 17  # as wide as an id


def command(
    ctx: typer.Context,
    follow: Annotated[bool, flag("Print new events as they happen", "--follow", "-f")] = False,
    since: options.Since = None,
    instance: Annotated[str | None, option(ANY_ID, "Only events of this instance", "--id")] = None,
) -> Result | None:
    """Show events, oldest first, including those of terminated and archived instances. Sends no network requests.

    With --follow, prints new events, one per line, until Ctrl-C (exit code 0).
    """
    context: Context = ctx.find_root().obj
    now = context.clock.now()
    only = resolve(context.wiring.store, instance).id if instance else None
    follower = Follower(context.wiring.store)
    past = _events_of(follower.past_events(now - since if since is not None else None), only)
    if follow:
        with until_ctrl_c():
            _follow(context, follower, past if since is not None else [], only)
        return None
    return Result(
        document={"events": [event_shape(event, now) for event in past], "count": len(past)},
        columns=COLUMNS,
        rows=[row(event, now) for event in past],
        ids=list(dict.fromkeys(event.record.id for event in past)),
        draw=lambda width: table(past, now),
        footer=() if past or context.output != "table" else ["no events"],
    )


def _follow(context: Context, follower: Follower, past: Sequence[Event], only: str | None) -> None:
    write_events = _writer(context)
    write_events(past)
    while True:
        context.clock.sleep(_POLL_EVERY)
        write_events(_events_of(follower.new_events(), only))


def _writer(context: Context) -> Callable[[Sequence[Event]], None]:
    """Writes events in the form that was asked for, each call's at once; a heading is written now."""

    def as_json(events: Sequence[Event]) -> None:
        now = context.clock.now()
        lines = [json.dumps(event_document(event, now, sandbox=context.sandbox), ensure_ascii=True) for event in events]
        write(context, "".join(f"{line}\n" for line in lines))

    def as_ids(events: Sequence[Event]) -> None:
        write(context, "".join(f"{event.record.id}\n" for event in events))

    def as_rows(events: Sequence[Event]) -> None:
        now = context.clock.now()
        write(context, rows_of((), [row(event, now) for event in events], context.output))

    def as_table(events: Sequence[Event]) -> None:
        if events:
            draw(context, table(events, context.clock.now(), instance_width=_INSTANCE_WIDTH, heading=False))

    if context.output == "json":
        return as_json
    if context.globals.quiet:
        return as_ids
    if context.output == "table":
        draw(context, table((), context.clock.now(), instance_width=_INSTANCE_WIDTH))
        return as_table
    write(context, rows_of(COLUMNS, [], context.output))
    return as_rows


def _events_of(events: Sequence[Event], only: str | None) -> list[Event]:
    return [event for event in events if only in (None, event.record.id)]
