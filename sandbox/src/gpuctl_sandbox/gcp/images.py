"""The public images of the emulated cloud: projects, families, and what each image can."""

from dataclasses import dataclass
from datetime import UTC, datetime

from gpuctl_sandbox.gcp.wire import Call, Json, link, not_found, rfc3339

OLD_GPUS = ("nvidia-tesla-p4", "nvidia-tesla-p100", "nvidia-tesla-v100")


@dataclass(frozen=True)
class Image:
    """One image. `driver` is its NVIDIA driver, empty for none; the open kernel modules know no GPU before Turing.

    `runs_scripts`: whether a startup script with systemd units takes effect on it.
    """

    project: str
    family: str
    name: str
    size_gb: int
    arch: str = "X86_64"
    driver: str = ""
    runs_scripts: bool = True
    deprecated: bool = False

    @property
    def path(self) -> str:
        return f"projects/{self.project}/global/images/{self.name}"

    def works_with(self, gpu: str) -> bool:
        """Whether that GPU is usable on it."""
        return bool(self.driver) and bool(gpu) and not (gpu in OLD_GPUS and int(self.driver) >= 580)

    def shown(self) -> Json:
        """The image as a reply has it."""
        entry: Json = {
            "kind": "compute#image",
            "id": str(5_000_000 + sum(map(ord, self.name))),
            "creationTimestamp": rfc3339(_MADE),
            "name": self.name,
            "family": self.family,
            "sourceType": "RAW",
            "status": "READY",
            "archiveSizeBytes": "12345678900",
            "diskSizeGb": str(self.size_gb),
            "architecture": self.arch,
            "selfLink": link(self.path),
            "labelFingerprint": "42WmSpB8rSM=",
        }
        if self.deprecated:
            entry["deprecated"] = {"state": "DEPRECATED"}
        return entry


_MADE = datetime(2026, 11, 3, 17, 5, 11, tzinfo=UTC)


def _accelerated(release: str, arch: str, driver: str) -> Image:
    family = f"ubuntu-accelerator-{release}-{arch}-with-nvidia-{driver}"
    name = f"{family}-v20261103"
    kind = "ARM64" if arch == "arm64" else "X86_64"
    return Image("ubuntu-os-accelerator-images", family, name, 15, kind, driver)


IMAGES = (
    *(
        _accelerated(release, arch, driver)
        for release in ("2204", "2404")
        for arch in ("amd64", "arm64")
        for driver in ("550", "570", "580")
    ),
    Image("deeplearning-platform-release", "common-cu129-ubuntu-2204-nvidia-580", "common-cu129-v20261030", 50),
    Image("debian-cloud", "debian-12", "debian-12-bookworm-v20261103", 10),
    Image("ubuntu-os-cloud", "ubuntu-2204-lts", "ubuntu-2204-jammy-v20261103", 10),
    Image("cos-cloud", "cos-stable", "cos-stable-125-19216-104-25", 10, runs_scripts=False),
)


class Images:
    """The calls about images."""

    def get(self, call: Call) -> Json:
        return find(f"projects/{call.project}/global/images/{call.names['image']}").shown()

    def from_family(self, call: Call) -> Json:
        return find(f"projects/{call.project}/global/images/family/{call.names['family']}").shown()


def find(source: str) -> Image:
    """The image of that full or partial address, or the newest of a family. Refused if there is none."""
    path = "projects/" + source.rpartition("projects/")[2]
    for image in reversed(IMAGES):
        family = f"projects/{image.project}/global/images/family/{image.family}"
        if path in (image.path, family):
            return image
    raise not_found(path)
