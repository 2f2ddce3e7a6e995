"""What EC2 says about an instance, in our words."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from gpuctl.domain.instance import CloudState, Market, Observed, ProviderName, Reason

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


def observed(said: Mapping[str, Any], account: str, region: str, *, is_ready: bool | None = None) -> Observed:
    """One instance of a DescribeInstances or RunInstances answer.

    KeyError, ValueError or TypeError where the answer is not of that shape: then it says nothing.
    """
    state = _STATES[said["State"]["Name"]]
    zone = said.get("Placement", {}).get("AvailabilityZone")
    tags = {tag["Key"]: tag["Value"] for tag in said.get("Tags", ())}
    return Observed(
        provider=ProviderName.AWS,
        account=account,
        region=region,
        zone=zone,
        cloud_id=said["InstanceId"],
        name=tags.get(NAME),
        state=state,
        ready=is_ready,
        instance_type=said["InstanceType"],
        market=Market.SPOT if said.get("InstanceLifecycle") == "spot" else Market.ON_DEMAND,
        launched_at=said["LaunchTime"].astimezone(UTC) if said.get("LaunchTime") else None,
        ended_at=_ended_at(said) if state is CloudState.ENDED else None,
        end_reason=_end_reason(said) if state is CloudState.ENDED else None,
        public_ip=said.get("PublicIpAddress") or None,
        private_ip=said.get("PrivateIpAddress") or None,
        metadata=_metadata(said, zone),
        tags=tags,
    )


def reply_date(answer: Mapping[str, Any]) -> datetime | None:
    """When the cloud says it gave this answer; None where it does not say, or not so that it can be read."""
    text = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        at = parsedate_to_datetime(text) if text else None
    except (TypeError, ValueError):
        return None
    return at.astimezone(UTC) if at is not None and at.tzinfo is not None else None


def _metadata(said: Mapping[str, Any], zone: str | None) -> dict[str, str]:
    told = {"availabilityZone": zone, "instanceType": said.get("InstanceType"), "imageId": said.get("ImageId")}
    return {key: str(value) for key, value in told.items() if value}


def _ended_at(said: Mapping[str, Any]) -> datetime | None:
    match = _ENDED_AT.search(said.get("StateTransitionReason") or "")
    return datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) if match else None


def _end_reason(said: Mapping[str, Any]) -> Reason | None:
    return Reason.INTERRUPTED if said.get("StateReason", {}).get("Code") in _INTERRUPTIONS else None
