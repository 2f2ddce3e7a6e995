"""What the guard of an instance wrote to the console, as EC2 shows it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from gpuctl.domain.tags import parse_deadline
from gpuctl.providers.aws.guard import CONSOLE_PREFIX, GPU_PREFIX

_GUARD = re.compile(rf"{re.escape(CONSOLE_PREFIX)} ([ -~]{{1,200}})")
_GPU = re.compile(rf"{re.escape(GPU_PREFIX)} ([ -~]{{1,200}})")
_POWERING_OFF = re.compile(r"powering off(?: at (\d{8}t\d{6}z))?: ([ -~]+)")


@dataclass(frozen=True, slots=True)
class Console:
    """The newest lines of the guard, and of its report about the GPUs; None where the console has no such line.

    `is_current`: EC2 shows what the instance has written until now, so that a line that is not there was not written.
    """

    guard: str | None = None
    gpu: str | None = None
    is_current: bool = False


@dataclass(frozen=True, slots=True)
class GuardReport:
    """The guard's last line: when it powered the instance off (None where it knew no time), and why."""

    at: datetime | None
    reason: str

    @property
    def is_idle(self) -> bool:
        """Whether the instance was powered off because nothing used it."""
        return self.reason.startswith("idle for ")


def read_console(ec2: Any, cloud_id: str) -> Console:
    """The console output of an instance; empty if EC2 refuses to show it. Raises other errors of the SDK.

    Instances not built on Nitro refuse to show the newest output, and a terminated one may; then the output posted at
    start and termination is returned.
    """
    console = Console()
    for latest in ({"Latest": True}, {}):
        try:
            output = ec2.get_console_output(InstanceId=cloud_id, **latest).get("Output") or ""
        except ClientError:
            continue
        is_current = console.is_current or bool(latest)
        console = Console(_last_match(_GUARD, output), _last_match(_GPU, output) or console.gpu, is_current)
        if console.guard is not None:
            break
    return console


def last_line_of_guard(ec2: Any, described: Mapping[str, Any], seen_at: datetime | None) -> GuardReport | None:
    """When and why the guard powered off that ended instance, from one entry of DescribeInstances.

    None where the instance did not power itself off, or its guard did not do it: every user on the instance can, too.
    Every user can write to the console as well, so a time before its launch, or after `seen_at`, is left out. Raises
    what the SDK raises.
    """
    if described.get("StateReason", {}).get("Code") != "Client.InstanceInitiatedShutdown":
        return None
    match = _POWERING_OFF.fullmatch(read_console(ec2, described["InstanceId"]).guard or "")
    if match is None:
        return None
    at, launched_at = parse_deadline(match[1] or ""), described.get("LaunchTime")
    is_before = at is not None and launched_at is not None and at < launched_at.astimezone(UTC)
    is_after = at is not None and seen_at is not None and at > seen_at
    return GuardReport(None if is_before or is_after else at, match[2].strip())


def _last_match(pattern: re.Pattern[str], output: str) -> str | None:
    lines: list[str] = pattern.findall(output)
    return lines[-1].strip() if lines else None
