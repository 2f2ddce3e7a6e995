"""`gpuctl get`: one instance, all of it or a few fields."""

from collections.abc import Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Annotated, Any

import typer

from gpuctl.cli import options
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import option, text
from gpuctl.cli.refresh import refreshed
from gpuctl.cli.render.figures import ago
from gpuctl.cli.render.instances import COLUMNS, details, row
from gpuctl.cli.render.result import Result
from gpuctl.documents.instances import instance_shape
from gpuctl.domain.duration import as_typed
from gpuctl.domain.instance import Instance
from gpuctl.domain.safeguards import Mechanism, Safeguard, SafeguardStatus
from gpuctl.errors import GpuctlError, UnresolvedError, UsageError
from gpuctl.services.query import resolve
from gpuctl.services.reaper_status import reaper_status

EXAMPLES = """\
gpuctl get train-7
gpuctl get 4k2m -o json
gpuctl get train-7 --field publicIp"""


def command(
    ctx: typer.Context,
    instance: options.AnyInstanceId,
    field: Annotated[list[str] | None, option(text("KEY"), "Print only this JSON field (repeatable)")] = None,
    refresh: options.Refresh = False,
) -> Result:
    """Show one instance. Reads only the local state, unless --refresh is set."""
    context: Context = ctx.find_root().obj
    record = resolve(context.wiring.store, instance)
    stale = refreshed(context, [record]) if refresh else {}
    if refresh:
        stale = {**_read_back(context, resolve(context.wiring.store, record.id)), **stale}
        record = resolve(context.wiring.store, record.id)
    now = context.clock.now()
    safeguards = [*_reaper(context, record, now), *record.safeguards] if record.is_active else ()
    shape = instance_shape(record, now, safeguards)
    fields = [_field(shape, text) for text in field or ()]
    error = next(iter(stale.values()), None)
    if fields:
        selected = {key: shape[key] for key in field or ()}
        return Result({"instance": selected}, columns=list(selected), rows=[fields], ids=[record.id], error=error)
    return Result(
        document={"instance": shape},
        columns=COLUMNS,
        rows=[row(record, now)],
        ids=[record.id],
        draw=lambda width: details(record, now, safeguards),
        error=error,
    )


def _read_back(context: Context, record: Instance) -> Mapping[str, GpuctlError]:
    from gpuctl.services.safeguards import gaps, read_back

    context.progress.step(f"checking safeguards of {record.label}")
    failures = read_back(context.wiring.runtime, [record])
    # Printed once: afterwards the record has it.
    for gap in gaps(resolve(context.wiring.store, record.id)):
        if gap not in gaps(record):
            context.progress.warn(gap)
    return {
        key: UnresolvedError(f"could not check the safeguards of {record.label}: {error.message}", hint=error.hint)
        for key, error in failures.items()
    }


def _reaper(context: Context, record: Instance, now: datetime) -> list[Safeguard]:
    """The reaper as its own records show it: verified only where its last run queried the region of the instance."""
    times = context.wiring.state.reaper.read()
    if context.sandbox and times.last_reap_at is None:
        detail = "not needed in the sandbox"
        return [Safeguard(mechanism=Mechanism.REAPER, status=SafeguardStatus.MISSING, checked_at=now, detail=detail)]
    status, reason = reaper_status(times, record, now)
    acts_at = record.expires_at if status is not SafeguardStatus.MISSING else None
    last = times.last_reap_at
    runs = f"seen running in {times.last_reap_in}" if times.last_reap_in else "last run"
    ran = f"{runs} {ago(last, now)}" if last else "never ran"
    detail = f"{ran}; {reason}" if reason else ran
    return [
        Safeguard(mechanism=Mechanism.REAPER, status=status, acts_at=acts_at, checked_at=last or now, detail=detail)
    ]


def _field(shape: dict[str, Any], key: str) -> str:
    if key not in shape:
        near = get_close_matches(key, shape, n=3)
        names = near or list(shape)
        raise UsageError(f"unknown field {as_typed(key)}", hint=f"one of {', '.join(f'`{name}`' for name in names)}")
    value = shape[key]
    if isinstance(value, dict | list):
        import json

        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return "" if value is None else str(value)
