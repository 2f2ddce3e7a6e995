"""`gpuctl run`: runs one command on a temporary instance and terminates the instance."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gpuctl.cli.commands.pool.parameters import POOL
from gpuctl.cli.commands.provision.options import LaunchOptions, launch_options
from gpuctl.cli.commands.run.leased import run_leased
from gpuctl.cli.commands.run.task import RunReport, active_instance, ready_instance, run_command, save_work
from gpuctl.cli.commands.run.timed import run_timed
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import FILE, ID, NAME, ParameterType, flag, option
from gpuctl.cli.quantities import UNIT, amount_of
from gpuctl.errors import GpuctlError, Interrupted, UsageError
from gpuctl.remote.transfer import Transfer, transfer

EXAMPLES = """\
gpuctl run g4dn.xlarge --region us-east-1 -- nvidia-smi
gpuctl run --gpu T4 --upload .:work --download work/out:out -- bash -c 'cd work && ./train.sh'
HF_TOKEN=... gpuctl run g5.xlarge --env HF_TOKEN --ttl 90 -- ./train.sh
gpuctl run g5.xlarge --finish-by 6h --work 2h --upload .:work -- 'cd work && ./train.sh'
gpuctl run g5.xlarge --purpose ocr --work 120 --unit docs -- ./scan.sh
gpuctl run --on train-7 --keep -- python bench.py
gpuctl run --pool train -- nvidia-smi"""
TAKES_REST = True

_TASK = "Command and files"
TRANSFER = ParameterType("SRC:DST", lambda text, name: transfer(text, option=name), is_file=True)


@launch_options("count", "wait", "keep", "dry_run")
def command(
    ctx: typer.Context,
    launch: LaunchOptions,
    on: Annotated[
        str | None,
        option(ID, "Use this active instance instead of a new instance", panel=_TASK),
    ] = None,
    pool: Annotated[
        str | None,
        option(
            POOL,
            "Lease an instance of this pool, for the time of --ttl, instead of starting a new instance",
            panel=_TASK,
        ),
    ] = None,
    upload: Annotated[
        list[Transfer] | None,
        option(TRANSFER, "Copy SRC to the instance before the command (repeatable)", panel=_TASK),
    ] = None,
    download: Annotated[
        list[Transfer] | None,
        option(TRANSFER, "Copy SRC from the instance after the command (repeatable)", panel=_TASK),
    ] = None,
    env: Annotated[
        list[str] | None,
        option(NAME, "Pass this local environment variable (repeatable)", panel=_TASK),
    ] = None,
    result: Annotated[Path | None, option(FILE, "Write the result as JSON to FILE", panel=_TASK)] = None,
    keep: Annotated[bool, flag("Keep the instance until its deadline", "--keep", panel=_TASK)] = False,
    unit: Annotated[
        str | None, option(UNIT, "Unit of an amount in --work, such as docs; recorded if COMMAND succeeds", panel=_TASK)
    ] = None,
) -> int:
    """Start an instance, run COMMAND over SSH, and terminate the instance, even if COMMAND fails.

    If the connection drops, COMMAND keeps running and gpuctl reconnects until the deadline. Exit code: that of COMMAND;
    200 + N for gpuctl errors (205: safe to retry; 208: COMMAND succeeded, termination not confirmed). Several words
    after -- are a program and its arguments; a single word is a line for the remote shell. Asks for confirmation as
    gpuctl provision does.
    """
    context: Context = ctx.find_root().obj
    report = RunReport(context, result)
    try:
        task = report.task(context.globals.rest, upload or [], download or [], env or [])
        if pool is not None:
            if on is not None or keep:
                raise UsageError("--pool cannot be combined with --on or --keep", hint="leave them out")
            return report.finish(run_leased(context, launch, pool, task, report, unit))
        launch = replace(launch, check=launch.check or "ssh")
        amount = amount_of(launch.work, unit)
        if on is not None:
            record = active_instance(context, launch, on, report)
            ran = run_command(context, record, task, keep=keep)
        else:
            request = launch.request(context)
            context.wiring.start_sandbox()
            if launch.is_timed:
                ran = run_timed(context, launch, request, task, report, unit, keep=keep)
            else:
                record = ready_instance(context, launch, request, report)
                ran = run_command(context, record, task, keep=keep, is_new=report.is_new)
        if amount is not None and unit is not None:
            save_work(context, ran, amount, unit)
        return report.finish(ran)
    except (GpuctlError, Interrupted) as failure:
        report.failed(failure)
        raise
