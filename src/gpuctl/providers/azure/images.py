"""Which image to boot: the one that was named, else the catalog's image with a driver for the size's GPU."""

from collections.abc import Mapping
from typing import Any

from gpuctl.domain.duration import as_typed
from gpuctl.domain.market.offers import InstanceType
from gpuctl.errors import NotPreparedError, UsageError
from gpuctl.providers.azure.client import AzureClients
from gpuctl.providers.azure.codes import NOT_REGISTERED
from gpuctl.providers.azure.errors import SDK_ERRORS, code_of, is_absent
from gpuctl.providers.azure.imagenames import GalleryImage, Urn, image_named
from gpuctl.providers.azure.registration import NOT_CHECKED
from gpuctl.providers.azure.sizes import VmSize, size_of
from gpuctl.providers.base import Image

_LATEST = "latest"
_GALLERY_API = "2024-03-03"
_LEAVE_OUT = "add another `--image`, or leave it out"

# What a create has to say of an image on a size, in `Image.settings`.
TRUSTED_LAUNCH, FAST_NETWORK, NVME, NOT_AS_SPOT = "trusted-launch", "fast-network", "nvme", "not-as-spot"


def find_image(clients: AzureClients, region: str, kind: InstanceType, image: str | None) -> Image:
    """The image of that name, `latest` made a version, or the catalog's for the type; see `Provider.find_image`.

    Raises what the SDK raises, UsageError for an image that does not exist or that the size cannot boot,
    CapacityError where this subscription may not have the size in that region at all, and NotPreparedError where it is
    not registered for Microsoft.Compute.
    """
    if image is None and kind.image is None:
        raise UsageError(
            f"no Azure image with a driver for the {kind.gpu_model} of `{kind.name}` is known",
            hint="add `--image PUBLISHER:OFFER:SKU:VERSION`, or the id of a gallery image with its driver",
        )
    try:
        size = size_of(clients, region, kind.name)
    except SDK_ERRORS as error:
        if code_of(error) == NOT_REGISTERED:
            raise NotPreparedError(NOT_CHECKED, cloud_code=NOT_REGISTERED) from error
        raise
    return image_for(clients, region, size, image or (kind.image.name if kind.image else ""))


def image_for(clients: AzureClients, region: str, size: VmSize, image: str) -> Image:
    """The image of that name for that size; see `find_image`."""
    if size.is_confidential:
        raise UsageError(
            f"`{size.name}` is a confidential size, whose images and disks gpuctl does not make",
            hint="gpuctl types --provider azure",
        )
    named = image_named(image)
    if isinstance(named, GalleryImage):
        facts, matching = _in_gallery(clients, named)
    else:
        facts, matching = _in_marketplace(clients, region, named)
    features = {str(feature["name"]): str(feature["value"]) for feature in facts.get("features") or ()}
    _check(facts, features, size, matching.id)
    return Image(matching.id, "", matching.min_disk_gb, settings=_settings(facts, features, size))


def _in_marketplace(clients: AzureClients, region: str, urn: Urn) -> tuple[Mapping[str, Any], Image]:
    if urn.version == _LATEST:
        urn = Urn(urn.publisher, urn.offer, urn.sku, _newest(clients, region, urn))
    try:
        reply = clients.compute.virtual_machine_images.get(region, urn.publisher, urn.offer, urn.sku, urn.version)
    except SDK_ERRORS as error:
        if is_absent(error):
            raise _no_image(str(urn), region) from error
        raise
    facts = reply.as_dict()["properties"]
    system = facts["osDiskImage"]
    return facts | {"osType": system.get("operatingSystem")}, Image(str(urn), "", int(system.get("sizeInGb") or 30))


def _in_gallery(clients: AzureClients, image: GalleryImage) -> tuple[Mapping[str, Any], Image]:
    """What an image definition says, and the version named or the newest."""
    try:
        definition = clients.ask("GET", image.definition, _GALLERY_API).json()
        if image.version is not None:
            path = f"{image.definition}/versions/{image.version}"
            versions = [clients.ask("GET", path, _GALLERY_API).json()]
        else:
            versions = clients.ask("GET", f"{image.definition}/versions", _GALLERY_API).json()["value"]
    except SDK_ERRORS as error:
        if is_absent(error):
            raise _no_image(str(image), None) from error
        raise
    usable = [version for version in versions if version["properties"].get("provisioningState") == "Succeeded"]
    if not usable:
        raise _no_image(str(image), None)
    newest = max(usable, key=lambda item: [int(part) if part.isdigit() else 0 for part in str(item["name"]).split(".")])
    disk = newest["properties"].get("storageProfile", {}).get("osDiskImage", {})
    exact = GalleryImage(image.definition, str(newest["name"]))
    facts = definition["properties"]
    return facts | {"plan": facts.get("purchasePlan")}, Image(str(exact), "", int(disk.get("sizeInGB") or 30))


def _check(facts: Mapping[str, Any], features: Mapping[str, str], size: VmSize, image: str) -> None:
    """UsageError for an image that Azure would refuse for that size, or that gpuctl cannot start."""
    if str(facts.get("osType") or "Linux") != "Linux":
        raise UsageError(f"the image `{image}` is not a Linux image", hint=_LEAVE_OUT)
    if str(facts.get("osState") or "Generalized") != "Generalized":
        raise UsageError(
            f"the image `{image}` is specialized, not generalized: gpuctl cannot add its user and SSH key",
            hint=_LEAVE_OUT,
        )
    if facts.get("plan"):
        raise UsageError(
            f"the image `{image}` is sold under a plan with legal terms and a price of its own, which gpuctl does not "
            f"accept for you",
            hint=_LEAVE_OUT,
        )
    arch = str(facts.get("architecture") or "x64")
    if arch.casefold() != size.arch.casefold():
        raise UsageError(
            f"the image `{image}` is for {arch} processors, and `{size.name}` has {size.arch}", hint=_LEAVE_OUT
        )
    generation = str(facts.get("hyperVGeneration") or "V1")
    if generation not in size.generations:
        raise UsageError(
            f"the image `{image}` is of generation {generation}, and `{size.name}` boots "
            f"{' and '.join(size.generations)}",
            hint=_LEAVE_OUT,
        )
    if "SCSI" not in size.controllers and "NVMe" not in features.get("DiskControllerTypes", "SCSI"):
        raise UsageError(f"the image `{image}` does not boot from NVMe, and `{size.name}` does", hint=_LEAVE_OUT)


def _settings(facts: Mapping[str, Any], features: Mapping[str, str], size: VmSize) -> frozenset[str]:
    # Where both can have Trusted Launch a subscription may make it the default, Secure Boot included, and a driver that
    # is not signed does not load then. Named with Secure Boot off it is accepted everywhere; `Standard` only where the
    # subscription has the feature UseStandardSecurityType.
    is_trusted = "TrustedLaunch" in features.get("SecurityType", "") and facts.get("hyperVGeneration") == "V2"
    is_fast = features.get("IsAcceleratedNetworkSupported", "").casefold() == "true"
    wanted = {
        TRUSTED_LAUNCH: is_trusted and size.has_trusted_launch,
        FAST_NETWORK: is_fast and size.has_fast_network,
        NVME: "SCSI" not in size.controllers,
        NOT_AS_SPOT: not size.is_sold_as_spot,
    }
    return frozenset(name for name, is_wanted in wanted.items() if is_wanted)


def _newest(clients: AzureClients, region: str, urn: Urn) -> str:
    try:
        versions = clients.compute.virtual_machine_images.list(
            region, urn.publisher, urn.offer, urn.sku, top=1, orderby="name desc"
        )
    except SDK_ERRORS as error:
        if is_absent(error):
            raise _no_image(str(urn), region) from error
        raise
    if not versions:
        raise _no_image(str(urn), region)
    return str(versions[0].name)


def _no_image(image: str, region: str | None) -> UsageError:
    where = f" in `{region}`" if region else ""
    return UsageError(f"there is no image {as_typed(image)}{where}", hint=_LEAVE_OUT)
