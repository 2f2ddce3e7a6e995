"""How an Azure image is named: by a marketplace URN, or by its id in a compute gallery."""

import re
from dataclasses import dataclass

from gpuctl.domain.duration import as_typed
from gpuctl.errors import UsageError

# The recommended image of most sizes, as an example of what to type.
_EXAMPLE = "microsoft-dsvm:ubuntu-hpc:2204:latest"
_GALLERY = re.compile(
    r"(?P<definition>/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Compute/galleries/[^/]+"
    r"/images/[^/]+)(/versions/(?P<version>[^/]+))?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Urn:
    """A marketplace image's four parts, as `az vm image list` prints them."""

    publisher: str
    offer: str
    sku: str
    version: str

    def __str__(self) -> str:
        return ":".join((self.publisher, self.offer, self.sku, self.version))

    @property
    def reference(self) -> dict[str, str]:
        """As an instance's request names it."""
        return {"publisher": self.publisher, "offer": self.offer, "sku": self.sku, "version": self.version}


@dataclass(frozen=True, slots=True)
class GalleryImage:
    """An image definition in a compute gallery, and its version; None is the newest."""

    definition: str
    version: str | None

    def __str__(self) -> str:
        return self.definition if self.version is None else f"{self.definition}/versions/{self.version}"

    @property
    def reference(self) -> dict[str, str]:
        """As an instance's request names it."""
        return {"id": str(self)}


def image_named(text: str) -> Urn | GalleryImage:
    """The image of that name. UsageError for anything that is neither four parts nor a gallery image's id."""
    gallery = _GALLERY.fullmatch(text)
    if gallery is not None:
        version = gallery["version"]
        return GalleryImage(gallery["definition"], None if version in (None, "latest") else version)
    parts = text.split(":")
    if len(parts) != 4 or not all(part and part.isprintable() and "/" not in part for part in parts):
        raise UsageError(
            f"an Azure image is `PUBLISHER:OFFER:SKU:VERSION` or the id of a gallery image, not {as_typed(text)}",
            hint=f"add `--image {_EXAMPLE}`, or leave it out",
        )
    return Urn(*parts)
