"""The marketplace images of the sandbox, in every region alike."""

from dataclasses import dataclass

from werkzeug.wrappers import Response

from gpuctl.sandbox.azure.places import COMPUTE
from gpuctl.sandbox.azure.wire import Call, Json, Refusal, reply
from gpuctl.sandbox.azure.world import region_of


@dataclass(frozen=True)
class Image:
    """One image: where the marketplace has it, its versions oldest first, and what a machine must bring for it."""

    publisher: str
    offer: str
    sku: str
    generation: str
    size_gb: int
    versions: tuple[str, ...]
    arch: str = "x64"
    has_trusted_launch: bool = False


_JAMMY = ("22.04.202601140", "22.04.202609080", "22.04.202611120")
_NOBLE = ("24.04.202601160", "24.04.202611140")
_HPC = ("22.04.2026021101", "22.04.2026092301")
IMAGES = (
    Image("microsoft-dsvm", "ubuntu-hpc", "2204", "V2", 64, _HPC, has_trusted_launch=True),
    Image("microsoft-dsvm", "ubuntu-hpc", "2404", "V2", 64, ("24.04.2026092301",), has_trusted_launch=True),
    Image("microsoft-dsvm", "ubuntu-hpc", "1804", "V1", 32, ("18.04.2023051801",)),
    Image("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts", "V1", 30, _JAMMY),
    Image("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2", "V2", 30, _JAMMY, has_trusted_launch=True),
    Image("Canonical", "ubuntu-24_04-lts", "server", "V2", 30, _NOBLE, has_trusted_launch=True),
    Image("Canonical", "ubuntu-24_04-lts", "server-gen1", "V1", 30, _NOBLE),
    Image("Canonical", "ubuntu-24_04-lts", "server-arm64", "V2", 30, _NOBLE, arch="Arm64"),
)


def find_image(reference: Json) -> tuple[Image, str]:
    """The image that a machine's call names and the version it gets. Refused if there is none."""
    publisher, offer, sku = (str(reference.get(name, "")) for name in ("publisher", "offer", "sku"))
    version = str(reference.get("version", ""))
    for image in IMAGES:
        if [one.lower() for one in (image.publisher, image.offer, image.sku)] == [
            one.lower() for one in (publisher, offer, sku)
        ] and (version == "latest" or version in image.versions):
            return image, image.versions[-1] if version == "latest" else version
    raise Refusal(
        404,
        "PlatformImageNotFound",
        f"The platform image '{publisher}:{offer}:{sku}:{version}' is not available. Verify that all fields in the "
        f"storage profile are correct (https://aka.ms/storageprofile).",
        "imageReference",
    )


class Marketplace:
    """The calls about images."""

    def publishers(self, call: Call) -> Response:
        return self._listed(call, "", sorted({one.publisher for one in IMAGES}))

    def offers(self, call: Call) -> Response:
        here = sorted({one.offer for one in self._chosen(call)})
        return self._listed(call, f"/{call.names['publisher']}/artifacttypes/vmimage/offers", here)

    def skus(self, call: Call) -> Response:
        place = f"/{call.names['publisher']}/artifacttypes/vmimage/offers/{call.names['offer']}/skus"
        return self._listed(call, place, sorted({one.sku for one in self._chosen(call)}))

    def versions(self, call: Call) -> Response:
        """All versions of one image, oldest first, or as `$orderby` says; `$top` cuts them."""
        (image,) = self._chosen(call)
        order, versions = call.query.get("$orderby", "name asc"), list(image.versions)
        if order.lower() not in ("name", "name asc", "name desc"):
            raise Refusal(
                400, "InvalidParameter", f"The value '{order}' of parameter '$orderby' is not valid.", "$orderby"
            )
        if order.lower().endswith("desc"):
            versions.reverse()
        top = call.query.get("$top")
        return self._listed(call, _place(image) + "/versions", versions[: int(top)] if top else versions)

    def version(self, call: Call) -> Response:
        """One version, with what a machine must bring for it. `latest` is a word of the machine's call, not of this."""
        (image,) = self._chosen(call)
        version, region = call.names["version"], region_of(call.names["location"], COMPUTE)
        if version not in image.versions:
            raise _no_artifact(version)
        features = [{"name": "IsAcceleratedNetworkSupported", "value": "True"}]
        if image.has_trusted_launch:
            features.append({"name": "SecurityType", "value": "TrustedLaunchSupported"})
        return reply(
            _entry(call, region, _place(image) + "/versions", version)
            | {
                "properties": {
                    "hyperVGeneration": image.generation,
                    "architecture": image.arch,
                    "replicaType": "Managed",
                    "osDiskImage": {
                        "operatingSystem": "Linux",
                        "sizeInGb": image.size_gb,
                        "sizeInBytes": image.size_gb * 2**30 + 512,
                    },
                    "dataDiskImages": [],
                    "automaticOSUpgradeProperties": {"automaticOSUpgradeSupported": False},
                    "disallowed": {"vmDiskType": "None"},
                    "features": features,
                    "imageDeprecationStatus": {"imageState": "Active"},
                }
            }
        )

    def _chosen(self, call: Call) -> list[Image]:
        region_of(call.names["location"], COMPUTE)
        found = list(IMAGES)
        for name in ("publisher", "offer", "sku"):
            if name in call.names:
                found = [one for one in found if getattr(one, name).lower() == call.names[name].lower()]
                if not found:
                    raise _no_artifact(call.names[name])
        return found

    def _listed(self, call: Call, place: str, names: list[str]) -> Response:
        region = region_of(call.names["location"], COMPUTE)
        return reply([_entry(call, region, place, name) for name in names])


def _place(image: Image) -> str:
    return f"/{image.publisher}/artifacttypes/vmimage/offers/{image.offer}/skus/{image.sku}"


def _entry(call: Call, region: str, place: str, name: str) -> Json:
    root = f"/Subscriptions/{call.subscription}/Providers/Microsoft.Compute/Locations/{region}/Publishers"
    return {"id": f"{root}{place}/{name}", "name": name, "location": region}


def _no_artifact(name: str) -> Refusal:
    return Refusal(404, "NotFound", f"Artifact: VMImage was not found: '{name}'.")
