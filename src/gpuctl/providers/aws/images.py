"""Which image to boot: the one that was named, else the newest GPU image that AWS recommends."""

from typing import Any

from gpuctl.domain.duration import shown
from gpuctl.errors import UsageError
from gpuctl.providers.aws.client import Clients
from gpuctl.providers.aws.errors import SDK_ERRORS, code_of, translate
from gpuctl.providers.base import Image

# https://docs.aws.amazon.com/dlami/: the base image with NVIDIA drivers, Ubuntu, which has systemd and cloud-init.
_RECOMMENDED = "/aws/service/deeplearning/ami/{arch}/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id"
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/managing-users.html
_USERS = {
    "ubuntu": "ubuntu",
    "amazon linux": "ec2-user",
    "al2023": "ec2-user",
    "amzn2": "ec2-user",
    "debian": "admin",
    "rhel": "ec2-user",
    "suse": "ec2-user",
    "rocky": "rocky",
    "fedora": "fedora",
}
_NO_SUCH_IMAGE = frozenset({"InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "InvalidAMIID.Unavailable"})


def find_image(clients: Clients, region: str, arch: str, image: str | None) -> Image:
    """The image of that id, or the recommended one; see `Provider.find_image`."""
    image_id = image or _recommended(clients, region, arch)
    try:
        answer = clients.client("ec2", region).describe_images(ImageIds=[image_id])
    except SDK_ERRORS as error:
        if code_of(error) in _NO_SUCH_IMAGE:
            raise _no_image(image_id, region) from error
        raise translate(error, f"could not read the image `{image_id}`", region=region) from error
    found = answer.get("Images", [])
    if not found:
        raise _no_image(image_id, region)
    return _checked(found[0], image_id, arch)


def _recommended(clients: Clients, region: str, arch: str) -> str:
    try:
        answer = clients.client("ssm", region).get_parameter(Name=_RECOMMENDED.format(arch=arch))
    except SDK_ERRORS as error:
        if code_of(error) == "ParameterNotFound":
            raise UsageError(
                f"AWS recommends no GPU image for {arch} in `{region}`",
                hint="add `--image ami-...`, one with NVIDIA drivers",
            ) from error
        raise translate(error, f"could not ask for the newest GPU image in `{region}`", region=region) from error
    return str(answer["Parameter"]["Value"])


def _checked(said: Any, image_id: str, arch: str) -> Image:
    if said.get("State") != "available":
        raise UsageError(f"the image `{image_id}` is {said.get('State')}", hint="add another `--image`")
    if said.get("Architecture") != arch:
        raise UsageError(f"the image `{image_id}` is for {said.get('Architecture')}, the machine is {arch}")
    device = said.get("RootDeviceName")
    sizes = [
        one["Ebs"].get("VolumeSize", 0)
        for one in said.get("BlockDeviceMappings", ())
        if "Ebs" in one and one.get("DeviceName") == device
    ]
    if not device or not sizes:
        raise UsageError(f"the image `{image_id}` has no root volume", hint="add another `--image`")
    return Image(image_id, device, max(sizes), _user(str(said.get("Name", ""))))


def _user(name: str) -> str | None:
    """Whom cloud-init gives the key to on images of that name, if their makers are known for one."""
    told = name.casefold()
    return next((user for mark, user in _USERS.items() if mark in told), None)


def _no_image(image_id: str, region: str) -> UsageError:
    return UsageError(
        f"there is no image {shown(image_id)} in `{region}`", hint="add `--image ami-...`, or leave it out"
    )
