"""`gpuctl ssh`: get onto an instance."""

import os
import sys
from typing import Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import TEXT, USER, argument, option
from gpuctl.cli.render.result import Result
from gpuctl.domain.instance import Instance, Status
from gpuctl.errors import NotReadyError, UsageError
from gpuctl.services.query import resolve

EXAMPLES = """\
gpuctl ssh train-7
gpuctl ssh 4k2m -- nvidia-smi
gpuctl ssh train-7 -- 'tail -f log | grep loss'
gpuctl ssh train-7 -- -L 8888:localhost:8888"""


def command(
    ctx: typer.Context,
    instance: options.InstanceId,
    arguments: Annotated[list[str] | None, argument(TEXT, "Remote command, or ssh options", "[-- ARGS]...")] = None,
    login: Annotated[str | None, option(USER, "Remote user [default: from the image]", "--login", "-l")] = None,
) -> Result:
    """Open an SSH session, or run a remote command. Exits with the exit code of ssh.

    Several words are a program and its arguments; a single word is a line for the remote shell.
    """
    from gpuctl.platform import read_platform
    from gpuctl.remote.target import words_of

    context: Context = ctx.find_root().obj
    record = resolve(context.wiring.store, instance)
    _refuse_ended(record)
    target = context.wiring.access.target(record, login)
    if record.ssh_key is not None and record.ssh_key != context.wiring.access.key().public:
        context.progress.warn(f"the key of {record.label} differs from the key on this computer")
    words = arguments or []
    # As with ssh itself, what begins with a dash is an option of it, whatever follows.
    passed = words if words and words[0].startswith("-") else [words_of(words)] if words else []
    context.progress.clear()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    argv = target.argv(*passed)
    try:
        os.execvp(argv[0], argv)
    except FileNotFoundError:
        raise UsageError("`ssh` is not installed", hint=read_platform().install_ssh()) from None


def _refuse_ended(record: Instance) -> None:
    if record.status.is_ended or record.status is Status.STOPPING:
        raise NotReadyError(f"{record.label} is {record.status}", hint="gpuctl list")
