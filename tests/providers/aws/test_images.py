"""Images on AWS: one with a driver for the type, further disks, licenses, and images on which the guard cannot run."""

from decimal import Decimal

import pytest
from support.cli import Operator

from gpuctl.catalog import Catalog
from gpuctl.domain.instance import ProviderName
from gpuctl_sandbox.aws.images import (
    IMAGES,
    MARKETPLACE,
    RED_HAT,
    WINDOWS,
    WITH_DATA_DISK,
    WITH_FAST_DISK,
    WITHOUT_CLOUD_INIT,
    StockedImage,
    gpu_works,
)

REGION = "us-east-1"


def named(image: StockedImage) -> tuple[str, str]:
    """The option that names this image."""
    return "--image", image.image_id(REGION)


# disks


def test_no_disk_of_an_image_stays_when_its_instance_has_ended(operator: Operator) -> None:
    instance = operator.provision(*named(WITH_DATA_DISK)).instance
    volumes = operator.cloud.volumes()
    assert sorted(volume["size_gb"] for volume in volumes) == [20, 100, 500]
    assert all(volume["tags"]["gpuctl-id"] == instance["id"] for volume in volumes)
    operator.json("terminate", instance["id"])
    assert operator.cloud.volumes() == []


def test_the_emulated_aws_keeps_such_a_disk_unless_the_request_says_otherwise(operator: Operator) -> None:
    instance = operator.cloud.launch(ImageId=WITH_DATA_DISK.image_id(REGION))
    operator.cloud.client("ec2").terminate_instances(InstanceIds=[instance])
    assert [(volume["size_gb"], volume["instance"]) for volume in operator.cloud.volumes()] == [(500, None)]


def test_the_disks_of_an_image_count_in_the_price(operator: Operator) -> None:
    bare = operator.provision("--dry-run", "--disk-size", "620").json
    ran = operator.run(
        "provision", "g4dn.xlarge", "--region", REGION, "--dry-run", *named(WITH_DATA_DISK), "--disk-size", "100"
    )
    assert "brings further disks, deleted with the instance: /dev/sdf of 500 GB, /dev/sdg of 20 GB" in ran.err
    with_disks = operator.provision("--dry-run", *named(WITH_DATA_DISK), "--disk-size", "100").json
    assert with_disks["offers"] == bare["offers"]
    assert with_disks["offers"] != operator.provision("--dry-run", "--disk-size", "100").json["offers"]


def test_a_disk_that_costs_more_than_the_root_makes_the_price_of_the_disks_unknown(operator: Operator) -> None:
    operator.provision("--name", "n", *named(WITH_FAST_DISK))
    operator.later(minutes=10)
    instance = operator.json("get", "n").instance
    assert (instance["costBreakdown"]["disk"], instance["costPerHour"]) == (None, 0.526)


def test_a_disk_smaller_than_the_image_is_refused_by_the_cloud_and_before_it(operator: Operator) -> None:
    root = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 14}}
    with pytest.raises(Exception, match="InvalidBlockDeviceMapping"):
        operator.cloud.launch(BlockDeviceMappings=[root])


# images that cannot be used


def test_an_image_of_windows_is_refused_before_anything_is_written(operator: Operator) -> None:
    ran = operator.provision(*named(WINDOWS))
    assert (ran.code, operator.records, operator.cloud.instances()) == (2, (), [])
    assert "of Windows, where gpuctl's guard cannot run" in ran.json["error"]["message"]


def test_an_image_without_cloud_init_does_not_count_as_guarded(operator: Operator) -> None:
    operator.provision("--name", "n", *named(WITHOUT_CLOUD_INIT))
    operator.later(minutes=10)
    shown = operator.json("get", "n", "--refresh").instance["safeguards"]
    assert {item["mechanism"]: item["status"] for item in shown}["timer"] == "missing"


# licenses


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (RED_HAT, "licensed: Red Hat Enterprise Linux, `RunInstances:0010`"),
        (MARKETPLACE, "sold by its maker in the AWS Marketplace: `aw0evgkw8e5c1q413zgy5pjce`"),
    ],
)
def test_the_price_with_a_licensed_image_is_unknown_and_that_is_printed_before_asking(
    operator: Operator, image: StockedImage, why: str
) -> None:
    argv = ("provision", "g4dn.xlarge", "--region", REGION, *named(image))
    (offer,) = operator.json(*argv, "--dry-run").json["offers"]
    assert offer["costPerHour"] is None
    ran = operator.run(*argv, terminal=True, typed="n\n")
    assert (ran.code, operator.records) == (2, ())
    assert why in ran.err and ran.err.index(why) < ran.err.index("?")
    instance = operator.json(*argv).instance
    assert (instance["costPerHour"], instance["totalCost"], instance["priceSource"]) == (None, None, None)


def test_a_licensed_image_keeps_no_highest_price(operator: Operator) -> None:
    ran = operator.provision(*named(RED_HAT), "--max-price", "5")
    assert (ran.code, operator.records) == (2, ())
    assert "`--max-price` cannot be kept" in ran.json["error"]["message"]


def test_a_budget_refuses_a_licensed_image_as_any_unknown_price(operator: Operator) -> None:
    (operator.folder / "gpuctl").mkdir(exist_ok=True)
    (operator.folder / "gpuctl" / "config.toml").write_text("[budget]\ndaily_usd = 50\n")
    assert operator.provision(*named(RED_HAT)).code == 7
    assert operator.provision(*named(RED_HAT), "--allow-unknown-price").code == 0


# a GPU that works


def test_the_catalog_has_an_image_for_exactly_the_types_whose_gpu_works_with_it(operator: Operator) -> None:
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.ec2.models import ec2_backends

    operator.cloud.launch()
    backend = ec2_backends[DEFAULT_ACCOUNT_ID][REGION]
    by_parameter = {image.parameter: image for image in IMAGES}
    for kind in Catalog().types(ProviderName.AWS):
        works = [
            name
            for name, image in by_parameter.items()
            if name and "ubuntu-22.04" in name and gpu_works(backend, image.image_id(REGION), kind.name)
        ]
        assert works == ([kind.image.name] if kind.image else []), kind.name


@pytest.mark.parametrize(
    ("kind", "gpu"), [("p3dn.24xlarge", "V100"), ("g6f.xlarge", "L4"), ("g7e.2xlarge", "RTX PRO 6000")]
)
def test_a_type_without_an_image_needs_one_named_and_nothing_is_written(
    operator: Operator, kind: str, gpu: str
) -> None:
    ran = operator.json("provision", kind, "--region", REGION)
    assert (ran.code, operator.records, operator.cloud.instances()) == (2, (), [])
    assert ran.json["error"]["message"] == f"no AWS image with a driver for the {gpu} of `{kind}` is known"
    assert "--image ami-" in ran.json["error"]["hint"]
    own = operator.cloud.client("ec2").describe_images(ImageIds=[IMAGES[0].image_id(REGION)])["Images"][0]["ImageId"]
    assert operator.json("provision", kind, "--region", REGION, "--image", own, "--yes").code == 0


def test_a_gpu_for_which_no_image_is_known_is_not_chosen_by_its_description(operator: Operator) -> None:
    ran = operator.json("provision", "--provider", "aws", "--gpu", "V100", "--region", REGION)
    assert (ran.code, operator.records) == (2, ())
    assert "without an image that has a driver for its GPU" in ran.json["error"]["message"]


def test_arm_instances_boot_the_image_for_arm(operator: Operator) -> None:
    instance = operator.json("provision", "g5g.xlarge", "--region", REGION).instance
    (observed,) = operator.cloud.instances()
    assert observed["gpu_works"] and instance["metadata"]["imageId"] == IMAGES[3].image_id(REGION)
    assert Decimal(str(instance["costPerHour"])) > 0
