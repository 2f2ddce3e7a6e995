"""What EC2 says about an instance, in our words."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from gpuctl.domain.instance import CloudState, LaunchRefusal, Market, Observed, ProviderName, Reason
from gpuctl.providers.aws.errors import NOT_FOUND, code_of, refusal_of

_MOST_STATUSES = 100

NAME = "Name"  # the tag that AWS's own console shows as the instance's name
_STATES = {
    "pending": CloudState.PENDING,
    "running": CloudState.RUNNING,
    "stopping": CloudState.STOPPED,
    "stopped": CloudState.STOPPED,
    "shutting-down": CloudState.ENDING,
    "terminated": CloudState.ENDED,
}
_ENDED_AT = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")
_INTERRUPTIONS = frozenset({"Server.SpotInstanceTermination", "Server.SpotInstanceShutdown"})
# Somebody, or the instance itself, ended it: no failure of the launch. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
_NO_FAILURE = frozenset(
    {
        *_INTERRUPTIONS,
        "Client.InstanceInitiatedShutdown",
        "Client.InstanceTerminated",
        "Client.UserInitiatedHibernate",
        "Client.UserInitiatedShutdown",
        "Server.ScheduledStop",
    }
)


def observed(instance: Mapping[str, Any], account: str, region: str, *, is_ready: bool | None = None) -> Observed:
    """One instance of a DescribeInstances or RunInstances answer.

    KeyError, ValueError or TypeError where the answer is not of that shape: then it says nothing.
    """
    state = _STATES[instance["State"]["Name"]]
    zone = instance.get("Placement", {}).get("AvailabilityZone")
    tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", ())}
    return Observed(
        provider=ProviderName.AWS,
        account=account,
        region=region,
        zone=zone,
        cloud_id=instance["InstanceId"],
        name=tags.get(NAME),
        state=state,
        ready=is_ready,
        refusal=_failure(instance) if state is CloudState.ENDED else None,
        instance_type=instance["InstanceType"],
        market=Market.SPOT if instance.get("InstanceLifecycle") == "spot" else Market.ON_DEMAND,
        launched_at=instance["LaunchTime"].astimezone(UTC) if instance.get("LaunchTime") else None,
        ended_at=_ended_at(instance) if state is CloudState.ENDED else None,
        end_reason=_end_reason(instance) if state is CloudState.ENDED else None,
        public_ip=instance.get("PublicIpAddress") or None,
        private_ip=instance.get("PrivateIpAddress") or None,
        metadata=_metadata(instance, zone),
        tags=tags,
    )


def _metadata(instance: Mapping[str, Any], zone: str | None) -> dict[str, str]:
    shape = {"availabilityZone": zone, "instanceType": instance.get("InstanceType"), "imageId": instance.get("ImageId")}
    return {key: str(value) for key, value in shape.items() if value}


def _ended_at(instance: Mapping[str, Any]) -> datetime | None:
    match = _ENDED_AT.search(instance.get("StateTransitionReason") or "")
    return datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) if match else None


def _end_reason(instance: Mapping[str, Any]) -> Reason | None:
    # A spot instance that AWS took back may have no StateReason, only "Service initiated (...)".
    by_aws = (instance.get("StateTransitionReason") or "").startswith("Service initiated")
    is_spot = instance.get("InstanceLifecycle") == "spot"
    return Reason.INTERRUPTED if _reason_code(instance) in _INTERRUPTIONS or (is_spot and by_aws) else None


def _failure(instance: Mapping[str, Any]) -> LaunchRefusal | None:
    """Why AWS terminated the instance; None if AWS gives no cause, or a user or the instance itself terminated it."""
    code = _reason_code(instance)
    if not code or code in _NO_FAILURE:
        return None
    return refusal_of(code, str(instance["StateReason"].get("Message") or ""))


def _reason_code(instance: Mapping[str, Any]) -> str:
    return str((instance.get("StateReason") or {}).get("Code") or "")


def ready_ids(ec2: Any, cloud_ids: Sequence[str]) -> set[str]:
    """Which of these instances pass both status checks. Raises the SDK's errors."""
    ready: set[str] = set()
    for start in range(0, len(cloud_ids), _MOST_STATUSES):
        ready |= _ready_among(ec2, cloud_ids[start : start + _MOST_STATUSES])
    return ready


def _ready_among(ec2: Any, cloud_ids: Sequence[str]) -> set[str]:
    """Which of these, at most 100, pass both status checks. An id that EC2 does not know there yet spoils no other."""
    try:
        reply = ec2.describe_instance_status(InstanceIds=list(cloud_ids))
    except ClientError as error:
        if code_of(error) not in NOT_FOUND:
            raise
        middle = len(cloud_ids) // 2
        return _ready_among(ec2, cloud_ids[:middle]) | _ready_among(ec2, cloud_ids[middle:]) if middle else set[str]()
    return {instance_status["InstanceId"] for instance_status in reply["InstanceStatuses"] if _is_ok(instance_status)}


def _is_ok(status: Mapping[str, Any]) -> bool:
    return all(status[which]["Status"] == "ok" for which in ("InstanceStatus", "SystemStatus"))
