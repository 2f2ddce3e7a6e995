"""The deep learning images of the sandbox: known to SSM under their public names and to EC2 as images to launch."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami
from moto.ssm.models import Parameter, ssm_backends


@dataclass(frozen=True)
class DeepLearningImage:
    """One image as AWS publishes it: the public SSM parameter that names it, and what DescribeImages says of it."""

    flavour: str
    system: str
    architecture: str
    root_device: str

    @property
    def parameter(self) -> str:
        return f"/aws/service/deeplearning/ami/{self.architecture}/{self.flavour}/latest/ami-id"

    def image_id(self, region: str) -> str:
        """The same in every sandbox, so that a record made before a restart still names an image; one per region."""
        return f"ami-{sha256(f'{region}{self.parameter}'.encode()).hexdigest()[:17]}"


IMAGES = tuple(
    DeepLearningImage(f"base-oss-nvidia-driver-gpu-{flavour}", system, architecture, root_device)
    for architecture in ("x86_64", "arm64")
    for flavour, system, root_device in (
        ("ubuntu-22.04", "Ubuntu 22.04", "/dev/sda1"),
        ("ubuntu-24.04", "Ubuntu 24.04", "/dev/sda1"),
        ("amazon-linux-2023", "Amazon Linux 2023", "/dev/xvda"),
    )
)


def stock(account: str, region: str, at: datetime) -> None:
    """Make the images of a region known to the EC2 and the SSM of one account. Twice is the same as once."""
    ec2 = ec2_backends[account][region]
    # SSM refuses names below /aws from outside, as the real one does, so they are put where it keeps them.
    parameters = ssm_backends[account][region]._parameters
    for image in IMAGES:
        image_id = image.image_id(region)
        ec2.amis[image_id] = Ami(
            ec2,
            image_id,
            name=f"Deep Learning Base OSS Nvidia Driver GPU AMI ({image.system})",
            description="an image of the gpuctl sandbox: it boots nothing",
            owner_alias="amazon",
            public=True,
            virtualization_type="hvm",
            hypervisor="xen",
            architecture=image.architecture,
            root_device_type="ebs",
            root_device_name=image.root_device,
            creation_date=at,
        )
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
