"""`gpuctl sandbox`: start, inspect and stop the emulated clouds on this computer."""

from dataclasses import replace

import typer

from gpuctl.cli import options
from gpuctl.cli.context import Context
from gpuctl.cli.render.result import Result
from gpuctl.domain.duration import approximate
from gpuctl.errors import UsageError
from gpuctl.sandbox import ServerAddress, ensure, interrupt, status, stop
from gpuctl.services.query import resolve

EXAMPLES = """\
gpuctl sandbox start
gpuctl --sandbox provision g4dn.xlarge --region us-east-1
gpuctl sandbox interrupt train-7
gpuctl sandbox stop"""

_NOT_RUNNING = "the sandbox is not running"


def start(ctx: typer.Context) -> Result:
    """Start the sandbox: emulated clouds on your computer that cost nothing.

    `--sandbox` starts it automatically. A new sandbox has an empty state.
    """
    context: Context = ctx.find_root().obj
    address = ensure(context.wiring.sandbox_folder)
    return _result(address, f"the sandbox is running at {address.url}")


def show_status(ctx: typer.Context) -> Result:
    """Show whether the sandbox is running, and its address."""
    context: Context = ctx.find_root().obj
    address = status(context.wiring.sandbox_folder)
    if address is None:
        return _result(None, _NOT_RUNNING)
    age = approximate(context.clock.now() - address.started_at)
    return _result(address, f"the sandbox has been running at {address.url} for {age}")


def stop_server(ctx: typer.Context) -> Result:
    """Stop the sandbox. Its instances and records are lost."""
    context: Context = ctx.find_root().obj
    was_running = stop(context.wiring.sandbox_folder)
    return _result(None, "the sandbox was stopped" if was_running else _NOT_RUNNING)


def reset(ctx: typer.Context) -> Result:
    """Delete all sandbox instances and records, and start again with an empty state."""
    context: Context = ctx.find_root().obj
    # A new server has a new and empty state: records of instances that are gone would be useless.
    was_running = stop(context.wiring.sandbox_folder)
    address = ensure(context.wiring.sandbox_folder) if was_running else None
    return _result(address, "the sandbox was reset" if was_running else _NOT_RUNNING)


def interrupt_instance(ctx: typer.Context, instance: options.InstanceId) -> Result:
    """Interrupt a spot instance of the sandbox, as a provider does when it needs the capacity."""
    context: Context = ctx.find_root().obj
    # Its record is in the state of the sandbox, whether or not `--sandbox` was given.
    context.globals = replace(context.globals, sandbox=True)
    record = resolve(context.wiring.store, instance, whole_only=not context.is_terminal)
    if record.cloud_id is None or not interrupt(context.wiring.sandbox_folder, record.cloud_id):
        raise UsageError(f"{record.label} is not a running spot instance", hint=f"gpuctl get {record.label}")
    document = {"id": record.id, "interrupted": True}
    return Result(document, columns=("id",), rows=[[record.id]], footer=[f"{record.label} was interrupted"])


def _result(address: ServerAddress | None, text: str) -> Result:
    if address is None:
        return Result({"running": False, "url": None}, columns=("url",), rows=[], footer=[text])
    document = {"running": True, "url": address.url, "pid": address.pid}
    return Result(document, columns=("url",), rows=[[address.url]], footer=[text])
