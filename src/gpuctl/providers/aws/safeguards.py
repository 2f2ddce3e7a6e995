"""The shutdown timer of an EC2 instance as AWS reports it, not as gpuctl requested it."""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from gpuctl.domain.safeguards import Mechanism, Safeguard, SafeguardStatus
from gpuctl.domain.tags import Ownership, ownership
from gpuctl.providers.aws.console import Console, read_console
from gpuctl.providers.aws.guard import GRACE
from gpuctl.providers.safeguards import reported_end, sweep_safeguard

_INSTALLED = re.compile(r"^ExecStart=/usr/local/sbin/gpuctl-guard (\d{1,6})$", re.MULTILINE)
_SILENT_AFTER = timedelta(minutes=5)  # ready for so long, a guard that runs has written to the console


def read_back(ec2: Any, cloud_id: str, at: datetime, ready_at: datetime | None) -> list[Safeguard]:
    """The sweep and the timer of that instance, as the provider reports them at `at`.

    A guard whose console is silent 5 min after `ready_at` is missing: its image cannot run it. Raises what the SDK
    raises, and KeyError, IndexError, TypeError or ValueError for an answer of an odd shape.
    """
    reply = ec2.describe_instances(InstanceIds=[cloud_id])["Reservations"][0]["Instances"][0]
    tags = {tag["Key"]: tag["Value"] for tag in reply.get("Tags", ())}
    launched_at = reply["LaunchTime"].astimezone(UTC)
    must_have_reported = reply["State"]["Name"] == "running" and ready_at is not None and at - ready_at >= _SILENT_AFTER
    sweep = sweep_safeguard(tags, launched_at, at, source="its tags")
    return [sweep, _timer(ec2, cloud_id, reply, ownership(tags), at, must_have_reported=must_have_reported)]


def _timer(
    ec2: Any, cloud_id: str, instance: Mapping[str, Any], claims: Ownership, at: datetime, *, must_have_reported: bool
) -> Safeguard:
    installed = _INSTALLED.search(_user_data(ec2, cloud_id))
    behaviour = _attribute(ec2, cloud_id, "instanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior")
    if installed is None or behaviour != "terminate":
        reason = (
            "there is no guard in its user data"
            if installed is None
            else f"powering off means `{behaviour or 'unknown'}`"
        )
        return Safeguard(mechanism=Mechanism.TIMER, status=SafeguardStatus.MISSING, checked_at=at, detail=reason)
    console = read_console(ec2, cloud_id)
    if console.guard is None and console.is_current and must_have_reported:
        reason = (
            "its console has no line of the guard, 5 min after it was ready: an image without cloud-init or systemd?"
        )
        return Safeguard(
            mechanism=Mechanism.TIMER, status=SafeguardStatus.MISSING, checked_at=at, detail=_with_gpu(reason, console)
        )
    reads_tags = instance.get("MetadataOptions", {}).get("InstanceMetadataTags") == "enabled"
    span = timedelta(seconds=int(installed[1]))
    by_tag = claims.expires_at is not None and reads_tags
    last_resort = instance["LaunchTime"].astimezone(UTC) + span
    acts_at = claims.expires_at + GRACE if claims.expires_at is not None and by_tag else last_resort
    detail = "the guard is installed; powering off terminates the instance"
    if not by_tag:
        detail += "; it cannot read the deadline tag and uses the maximum TTL"
    status = SafeguardStatus.CONFIGURED
    if console.guard is not None:
        status, detail = SafeguardStatus.VERIFIED, f"its console says: {console.guard}"
        acts_at = reported_end(console.guard, GRACE) or acts_at
    return Safeguard(
        mechanism=Mechanism.TIMER, status=status, acts_at=acts_at, checked_at=at, detail=_with_gpu(detail, console)
    )


def _with_gpu(detail: str, console: Console) -> str:
    return detail if console.gpu is None else f"{detail}; GPU: {console.gpu}"


def _user_data(ec2: Any, cloud_id: str) -> str:
    encoded = _attribute(ec2, cloud_id, "userData", "UserData")
    try:
        return base64.b64decode(encoded, validate=False).decode("utf-8", "replace")
    except binascii.Error:
        return ""


def _attribute(ec2: Any, cloud_id: str, name: str, key: str) -> str:
    reply = ec2.describe_instance_attribute(InstanceId=cloud_id, Attribute=name)
    return str(reply.get(key, {}).get("Value", ""))
