"""What a running instance is to those who log in: its keys and users, its GPUs, and its metadata service."""

from base64 import b64decode
from functools import lru_cache
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES

from gpuctl_sandbox.aws.console import DRIVER, NO_CLOUD_INIT
from gpuctl_sandbox.aws.groups import ssh_from
from gpuctl_sandbox.aws.images import gpu_works, has_driver
from gpuctl_sandbox.fidelity import Rule
from gpuctl_sandbox.guests.gpus import Gpu, gpus_of
from gpuctl_sandbox.guests.guest import Guest, keys_of_cloud_config, parts_of_user_data, public_keys

RULES = (
    Rule(
        "AWS",
        "keys of an instance",
        "cloud-init installs the keys of the user data and of the key pair for the default user of the image: "
        "`ubuntu`, or `ec2-user` on Amazon Linux; nobody else can log in, and there is no password.",
        "cloud-init documentation, ssh_authorized_keys and default_user; EC2 user guide, Connect to your instance",
        "documented",
    ),
    Rule(
        "AWS",
        "metadata service of an instance",
        "A reply needs a session token (PUT /latest/api/token with the header for its seconds), else it is 401. "
        "tags/instance/ is 404 unless InstanceMetadataTags is enabled. Every reply has a Date.",
        "EC2 user guide, Use the Instance Metadata Service and View tags for your EC2 instances using metadata",
        "documented",
    ),
)


def guest_of(instance: Any, backend: Any) -> Guest:
    """The instance as those who log in find it."""
    image = backend.amis.get(instance.image_id)
    parts = _parts(str(instance.user_data)) if instance.user_data is not None and _runs_cloud_init(image) else {}
    pair = backend.key_pairs.get(instance.key_name)
    lines = [
        *keys_of_cloud_config(parts.get("text/cloud-config", "")),
        *([pair.material_public.decode()] if pair else []),
    ]
    user = "ec2-user" if "Amazon Linux" in (getattr(image, "name", None) or "") else "ubuntu"
    works = gpu_works(backend, instance.image_id, instance.instance_type)
    return Guest(
        cloud="aws",
        id=instance.id,
        is_running=instance.state == "running",
        address=instance.public_ip,
        ssh_from=tuple(ssh_from(instance, backend)) if instance.state == "running" else (),
        logins=tuple((user, key) for key in public_keys(lines)),
        boot_script=parts.get("text/cloud-boothook"),
        metadata=_metadata(instance, backend),
        gpus=_gpus(instance.instance_type) if works else (),
        driver=DRIVER if has_driver(backend, instance.image_id) else "",
    )


def _metadata(instance: Any, backend: Any) -> dict[str, str]:
    replies = {"instance-id": instance.id, "instance-type": instance.instance_type}
    if instance.public_ip:
        replies["public-ipv4"] = instance.public_ip
    if getattr(instance.metadata_options, "instance_metadata_tags", None) == "enabled":
        tags = backend.tags.get(instance.id, {})
        replies |= {"tags/instance": "\n".join(tags)} | {f"tags/instance/{name}": tags[name] for name in tags}
    return {f"latest/meta-data/{name}": value for name, value in replies.items()}


def _gpus(instance_type: str) -> tuple[Gpu, ...]:
    listed = INSTANCE_TYPES.get(instance_type, {}).get("GpuInfo", {}).get("Gpus", ())
    return tuple(
        gpu for item in listed for gpu in gpus_of(item["Name"], item["Count"], item["MemoryInfo"]["SizeInMiB"])
    )


def _runs_cloud_init(image: Any) -> bool:
    return image is not None and NO_CLOUD_INIT not in (image.description or "") and not image.platform


@lru_cache(maxsize=64)
def _parts(user_data: str) -> dict[str, str]:
    return parts_of_user_data(b64decode(user_data).decode("utf-8", "replace"))
