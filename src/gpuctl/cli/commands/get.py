"""`gpuctl get`: one machine, all of it or a few fields."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Annotated, Any

import typer

from gpuctl.cli.context import Context
from gpuctl.cli.refreshing import refreshed
from gpuctl.cli.render.figures import ago
from gpuctl.cli.render.machines import COLUMNS, details, row
from gpuctl.cli.render.result import Result
from gpuctl.cli.render.shapes import instance_shape
from gpuctl.domain.duration import shown
from gpuctl.domain.instance import Instance
from gpuctl.domain.protection import Killer, Protector, Standing
from gpuctl.errors import GpuctlError, UnresolvedError, UsageError
from gpuctl.services.inventory import resolve

EXAMPLES = """\
gpuctl get train-7
gpuctl get 4k2m -o json
gpuctl get train-7 --field publicIp"""

_REAPED_LATELY = timedelta(minutes=5)


def command(
    ctx: typer.Context,
    instance: Annotated[str, typer.Argument(metavar="ID", help="Instance ID, name, or ID prefix (4+ characters)")],
    field: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Print only this JSON field (repeatable)")
    ] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Query the provider first")] = False,
) -> Result:
    """Show one instance. Reads only the local state, unless --refresh is set."""
    context: Context = ctx.find_root().obj
    record = resolve(context.store, instance)
    stale = refreshed(context, [record]) if refresh else {}
    if refresh:
        stale = {**_read_back(context, resolve(context.store, record.id)), **stale}
        record = resolve(context.store, record.id)
    now = context.clock.now()
    protection = [*_reaper(context, record, now), *record.protection] if record.is_live else ()
    shape = instance_shape(record, now, protection)
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
        draw=lambda width: details(record, now, protection),
        error=error,
    )


def _read_back(context: Context, record: Instance) -> Mapping[str, GpuctlError]:
    from gpuctl.services.protecting import read_back

    context.talk.step(f"reading back what protects {record.label}")
    return {
        key: UnresolvedError(f"what protects {record.label} could not be read back: {error.message}", hint=error.hint)
        for key, error in read_back(context.parts, [record]).items()
    }


def _reaper(context: Context, record: Instance, now: datetime) -> list[Protector]:
    """The reaper as its own memory tells: that it is set up somewhere is not seen, that it ran is."""
    last = context.reap_log.read().last_reap_at
    is_running = last is not None and timedelta(0) <= now - last < _REAPED_LATELY
    standing = Standing.RUNNING if is_running else Standing.MISSING
    detail = f"last reap {ago(last, now)}" + ("" if is_running else "; is it in cron? gpuctl reap --help")
    acts_at = record.expires_at if is_running else None
    return [Protector(killer=Killer.REAPER, standing=standing, acts_at=acts_at, read_at=last or now, detail=detail)]


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
