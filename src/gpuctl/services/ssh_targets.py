"""Which instances ssh can get onto now, and whether it does."""

import shlex
from collections.abc import Sequence
from datetime import timedelta

from gpuctl.domain.instance import Instance, Status
from gpuctl.errors import CloudError, GpuctlError, NotReadyError
from gpuctl.remote.access import Access
from gpuctl.remote.line import SshConnection
from gpuctl.remote.target import Target

SSH = "ssh"
_ANSWERS = timedelta(seconds=60)


def targets(access: Access, records: Sequence[Instance]) -> list[Target]:
    """Every live instance that has an address, oldest first."""
    targets = []
    for instance in sorted(records, key=lambda record: (record.created_at, record.id)):
        if instance.is_active and instance.status is not Status.STOPPING:
            try:
                targets.append(access.target(instance))
            except NotReadyError:
                continue
    return targets


def failing(access: Access, record: Instance, check: str) -> GpuctlError | None:
    """Why the instance does not pass: ssh does not get there, or the command, given as a line for its shell, fails.

    `ssh` only asks for ssh. None if it passes.
    """
    try:
        line = SshConnection(access.target(record))
        script = "exit 0\n" if check == SSH else f"exec bash -lc {shlex.quote(check)} </dev/null\n"
        reply = line.ask(script.encode(), within=_ANSWERS)
    except GpuctlError as error:
        return error
    if reply.code != 0:
        return CloudError(f"`{check}` fails on {record.label} with code {reply.code}")
    return None
