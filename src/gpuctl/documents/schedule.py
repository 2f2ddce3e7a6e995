"""The public JSON of `gpuctl schedule`."""

import shlex
from typing import Any

from gpuctl.documents.values import instant
from gpuctl.domain.duration import exact
from gpuctl.services.scheduling.status import ScheduleStatus


def schedule_shape(status: ScheduleStatus, state: str, log: str | None) -> dict[str, Any]:
    """The schedule of the reaper of the state `state`, and its last run."""
    job, times = status.job, status.times
    return {
        "installed": job is not None,
        "scheduler": status.kind,
        "every": exact(job.every) if job else None,
        "command": shlex.join(job.command) if job else None,
        "state": state,
        "log": log,
        "installedAt": instant(status.note.installed_at) if status.note else None,
        "lastReapAt": instant(times.last_reap_at) if times.last_reap_at else None,
        "lastReapExitCode": times.last_reap_exit,
        "overdue": status.is_overdue,
        "failing": status.is_failing,
        "problem": status.problem,
    }
