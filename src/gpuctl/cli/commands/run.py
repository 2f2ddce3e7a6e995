"""`gpuctl run`: a machine for one command, and its end whatever comes of that."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gpuctl.cli.asking import Asked, asking
from gpuctl.cli.context import Context
from gpuctl.cli.running import Kept, run_there, started
from gpuctl.errors import GpuctlError, Interrupted

EXAMPLES = """\
gpuctl run g4dn.xlarge --region us-east-1 -- nvidia-smi
gpuctl run --gpu T4 --upload .:work --download work/out:out -- bash -c 'cd work && ./train.sh'
HF_TOKEN=... gpuctl run g5.xlarge --env HF_TOKEN --ttl 90 -- ./train.sh
gpuctl run --on train-7 --keep -- python bench.py"""
TAKES_REST = True

_TASK = "The task"


@asking("count", "wait", "keep", "dry_run")
def command(
    ctx: typer.Context,
    asked: Asked,
    on: Annotated[
        str | None, typer.Option(metavar="ID", help="A machine that lives, instead of a new one", rich_help_panel=_TASK)
    ] = None,
    upload: Annotated[
        list[str] | None,
        typer.Option(metavar="SRC:DST", help="A file or folder to put there first; repeatable", rich_help_panel=_TASK),
    ] = None,
    download: Annotated[
        list[str] | None,
        typer.Option(metavar="SRC:DST", help="A file or folder to fetch afterwards; repeatable", rich_help_panel=_TASK),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A variable of yours that it needs; repeatable", rich_help_panel=_TASK),
    ] = None,
    result: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what came of it there, as JSON", rich_help_panel=_TASK)
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the machine, ready, until its deadline", rich_help_panel=_TASK)
    ] = False,
) -> int:
    """Start a machine, run a command on it over ssh, and end the machine, whatever comes of it.

    stdout, stderr and the exit code are the command's. What fails on gpuctl's side is 200 and its own code (205: the
    same again is safe); a command that succeeded on a machine whose end is not proven is 208. A connection that breaks
    is made again until the deadline, while the command goes on. One word after -- is a line for the shell there;
    several are a program and its arguments.
    """
    context: Context = ctx.find_root().obj
    kept = Kept(context, result)
    try:
        task = kept.task(context.globals.rest, upload or [], download or [], env or [])
        record = started(context, replace(asked, check=asked.check or "ssh"), on, kept)
        return kept.done(run_there(context, record, task, keep=keep))
    except (GpuctlError, Interrupted) as failure:
        kept.failed(failure)
        raise
