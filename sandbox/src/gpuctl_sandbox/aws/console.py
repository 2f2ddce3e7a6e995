"""GetConsoleOutput: what the guard in the user data would have written by now, since no instance boots here."""

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES
from werkzeug.wrappers import Response

from gpuctl_sandbox.aws.images import gpu_works
from gpuctl_sandbox.aws.wire import answer, refusal

BOOTS_IN = timedelta(minutes=1)
DRIVER = "595.91.07"
NO_CLOUD_INIT = "without cloud-init"  # in the description of images that execute no user data
_BOOTHOOK = re.compile(r"^(?:#cloud-boothook$|Content-Type: text/cloud-boothook)", re.MULTILINE)
_DEADLINE = "gpuctl-expires-at"


def console_output(
    instance: Any, tags: Mapping[str, str], latest: bool, end: datetime | None, now: datetime
) -> Response:
    """The answer to GetConsoleOutput for one instance at `now`; `end` is when it powered itself off, if it did."""
    if latest and is_xen(instance.instance_type):
        return refusal("UnsupportedOperation", "This instance type does not support retrieving the latest console logs")
    is_hidden = latest and instance.state == "terminated"
    encoded = b64encode(b"" if is_hidden else _text(instance, tags, end, now).encode()).decode()
    return answer(
        "GetConsoleOutput",
        f"<instanceId>{instance.id}</instanceId><timestamp>{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z</timestamp>"
        f"<output>{encoded}</output>",
    )


def is_xen(instance_type: str) -> bool:
    """Whether instances of that type are not built on Nitro."""
    return bool(INSTANCE_TYPES.get(instance_type, {}).get("Hypervisor") == "xen")


def _text(instance: Any, tags: Mapping[str, str], end: datetime | None, now: datetime) -> str:
    if (end or now) - instance.launch_time.replace(tzinfo=UTC) < BOOTS_IN:
        return ""
    lines = ["[    0.000000] Linux version 6.8.0-1040-aws"]
    if _runs_guard(instance):
        lines += [f"gpuctl-guard: armed, ends at {tags[_DEADLINE]} (tag)"] if _DEADLINE in tags else []
        lines += _gpus(instance)
        lines += [f"gpuctl-guard: powering off at {end.astimezone(UTC):%Y%m%dt%H%M%Sz}: deadline passed"] if end else []
    return "".join(f"{line}\r\n" for line in lines)


def _runs_guard(instance: Any) -> bool:
    image = instance.ec2_backend.amis.get(instance.image_id)
    if image is None or NO_CLOUD_INIT in (image.description or "") or instance.user_data is None:
        return False
    text = b64decode(str(instance.user_data)).decode("utf-8", "replace")
    return bool(_BOOTHOOK.search(text)) and "gpuctl-guard.timer" in text


def _gpus(instance: Any) -> list[str]:
    if not gpu_works(instance.ec2_backend, instance.image_id, instance.instance_type):
        return ["gpuctl-gpu: nvidia-smi fails: No devices were found"]
    gpus = INSTANCE_TYPES.get(instance.instance_type, {}).get("GpuInfo", {}).get("Gpus", ())
    return [f"gpuctl-gpu: {gpu['Count']} x {gpu['Manufacturer']} {gpu['Name']}, driver {DRIVER}" for gpu in gpus]
