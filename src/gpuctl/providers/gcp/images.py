"""Finding the image that an instance boots: a GPU image of Canonical's, or the one that was named."""

import re
from typing import Any

from gpuctl.domain.duration import as_typed
from gpuctl.domain.market.offers import InstanceType
from gpuctl.errors import UsageError
from gpuctl.providers.base import Image
from gpuctl.providers.gcp.client import Api, last_part
from gpuctl.providers.gcp.errors import is_absent
from gpuctl.providers.gcp.failures import ApiError

_PART = r"[a-z0-9](?:[-a-z0-9._:]{0,100})"
_PATH = re.compile(
    rf"(?:https://(?:www|compute)\.googleapis\.com/compute/v1/)?(projects/{_PART}/global/images/(?:family/)?{_PART})"
)
_LEAVE_OUT = "leave out `--image`, or add one that fits"
# Public projects whose images have systemd, bash and Google's guest agent, which runs startup scripts.
_WITH_SYSTEMD = frozenset(
    {
        "ubuntu-os-accelerator-images",
        "ubuntu-os-cloud",
        "ubuntu-os-pro-cloud",
        "deeplearning-platform-release",
        "debian-cloud",
        "rocky-linux-cloud",
        "rocky-linux-accelerator-cloud",
        "rhel-cloud",
        "centos-cloud",
        "suse-cloud",
        "opensuse-cloud",
        "fedora-cloud",
    }
)
_NAME_ONE = "add `--image projects/PROJECT/global/images/NAME`"
_SMALLEST_DISK_GB = 10
_ARCHITECTURES = {"x86_64": "X86_64", "arm64": "ARM64"}


def image_path(text: str) -> str:
    """An image as Compute Engine names it, `projects/P/global/images/NAME`; UsageError for anything else."""
    match = _PATH.fullmatch(text)
    if match is None:
        raise UsageError(
            f"a Google Cloud image is `projects/PROJECT/global/images/NAME` or `.../images/family/FAMILY`, not "
            f"{as_typed(text)}",
            hint="gcloud compute images list --uri",
        )
    return match[1]


def find_image(api: Api, kind: InstanceType, image: str | None) -> Image:
    """The image that was named, or the newest of the family in the catalog; a family is frozen to its newest image.

    UsageError where there is none, or none that the type can boot. Raises what a call raises.
    """
    if image is None and kind.image is None:
        raise UsageError(f"no image with a driver is known for `{kind.name}`", hint="add `--image`")
    path = image_path(image or (kind.image.name if kind.image else ""))
    project, _, rest = path.removeprefix("projects/").partition("/")
    try:
        reply = api.get(f"projects/{project}/{rest}")
    except ApiError as error:
        if error.is_unsupported:
            # An endpoint without images: an insert may name a family as well.
            return Image(path, "", _SMALLEST_DISK_GB, warning=_guard_warning(project, path))
        if is_absent(error):
            raise UsageError(f"there is no image `{path}`", hint=_LEAVE_OUT if image else _NAME_ONE) from error
        raise
    _check(reply, kind, path)
    name = reply.get("name") or last_part(reply.get("selfLink"))
    return Image(
        id=f"projects/{project}/global/images/{name}" if name else path,
        root_device="",
        min_disk_gb=int(reply.get("diskSizeGb") or _SMALLEST_DISK_GB),
        warning=_guard_warning(project, path),
    )


def _guard_warning(project: str, path: str) -> str | None:
    if project in _WITH_SYSTEMD:
        return None
    return (
        f"the guard may not run on the image `{path}`: it needs systemd, bash and Google's guest agent. Without the "
        "guard only Google's run limit deletes the instance, `max_ttl` + 2 min after its start"
    )


def _check(reply: dict[str, Any], kind: InstanceType, path: str) -> None:
    arch = reply.get("architecture")
    wanted = _ARCHITECTURES.get(kind.arch)
    if arch and wanted and arch not in (wanted, "ARCHITECTURE_UNSPECIFIED"):
        raise UsageError(
            f"the image `{path}` is for {arch} processors, and `{kind.name}` has {kind.arch}", hint=_LEAVE_OUT
        )
    features = {str(item.get("type")) for item in reply.get("guestOsFeatures") or ()}
    if "WINDOWS" in features:
        raise UsageError(f"the image `{path}` is not a Linux image", hint=_LEAVE_OUT)
