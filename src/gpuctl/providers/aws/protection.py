"""What will end an instance when nobody comes back, as AWS itself tells it: not what we meant to set."""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from gpuctl.domain.protection import Killer, Protector, Standing
from gpuctl.domain.strangers import ORPHAN_AGE
from gpuctl.domain.tags import Ownership, ownership, parse_deadline
from gpuctl.providers.aws.guard import CONSOLE_PREFIX, GRACE, IDLE_WORDS

_INSTALLED = re.compile(r"^ExecStart=/usr/local/sbin/gpuctl-guard (\d{1,6})$", re.MULTILINE)
_ENABLED = "systemctl enable --now gpuctl-guard.timer"
_SAID = re.compile(rf"{re.escape(CONSOLE_PREFIX)} ([ -~]{{1,200}})")
_ARMED = re.compile(r"ends at (\d{8}t\d{6}z)( \(tag\))?")


def read_back(ec2: Any, cloud_id: str, at: datetime) -> list[Protector]:
    """The sweep and the timer on that instance, as they stand in the cloud now.

    Raises what the SDK raises, and KeyError, IndexError, TypeError or ValueError for an answer of an odd shape.
    """
    said = ec2.describe_instances(InstanceIds=[cloud_id])["Reservations"][0]["Instances"][0]
    claims = ownership({tag["Key"]: tag["Value"] for tag in said.get("Tags", ())})
    launched_at = said["LaunchTime"].astimezone(UTC)
    return [_sweep(claims, launched_at, at), _timer(ec2, cloud_id, said, claims, launched_at, at)]


def was_idle(ec2: Any, said: Mapping[str, Any]) -> bool:
    """Whether that ended instance powered itself off, and its guard's last words say that nothing used it.

    Powering off alone says nothing: whoever was on the machine can do that, too. Raises what the SDK raises.
    """
    if said.get("StateReason", {}).get("Code") != "Client.InstanceInitiatedShutdown":
        return False
    return (_last_said(ec2, said["InstanceId"]) or "").startswith(IDLE_WORDS)


def _sweep(claims: Ownership, launched_at: datetime, at: datetime) -> Protector:
    told = {"id": claims.record_id, "state": claims.state_id, "deadline": claims.expires_at}
    missing = [name for name, value in told.items() if value is None]
    if missing or claims.expires_at is None:
        return Protector(
            killer=Killer.SWEEP,
            standing=Standing.MISSING,
            read_at=at,
            detail=f"no readable tag for {', '.join(missing)}",
        )
    acts_at = max(claims.expires_at, launched_at + ORPHAN_AGE)
    return Protector(
        killer=Killer.SWEEP, standing=Standing.CONFIGURED, acts_at=acts_at, read_at=at, detail="by its tags"
    )


def _timer(
    ec2: Any, cloud_id: str, said: Mapping[str, Any], claims: Ownership, launched_at: datetime, at: datetime
) -> Protector:
    installed = _INSTALLED.search(_user_data(ec2, cloud_id))
    behaviour = _attribute(ec2, cloud_id, "instanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior")
    if installed is None or behaviour != "terminate":
        why = "no guard in its user data" if installed is None else f"powering off means `{behaviour or 'unknown'}`"
        return Protector(killer=Killer.TIMER, standing=Standing.MISSING, read_at=at, detail=why)
    reads_tags = said.get("MetadataOptions", {}).get("InstanceMetadataTags") == "enabled"
    span = timedelta(seconds=int(installed[1]))
    by_tag = claims.expires_at is not None and reads_tags
    acts_at = claims.expires_at + GRACE if claims.expires_at is not None and by_tag else launched_at + span
    detail = "guard in its user data, power-off terminates" if by_tag else "its tag cannot be read: by its longest life"
    standing, last = Standing.CONFIGURED, _last_said(ec2, cloud_id)
    if last is not None:
        standing, detail = Standing.RUNNING, f"its console says: {last}"
        acts_at = _told_end(last) or acts_at
    return Protector(killer=Killer.TIMER, standing=standing, acts_at=acts_at, read_at=at, detail=detail)


def _user_data(ec2: Any, cloud_id: str) -> str:
    encoded = _attribute(ec2, cloud_id, "userData", "UserData")
    try:
        return base64.b64decode(encoded, validate=False).decode("utf-8", "replace")
    except binascii.Error:
        return ""


def _attribute(ec2: Any, cloud_id: str, name: str, key: str) -> str:
    answer = ec2.describe_instance_attribute(InstanceId=cloud_id, Attribute=name)
    return str(answer.get(key, {}).get("Value", ""))


def _last_said(ec2: Any, cloud_id: str) -> str | None:
    """The guard's newest line on the console; None where there is none, or the console cannot be read.

    Instances that are not of Nitro refuse to show the newest output; what they show was posted soon after their start.
    """
    for latest in ({"Latest": True}, {}):
        try:
            output = ec2.get_console_output(InstanceId=cloud_id, **latest).get("Output") or ""
        except ClientError:
            continue
        lines: list[str] = _SAID.findall(output)
        return lines[-1].strip() if lines else None
    return None


def _told_end(line: str) -> datetime | None:
    told = _ARMED.search(line)
    end = parse_deadline(told[1]) if told else None
    return end + GRACE if end is not None and told is not None and told[2] else end
