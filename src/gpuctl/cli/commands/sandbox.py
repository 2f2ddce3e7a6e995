"""`gpuctl sandbox`: the cloud on this machine."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from gpuctl.cli.context import Context
from gpuctl.cli.render.result import Result
from gpuctl.cli.sandboxed import translate
from gpuctl.domain.duration import rough
from gpuctl.errors import UsageError
from gpuctl.sandbox import Address, SandboxError, ensure, status, stop

EXAMPLES = """\
gpuctl sandbox start
gpuctl --sandbox provision g4dn.xlarge --region us-east-1
gpuctl sandbox stop"""


class Do(StrEnum):
    """What can be done with it."""

    START = "start"
    STATUS = "status"
    STOP = "stop"
    RESET = "reset"


def command(
    ctx: typer.Context,
    do: Annotated[str, typer.Argument(metavar="start|status|stop|reset", help="Action", show_default=False)],
) -> Result:
    """Manage the sandbox: emulated clouds on your computer that cost nothing.

    `--sandbox` starts it automatically. A new sandbox has an empty state; `reset` deletes all sandbox instances and
    records.
    """
    context: Context = ctx.find_root().obj
    if do not in Do.__members__.values():
        raise UsageError(f"unknown action `{do[:40]}`", hint="gpuctl sandbox start|status|stop|reset")
    try:
        return _ACTIONS[Do(do)](context)
    except SandboxError as error:
        raise translate(error) from error


def _start(context: Context) -> Result:
    return _told(context, ensure(context.sandbox_folder), "the sandbox is running at {url}")


def _status(context: Context) -> Result:
    return _told(context, status(context.sandbox_folder), "the sandbox has been running at {url} for {age}")


def _stop(context: Context) -> Result:
    return _told(
        context, None, "the sandbox was stopped" if stop(context.sandbox_folder) else "the sandbox is not running"
    )


def _reset(context: Context) -> Result:
    # A state whose machines are gone would be a list of ghosts: a new server has a new and empty one.
    was_there = stop(context.sandbox_folder)
    address = ensure(context.sandbox_folder) if was_there else None
    return _told(context, address, "the sandbox was reset" if was_there else "the sandbox is not running")


_ACTIONS: dict[Do, Callable[[Context], Result]] = {
    Do.START: _start,
    Do.STATUS: _status,
    Do.STOP: _stop,
    Do.RESET: _reset,
}


def _told(context: Context, address: Address | None, text: str) -> Result:
    if address is None:
        said = text if "{" not in text else "the sandbox is not running"
        return Result({"running": False, "url": None}, columns=("url",), rows=[], footer=[said])
    age = rough(context.clock.now() - address.started_at)
    return Result(
        document={"running": True, "url": address.url, "pid": address.pid},
        columns=("url",),
        rows=[[address.url]],
        footer=[text.format(url=address.url, age=age)],
    )
