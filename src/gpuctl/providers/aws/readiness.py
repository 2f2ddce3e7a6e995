"""Which instances pass EC2's status checks."""

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from gpuctl.providers.aws.errors import NOT_FOUND, code_of

_MOST_STATUSES = 100


def ready_ids(ec2: Any, cloud_ids: Sequence[str]) -> set[str]:
    """Which of these instances pass both status checks. Raises the SDK's errors."""
    ready: set[str] = set()
    for start in range(0, len(cloud_ids), _MOST_STATUSES):
        ready |= _ready_among(ec2, cloud_ids[start : start + _MOST_STATUSES])
    return ready


def _ready_among(ec2: Any, cloud_ids: Sequence[str]) -> set[str]:
    """Which of these, at most 100, pass both status checks. An id that EC2 does not know there yet spoils no other."""
    try:
        answer = ec2.describe_instance_status(InstanceIds=list(cloud_ids))
    except ClientError as error:
        if code_of(error) not in NOT_FOUND:
            raise
        middle = len(cloud_ids) // 2
        return _ready_among(ec2, cloud_ids[:middle]) | _ready_among(ec2, cloud_ids[middle:]) if middle else set[str]()
    return {instance_status["InstanceId"] for instance_status in answer["InstanceStatuses"] if _is_ok(instance_status)}


def _is_ok(status: Mapping[str, Any]) -> bool:
    return all(status[which]["Status"] == "ok" for which in ("InstanceStatus", "SystemStatus"))
