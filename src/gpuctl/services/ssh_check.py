"""Lets instances become READY that must pass a check first, beside their cloud's own word."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.lifecycle import became_ready
from gpuctl.errors import GpuctlError
from gpuctl.services.runtime import Runtime
from gpuctl.services.ssh_targets import failing


def check_booted(runtime: Runtime, records: Sequence[Instance]) -> Mapping[str, GpuctlError]:
    """Check each of these that its cloud calls ready and that waits for its check; for those that do not pass, why."""
    failed = {}
    for record in records:
        if (
            record.status is not Status.CONFIGURING
            or record.check is None
            or record.booted_at is None
            or runtime.access is None
        ):
            continue
        runtime.progress.step(f"{record.label} is running; waiting until the check `{record.check}` succeeds")
        problem = failing(runtime.access, record, record.check)
        if problem is None:
            runtime.store.update(record.id, lambda fresh: _ready(fresh, runtime.clock.now()))
        else:
            failed[record.id] = problem
    return failed


def _ready(fresh: Instance, now: datetime) -> Instance:
    # It may be ending by now.
    return became_ready(fresh, now) if fresh.status is Status.CONFIGURING else fresh
