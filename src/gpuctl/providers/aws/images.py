"""Which image to boot: the one that was named, else the newest of the catalog's GPU image for the type."""

from typing import Any

from gpuctl.domain.duration import as_typed
from gpuctl.domain.market.offers import InstanceType
from gpuctl.errors import UsageError
from gpuctl.providers.aws.client import AwsClients
from gpuctl.providers.aws.errors import SDK_ERRORS, code_of, translate
from gpuctl.providers.base import Image, ImageDisk

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
_ANOTHER = "add another `--image`, or leave it out"
_NO_SUCH_IMAGE = frozenset({"InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "InvalidAMIID.Unavailable"})


# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/billing-info-fields.html: Linux without a license.
_NO_LICENSE = "RunInstances"
_LIST_PRICED = ("gp3", "sc1", "st1")  # per GB these cost at most as much as a root disk, which is gp3


def find_image(clients: AwsClients, region: str, kind: InstanceType, image: str | None) -> Image:
    """The image of that id, or the catalog's for the type; see `Provider.find_image`."""
    if image is None and kind.image is None:
        raise UsageError(
            f"no AWS image with a driver for the {kind.gpu_model} of `{kind.name}` is known",
            hint="add `--image ami-...`, one with a driver for that GPU",
        )
    image_id = image or _newest(clients, region, kind)
    try:
        reply = clients.client("ec2", region).describe_images(ImageIds=[image_id])
    except SDK_ERRORS as error:
        if code_of(error) in _NO_SUCH_IMAGE:
            raise _no_image(image_id, region) from error
        raise translate(error, f"could not read the image `{image_id}`", region=region) from error
    images = reply.get("Images", [])
    if not images:
        raise _no_image(image_id, region)
    return _checked(images[0], image_id, kind.arch)


def _newest(clients: AwsClients, region: str, kind: InstanceType) -> str:
    try:
        reply = clients.client("ssm", region).get_parameter(Name=kind.image.name if kind.image else "")
    except SDK_ERRORS as error:
        if code_of(error) == "ParameterNotFound":
            raise UsageError(
                f"AWS recommends no GPU image for {kind.arch} in `{region}`",
                hint="add `--image ami-...`, one with NVIDIA drivers",
            ) from error
        raise translate(error, f"could not look up the latest GPU image in `{region}`", region=region) from error
    return str(reply["Parameter"]["Value"])


def _checked(described: Any, image_id: str, arch: str) -> Image:
    if described.get("State") != "available":
        raise UsageError(f"the image `{image_id}` is {described.get('State')}", hint=_ANOTHER)
    if str(described.get("Platform", "")).casefold() == "windows":
        raise UsageError(f"the image `{image_id}` is of Windows, where gpuctl's guard cannot run", hint=_ANOTHER)
    if described.get("Architecture") != arch:
        raise UsageError(f"the image `{image_id}` is for {described.get('Architecture')}, the instance type is {arch}")
    root_device = described.get("RootDeviceName")
    volumes = {
        mapping["DeviceName"]: mapping["Ebs"]
        for mapping in described.get("BlockDeviceMappings", ())
        if "Ebs" in mapping and "DeviceName" in mapping
    }
    root = volumes.pop(root_device, None) if root_device else None
    if root is None:
        raise UsageError(f"the image `{image_id}` has no root volume", hint=_ANOTHER)
    return Image(
        image_id,
        str(root_device),
        int(root.get("VolumeSize", 0)),
        _user(str(described.get("Name", ""))),
        disks=tuple(
            ImageDisk(device, int(ebs.get("VolumeSize", 0)), ebs.get("VolumeType", "gp2") in _LIST_PRICED)
            for device, ebs in sorted(volumes.items())
        ),
        license=_license(described),
    )


def _license(described: Any) -> str | None:
    """Why instances with this image cost more than Linux without a license; None if they do not."""
    operation = str(described.get("UsageOperation") or _NO_LICENSE)
    if operation != _NO_LICENSE:
        return f"licensed: {described.get('PlatformDetails') or 'not Linux'}, `{operation}`"
    codes = [code.get("ProductCodeId") for code in described.get("ProductCodes", ())]
    return f"sold by its maker in the AWS Marketplace: `{codes[0]}`" if codes else None


def _user(name: str) -> str | None:
    """Whom cloud-init gives the key to on images of that name, if their makers are known for one."""
    text = name.casefold()
    return next((user for mark, user in _USERS.items() if mark in text), None)


def _no_image(image_id: str, region: str) -> UsageError:
    return UsageError(
        f"image {as_typed(image_id)} does not exist in `{region}`", hint="add `--image ami-...`, or leave it out"
    )
