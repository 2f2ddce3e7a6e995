"""The plan of work with a deadline: saved with its records, and read by the process that continues the work."""

import os
from dataclasses import replace
from pathlib import Path

from gpuctl.cli.commands.provision.options import LaunchOptions
from gpuctl.cli.context import Context
from gpuctl.cli.quantities import amount_of
from gpuctl.domain.market.request import Request
from gpuctl.domain.market.secrets import secret_in
from gpuctl.domain.market.stored_request import stored
from gpuctl.domain.work import TimedWork, WorkPlan
from gpuctl.remote.transfer import Transfer
from gpuctl.services.run import Task

CHECKPOINT = "GPUCTL_CHECKPOINT"


def plan_for(
    context: Context, launch: LaunchOptions, request: Request, task: Task, unit: str | None, *, keep: bool
) -> WorkPlan:
    """The plan of this command line. A command that seems to contain a secret is not stored."""
    secret = secret_in(" ".join(task.command))
    has_fixed_ttl = launch.ttl is not None
    return WorkPlan(
        command=() if secret else tuple(task.command),
        uploads=tuple((_absolute(transfer.source), transfer.target) for transfer in task.uploads),
        downloads=tuple((transfer.source, _absolute(transfer.target)) for transfer in task.downloads),
        variables=tuple(name for name in task.variables if name != CHECKPOINT),
        computer=context.platform.computer,
        host=os.uname().nodename,
        request=stored(request, has_fixed_ttl=has_fixed_ttl),
        has_fixed_ttl=has_fixed_ttl,
        keep=keep,
        amount=amount_of(launch.work, unit),
        unit=unit,
        obstacle=f"its command appears to contain {secret}, and was not stored" if secret else None,
    )


def planned_task(context: Context, plan: WorkPlan, work: TimedWork) -> Task:
    """The task of the plan, with the values of its variables from this environment."""
    return with_checkpoint(
        Task(
            plan.command,
            {name: context.environ[name] for name in plan.variables},
            [Transfer(source, target) for source, target in plan.uploads],
            [Transfer(source, target) for source, target in plan.downloads],
        ),
        work.checkpoint,
    )


def with_checkpoint(task: Task, checkpoint: str | None) -> Task:
    """The task whose command finds its checkpoints there."""
    return task if checkpoint is None else replace(task, variables={**task.variables, CHECKPOINT: checkpoint})


def _absolute(path: str) -> str:
    """The same local path, from wherever it is read. A slash at the end says that it is a directory."""
    slash = "/" if path.endswith("/") else ""
    return os.path.abspath(Path(path).expanduser()) + slash
