"""The images of the sandbox: AWS's deep learning images, named by public SSM parameters, and images of other makers."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami
from moto.ssm.models import Parameter, ssm_backends

from gpuctl_sandbox.fidelity import Rule

RULES = (
    Rule(
        "AWS",
        "disks of an image",
        "An instance gets a volume for every EBS mapping of its image. The request replaces what it names; "
        "a volume without DeleteOnTermination stays after the instance.",
        "EC2 user guide, Block device mappings; EC2 service model, TerminateInstances",
        "documented",
    ),
    Rule(
        "AWS",
        "volume smaller than its snapshot",
        "A root volume that is smaller than the snapshot of the image is `InvalidBlockDeviceMapping`.",
        "EC2 API error codes, InvalidBlockDeviceMapping",
        "documented",
    ),
    Rule(
        "AWS",
        "platform and license of an image",
        "DescribeImages shows Platform, PlatformDetails, UsageOperation and the product codes of an image.",
        "EC2 service model, Image; EC2 user guide, AMI billing information fields",
        "documented",
    ),
    Rule(
        "AWS",
        "instance types of the arm64 deep learning image",
        "The GPU of an instance works only if the image's release notes list its family: G5g and P6e-GB200.",
        "AWS Deep Learning AMI release notes, supported_ec2_instances (gpubaseossarm64-ul2204-2026-10-08)",
        "documented",
    ),
    Rule(
        "AWS",
        "instance types of the x86_64 deep learning image",
        "The same for G4dn, G5, G6, Gr6, G6e, P4d, P4de, P5, P5e, P5en, P6-B200 and P6-B300.",
        "no release notes of the x86_64 image were read",
        "assumed",
    ),
    Rule(
        "AWS",
        "root volume of the deep learning images",
        "15 GB here, as moto has it. The real images need more (65 to 75 GB are reported): AWS may reject a small "
        "`--disk-size` that the emulated cloud accepts.",
        "no source was read",
        "assumed",
    ),
)
X86_FAMILIES = frozenset(["g4dn", "g5", "g6", "gr6", "g6e", "p4d", "p4de", "p5", "p5e", "p5en", "p6-b200", "p6-b300"])
ARM_FAMILIES = frozenset({"g5g", "p6e-gb200"})


@dataclass(frozen=True)
class Disk:
    """A further EBS mapping of an image."""

    device: str
    size_gb: int
    delete_on_termination: bool = False
    volume_type: str = "gp3"


@dataclass(frozen=True)
class StockedImage:
    """One image as DescribeImages shows it. `families`: the instance families whose GPU works with it."""

    name: str
    architecture: str = "x86_64"
    root_device: str = "/dev/sda1"
    description: str = "an image of the gpuctl sandbox: it boots nothing"
    parameter: str | None = None
    disks: tuple[Disk, ...] = ()
    platform: str | None = None
    platform_details: str = "Linux/UNIX"
    usage_operation: str = "RunInstances"
    product_code: str | None = None
    families: frozenset[str] = frozenset()

    def image_id(self, region: str) -> str:
        """The same in every sandbox, so that a record made before a restart still names an image; one per region."""
        return f"ami-{sha256(f'{region}{self.parameter or self.name}'.encode()).hexdigest()[:17]}"


IMAGES = tuple(
    StockedImage(
        f"Deep Learning Base OSS Nvidia Driver GPU AMI ({system})",
        architecture,
        root_device,
        parameter=f"/aws/service/deeplearning/ami/{architecture}/base-oss-nvidia-driver-gpu-{flavour}/latest/ami-id",
        families=families,
    )
    for architecture, families in (("x86_64", X86_FAMILIES), ("arm64", ARM_FAMILIES))
    for flavour, system, root_device in (
        ("ubuntu-22.04", "Ubuntu 22.04", "/dev/sda1"),
        ("ubuntu-24.04", "Ubuntu 24.04", "/dev/sda1"),
        ("amazon-linux-2023", "Amazon Linux 2023", "/dev/xvda"),
    )
)
WITH_DATA_DISK = StockedImage(
    "gpu image with a data disk (Ubuntu 22.04)",
    disks=(Disk("/dev/sdf", 500), Disk("/dev/sdg", 20, delete_on_termination=True)),
    families=X86_FAMILIES,
)
WITH_FAST_DISK = StockedImage("gpu image with an io2 disk (Ubuntu)", disks=(Disk("/dev/sdf", 50, volume_type="io2"),))
WINDOWS = StockedImage(
    "Windows_Server-2022-English-Full-Base",
    platform="windows",
    platform_details="Windows",
    usage_operation="RunInstances:0002",
)
RED_HAT = StockedImage(
    "RHEL-9.4.0_HVM-x86_64",
    platform_details="Red Hat Enterprise Linux",
    usage_operation="RunInstances:0010",
)
MARKETPLACE = StockedImage("somebody's gpu image (Ubuntu 22.04)", product_code="aw0evgkw8e5c1q413zgy5pjce")
WITHOUT_CLOUD_INIT = StockedImage(
    "bottlerocket-aws-k8s-1.33-nvidia-x86_64", description="an image without cloud-init", families=X86_FAMILIES
)
OTHER_IMAGES = (WITH_DATA_DISK, WITH_FAST_DISK, WINDOWS, RED_HAT, MARKETPLACE, WITHOUT_CLOUD_INIT)


class _Image(Ami):
    """moto's image with everything that DescribeImages shows of this one."""

    def __init__(self, ec2: Any, image: StockedImage, image_id: str, at: datetime) -> None:
        self.stocked = image
        super().__init__(
            ec2,
            image_id,
            name=image.name,
            description=image.description,
            owner_alias="amazon",
            public=True,
            virtualization_type="hvm",
            hypervisor="xen",
            architecture=image.architecture,
            platform=image.platform,
            root_device_type="ebs",
            root_device_name=image.root_device,
            creation_date=at,
        )
        self.platform_details = image.platform_details
        self.usage_operation = image.usage_operation
        if image.product_code is not None:
            self.product_codes: Any = [{"ProductCodeId": image.product_code, "ProductCodeType": "marketplace"}]

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        (root,) = super().block_device_mappings
        further = [
            {
                "DeviceName": disk.device,
                "Ebs": {
                    "DeleteOnTermination": disk.delete_on_termination,
                    "VolumeSize": disk.size_gb,
                    "VolumeType": disk.volume_type,
                    "Encrypted": False,
                },
            }
            for disk in self.stocked.disks
        ]
        return [root, *further]


def gpu_works(backend: Any, image_id: str, instance_type: str) -> bool:
    """Whether an instance of that type has a working GPU with that image."""
    image = backend.amis.get(image_id)
    return isinstance(image, _Image) and instance_type.partition(".")[0] in image.stocked.families


def has_driver(backend: Any, image_id: str) -> bool:
    """Whether the image has an NVIDIA driver."""
    image = backend.amis.get(image_id)
    return isinstance(image, _Image) and bool(image.stocked.families)


def further_disks(backend: Any, image_id: str) -> tuple[Disk, ...]:
    """The image's EBS mappings other than the root's; none for an image of another maker."""
    image = backend.amis.get(image_id)
    return image.stocked.disks if isinstance(image, _Image) else ()


def stock(account: str, region: str, at: datetime) -> None:
    """Make the images of a region known to the EC2 and the SSM of one account. Twice is the same as once."""
    ec2 = ec2_backends[account][region]
    # SSM refuses names below /aws from outside, as the real one does, so they are put where it keeps them.
    parameters = ssm_backends[account][region]._parameters
    for image in (*IMAGES, *OTHER_IMAGES):
        image_id = image.image_id(region)
        ec2.amis[image_id] = _Image(ec2, image, image_id, at)
        if image.parameter is None:
            continue
        parameters[image.parameter] = [
            Parameter(  # type: ignore[abstract]  # moto makes them the same way; what is abstract serves CloudFormation
                account_id=account,
                name=image.parameter,
                value=image_id,
                parameter_type="String",
                description=None,
                allowed_pattern=None,
                keyid=None,
                last_modified_date=at,
                version=1,
                data_type="aws:ec2:image",
            )
        ]
