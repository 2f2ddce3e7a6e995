"""The volumes of an instance: those of its image, changed by the request, and those that stay after its end."""

import re
from collections.abc import Mapping
from typing import Any

from werkzeug.wrappers import Response

from gpuctl_sandbox.aws.images import further_disks
from gpuctl_sandbox.aws.wire import Call, refusal

_DEVICE = re.compile(r"BlockDeviceMapping\.(\d+)\.DeviceName")


def refused_volumes(call: Call, backend: Any) -> Response | None:
    """EC2's refusal of a root volume that is smaller than the snapshot of its image; None for any other call."""
    image = backend.amis.get(call.form.get("ImageId", "")) if call.action == "RunInstances" else None
    if image is None:
        return None
    for parameter, device in call.form.items():
        match = _DEVICE.fullmatch(parameter)
        size = call.form.get(f"BlockDeviceMapping.{match[1]}.Ebs.VolumeSize") if match else None
        root = image.block_device_mappings[0]
        if size is not None and device == root["DeviceName"] and int(size) < root["Ebs"]["VolumeSize"]:
            return refusal(
                "InvalidBlockDeviceMapping",
                f"Volume of size {size}GB is smaller than snapshot '{root['Ebs']['SnapshotId']}', expect size >= "
                f"{root['Ebs']['VolumeSize']}GB",
            )
    return None


def with_image_disks(form: Mapping[str, str], backend: Any) -> dict[str, str]:
    """The parameters of a RunInstances call with the mappings that its image adds."""
    whole = dict(form)
    named = {device: match[1] for name, device in form.items() if (match := _DEVICE.fullmatch(name))}
    free = max((int(number) for number in named.values()), default=0)
    for disk in further_disks(backend, form.get("ImageId", "")):
        if disk.device not in named:
            free += 1
            named[disk.device] = str(free)
            whole[f"BlockDeviceMapping.{free}.DeviceName"] = disk.device
        ebs = f"BlockDeviceMapping.{named[disk.device]}.Ebs"
        whole.setdefault(f"{ebs}.VolumeSize", str(disk.size_gb))
        # moto cannot attach a volume with provisioned IOPS at launch.
        whole.setdefault(f"{ebs}.VolumeType", "gp3" if disk.volume_type == "io2" else disk.volume_type)
        whole.setdefault(f"{ebs}.DeleteOnTermination", "true" if disk.delete_on_termination else "false")
    return whole


def volumes_of(backend: Any) -> list[dict[str, Any]]:
    """Every volume of the region: id, size in GB, tags and the instance that has it (None: it stays alone)."""
    return [
        {
            "cloud": "aws",
            "region": backend.region_name,
            "id": volume.id,
            "size_gb": volume.size,
            "tags": dict(backend.tags.get(volume.id, {})),
            "instance": volume.attachment.instance.id if volume.attachment else None,
        }
        for volume in backend.volumes.values()
    ]
