"""`gpuctl get`: one machine, all of it or a few fields."""

from difflib import get_close_matches
from typing import Annotated, Any

import typer

from gpuctl.cli.context import Context
from gpuctl.cli.refreshing import refreshed
from gpuctl.cli.render.machines import COLUMNS, details, row
from gpuctl.cli.render.result import Result
from gpuctl.cli.render.shapes import instance_shape
from gpuctl.domain.duration import shown
from gpuctl.errors import UsageError
from gpuctl.services.inventory import resolve

EXAMPLES = """\
gpuctl get train-7
gpuctl get 4k2m -o json
ssh ubuntu@"$(gpuctl get train-7 --field publicIp)\""""


def command(
    ctx: typer.Context,
    instance: Annotated[str, typer.Argument(metavar="ID", help="An id, a name, or the first 4 of an id's characters")],
    field: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Print only that key of the JSON; repeatable")
    ] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask the cloud first")] = False,
) -> Result:
    """Show one machine. Opens no socket without --refresh."""
    context: Context = ctx.find_root().obj
    record = resolve(context.store, instance)
    stale = refreshed(context, [record]) if refresh else {}
    if refresh:
        record = resolve(context.store, record.id)
    now = context.clock.now()
    shape = instance_shape(record, now)
    fields = [_field(shape, one) for one in field or ()]
    error = next(iter(stale.values()), None)
    if fields:
        told = {key: shape[key] for key in field or ()}
        return Result({"instance": told}, columns=list(told), rows=[fields], ids=[record.id], error=error)
    return Result(
        document={"instance": shape},
        columns=COLUMNS,
        rows=[row(record, now)],
        ids=[record.id],
        draw=lambda width: details(record, now),
        error=error,
    )


def _field(shape: dict[str, Any], key: str) -> str:
    if key not in shape:
        near = get_close_matches(key, shape, n=3)
        names = near or list(shape)
        raise UsageError(f"there is no field {shown(key)}", hint=f"one of {', '.join(f'`{one}`' for one in names)}")
    value = shape[key]
    if isinstance(value, dict | list):
        import json

        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return "" if value is None else str(value)
