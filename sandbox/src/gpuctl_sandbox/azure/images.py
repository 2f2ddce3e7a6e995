"""The marketplace images of the sandbox, in every region alike."""

from dataclasses import dataclass

from werkzeug.wrappers import Response

from gpuctl_sandbox.azure.places import COMPUTE
from gpuctl_sandbox.azure.wire import Call, Json, Refusal, reply
from gpuctl_sandbox.azure.world import region_of


@dataclass(frozen=True)
class Image:
    """One image: where the marketplace has it, its versions oldest first, and what a machine must bring for it.

    `gpus` are the models that its driver knows, and `is_signed` whether that driver loads under Secure Boot. Where
    there is a `plan`, a machine's call must name it, and its legal terms be accepted first.
    """

    publisher: str
    offer: str
    sku: str
    generation: str
    size_gb: int
    versions: tuple[str, ...]
    arch: str = "x64"
    has_trusted_launch: bool = False
    gpus: str = ""
    is_signed: bool = False
    plan: str = ""
    system: str = "Linux"
    controllers: str = "SCSI, NVMe"
    id: str = ""

    def shows(self, gpu: str, *, secure_boot: bool) -> bool:
        """Whether a machine that boots it has a working driver for a GPU of that model."""
        return gpu in self.gpus.split() and (self.is_signed or not secure_boot)


_JAMMY = ("22.04.202601140", "22.04.202609080", "22.04.202611120")
_NOBLE = ("24.04.202601160", "24.04.202611140")
_HPC = ("22.04.2026021101", "22.04.2026092301")
_NOBLE_HPC = ("24.04.2026092301",)
# The open kernel modules of NVIDIA's driver begin with Turing. No plan: these are called without one in public recipes.
_TURING_ON, _BEFORE = "T4 A100 H100 H200", "V100 P100 P40"
_DSVM, _OFFER = "microsoft-dsvm", "ubuntu-hpc"
_NGC = ("nvidia", "ngc_azure_17_11", "ngc-base-version-24_10_1_gen2")
_WINDOWS = ("MicrosoftWindowsServer", "WindowsServer", "2022-datacenter-g2")
IMAGES = (
    Image(_DSVM, _OFFER, "2204", "V2", 64, _HPC, has_trusted_launch=True, gpus=_TURING_ON),
    Image(_DSVM, _OFFER, "2204-v100", "V2", 64, _HPC, has_trusted_launch=True, gpus=_BEFORE),
    Image(_DSVM, _OFFER, "2204-rocm", "V2", 64, _HPC, has_trusted_launch=True, gpus="MI300X"),
    Image(_DSVM, _OFFER, "2404", "V2", 64, _NOBLE_HPC, has_trusted_launch=True, gpus=_TURING_ON),
    Image(_DSVM, _OFFER, "2404-gb", "V2", 64, _NOBLE_HPC, arch="Arm64", gpus="GB200"),
    Image(_DSVM, _OFFER, "1804", "V1", 32, ("18.04.2023051801",)),
    Image("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts", "V1", 30, _JAMMY),
    Image("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2", "V2", 30, _JAMMY, has_trusted_launch=True),
    Image("Canonical", "ubuntu-24_04-lts", "server", "V2", 30, _NOBLE, has_trusted_launch=True),
    Image("Canonical", "ubuntu-24_04-lts", "server-gen1", "V1", 30, _NOBLE),
    Image("Canonical", "ubuntu-24_04-lts", "server-arm64", "V2", 30, _NOBLE, arch="Arm64"),
    Image(*_NGC, "V2", 32, ("24.10.1",), gpus=_TURING_ON, plan=_NGC[2]),
    Image(*_WINDOWS, "V2", 127, ("20348.4294.251011",), has_trusted_launch=True, system="Windows"),
)


def find_image(reference: Json) -> tuple[Image, str]:
    """The image that a machine's call names and the version it gets. Refused if there is none."""
    publisher, offer, sku = (str(reference.get(name, "")) for name in ("publisher", "offer", "sku"))
    version = str(reference.get("version", ""))
    for image in IMAGES:
        if [text.lower() for text in (image.publisher, image.offer, image.sku)] == [
            text.lower() for text in (publisher, offer, sku)
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
        region, place = region_of(call.names["location"], COMPUTE), _place(image) + "/versions"
        return reply([_entry(call, region, place, name) for name in (versions[: int(top)] if top else versions)])

    def version(self, call: Call) -> Response:
        """One version, with what a machine must bring for it. `latest` is a word of the machine's call, not of this."""
        (image,) = self._chosen(call)
        version, region = call.names["version"], region_of(call.names["location"], COMPUTE)
        if version not in image.versions:
            raise _no_artifact(version)
        plan = {"publisher": image.publisher, "product": image.offer, "name": image.plan}
        return reply(
            _entry(call, region, _place(image) + "/versions", version)
            | {
                "properties": {
                    **({"plan": plan} if image.plan else {}),
                    "hyperVGeneration": image.generation,
                    "architecture": image.arch,
                    "replicaType": "Managed",
                    "osDiskImage": {
                        "operatingSystem": image.system,
                        "sizeInGb": image.size_gb,
                        "sizeInBytes": image.size_gb * 2**30 + 512,
                    },
                    "dataDiskImages": [],
                    "automaticOSUpgradeProperties": {"automaticOSUpgradeSupported": False},
                    "disallowed": {"vmDiskType": "None"},
                    "features": features(image),
                    "imageDeprecationStatus": {"imageState": "Active"},
                }
            }
        )

    def _chosen(self, call: Call) -> list[Image]:
        region_of(call.names["location"], COMPUTE)
        images = list(IMAGES)
        for name in ("publisher", "offer", "sku"):
            images = [image for image in images if getattr(image, name).lower() == call.names[name].lower()]
            if not images:
                raise _no_artifact(call.names[name])
        return images


def features(image: Image) -> list[Json]:
    """What an image says it can, as the marketplace and a gallery both list it."""
    body = {"IsAcceleratedNetworkSupported": "True", "DiskControllerTypes": image.controllers}
    if image.has_trusted_launch:
        body["SecurityType"] = "TrustedLaunchSupported"
    return [{"name": name, "value": value} for name, value in body.items()]


def _place(image: Image) -> str:
    return f"/{image.publisher}/artifacttypes/vmimage/offers/{image.offer}/skus/{image.sku}"


def _entry(call: Call, region: str, place: str, name: str) -> Json:
    root = f"/Subscriptions/{call.subscription}/Providers/Microsoft.Compute/Locations/{region}/Publishers"
    return {"id": f"{root}{place}/{name}", "name": name, "location": region}


def _no_artifact(name: str) -> Refusal:
    return Refusal(404, "NotFound", f"Artifact: VMImage was not found: '{name}'.")
