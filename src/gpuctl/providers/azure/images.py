"""Which image to boot: the one that was named, else one with GPU drivers that the size can boot."""

from dataclasses import dataclass

from gpuctl.domain.duration import shown
from gpuctl.domain.offers import InstanceType
from gpuctl.errors import UsageError
from gpuctl.providers.azure.client import Clients
from gpuctl.providers.azure.errors import SDK_ERRORS, is_absent
from gpuctl.providers.azure.sizes import size_of
from gpuctl.providers.base import Image

# https://learn.microsoft.com/azure/virtual-machines/azure-hpc-vm-images: Ubuntu with NVIDIA drivers, Gen2 only.
WITH_DRIVERS = "microsoft-dsvm:ubuntu-hpc:2204:latest"
# For sizes of the first generation: nothing with drivers for their GPUs is published any more.
FIRST_GENERATION = "canonical:0001-com-ubuntu-server-jammy:22_04-lts:latest"
_LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Urn:
    """A marketplace image's four parts, as `az vm image list` prints them."""

    publisher: str
    offer: str
    sku: str
    version: str

    @classmethod
    def parse(cls, text: str) -> "Urn":
        """UsageError for anything that is not four parts."""
        parts = text.split(":")
        if len(parts) != 4 or not all(one and one.isprintable() and "/" not in one for one in parts):
            raise UsageError(
                f"an Azure image is `PUBLISHER:OFFER:SKU:VERSION`, not {shown(text)}",
                hint=f"add `--image {WITH_DRIVERS}`, or leave it out",
            )
        return cls(*parts)

    def __str__(self) -> str:
        return ":".join((self.publisher, self.offer, self.sku, self.version))

    @property
    def reference(self) -> dict[str, str]:
        """As a machine's request names it."""
        return {"publisher": self.publisher, "offer": self.offer, "sku": self.sku, "version": self.version}


def find_image(clients: Clients, region: str, kind: InstanceType, image: str | None) -> Image:
    """The image of that URN, `latest` made a version, or the default one; see `Provider.find_image`.

    Raises what the SDK raises, UsageError for an image that is not there or that the size cannot boot, and
    CapacityError where this subscription may not have the size in that region at all.
    """
    generations = size_of(clients, region, kind.name).generations
    urn = Urn.parse(image or (WITH_DRIVERS if "V2" in generations else FIRST_GENERATION))
    if urn.version == _LATEST:
        urn = Urn(urn.publisher, urn.offer, urn.sku, _newest(clients, region, urn))
    try:
        said = clients.compute.virtual_machine_images.get(region, urn.publisher, urn.offer, urn.sku, urn.version)
    except SDK_ERRORS as error:
        if is_absent(error):
            raise _no_image(urn, region) from error
        raise
    told = said.as_dict()["properties"]
    generation = told.get("hyperVGeneration", "V1")
    if generation not in generations:
        raise UsageError(
            f"the image `{urn}` is of generation {generation}, and `{kind.name}` boots {' and '.join(generations)}",
            hint="add another `--image`, or leave it out",
        )
    return Image(str(urn), "", int(told["osDiskImage"].get("sizeInGb") or 30))


def _newest(clients: Clients, region: str, urn: Urn) -> str:
    try:
        found = clients.compute.virtual_machine_images.list(
            region, urn.publisher, urn.offer, urn.sku, top=1, orderby="name desc"
        )
    except SDK_ERRORS as error:
        if is_absent(error):
            raise _no_image(urn, region) from error
        raise
    if not found:
        raise _no_image(urn, region)
    return str(found[0].name)


def _no_image(urn: Urn, region: str) -> UsageError:
    return UsageError(
        f"there is no image {shown(str(urn))} in `{region}`", hint=f"add `--image {WITH_DRIVERS}`, or leave it out"
    )
