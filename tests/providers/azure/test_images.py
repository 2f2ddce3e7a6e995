"""A GPU that works: which image an Azure size boots, how it boots, and what is refused before anything is made."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from contracts.provider import an_order
from support.azure import GEN2, KEY, LoopbackAzure
from support.clouds import LoopbackAws
from support.instances import NOON

from gpuctl.catalog import Catalog
from gpuctl.domain.instance import Market, ProviderName
from gpuctl.domain.market.offers import Availability
from gpuctl.errors import CapacityError, CloudError, Extent, UsageError
from gpuctl.providers.azure import open_provider
from gpuctl.providers.azure.provider import AzureProvider
from gpuctl.providers.base import Connection, Image

REGION, T4 = "eastus", "Standard_NC4as_T4_v3"
GALLERY = "/subscriptions/{}/resourceGroups/theirs/providers/Microsoft.Compute/galleries/g/images/ours"
BY_DEFAULT = "TrustedLaunchByDefaultPreview"


@pytest.fixture
def arm(cloud: LoopbackAws) -> Iterator[LoopbackAzure]:
    cloud.now = NOON
    past_gpuctl = LoopbackAzure(cloud)
    yield past_gpuctl
    past_gpuctl.close()
    cloud.now = timedelta(0)


@pytest.fixture
def provider(arm: LoopbackAzure) -> AzureProvider:
    return open_provider(Connection(sandbox_url=arm.url))


def made(provider: AzureProvider, arm: LoopbackAzure, name: str, image: Image, **changes: Any) -> dict[str, Any]:
    """The instance that a create with that image makes, as the cloud has it."""
    order = replace(an_order(image, REGION, name), ssh_key=KEY, disk_gb=200, **changes)
    provider.create(order)
    (vm,) = arm.instances()
    return vm


def is_whole_life(provider: AzureProvider, arm: LoopbackAzure, name: str, image: str | None = None) -> bool:
    actual = provider.find_image(REGION, Catalog().find(name), image)
    return bool(made(provider, arm, name, actual)["gpu_works"])


@pytest.mark.parametrize(
    ("name", "sku"),
    [
        (T4, "2204"),
        ("Standard_NC24ads_A100_v4", "2204"),
        ("Standard_ND96asr_v4", "2204"),
        ("Standard_NC40ads_H100_v5", "2204"),
        ("Standard_ND96isr_H200_v5", "2204"),
        ("Standard_ND40rs_v2", "2204-v100"),
        ("Standard_ND96isr_MI300X_v5", "2204-rocm"),
        ("Standard_ND128isr_NDR_GB200_v6", "2404-gb"),
        ("Standard_ND128isr_GB300_v6", "2404-gb"),
    ],
)
@pytest.mark.parametrize("features", [[], [BY_DEFAULT]], ids=["plain", "trusted launch by default"])
def test_a_size_with_an_image_in_the_catalog_has_a_gpu_that_works(
    provider: AzureProvider, arm: LoopbackAzure, name: str, sku: str, features: list[str]
) -> None:
    arm.set(features=features)
    image = provider.find_image(REGION, Catalog().find(name), None)
    assert f":{sku}:" in image.id
    assert made(provider, arm, name, image)["gpu_works"]


@pytest.mark.parametrize(
    "name",
    [
        "Standard_NV36ads_A10_v5",
        "Standard_NV6ads_A10_v5",
        "Standard_NC8ads_A10_v4",
        "Standard_NG32ads_V620_v1",
        "Standard_NV24ads_V710_v5",
        "Standard_NC144ds_xl_RTXPRO6000BSE_v6",
        "Standard_NV6s_v2",
        "Standard_NCC40ads_H100_v5",
    ],
)
def test_a_size_without_an_image_is_refused_before_any_request(
    provider: AzureProvider, arm: LoopbackAzure, name: str
) -> None:
    with pytest.raises(UsageError, match="no Azure image with a driver") as caught:
        provider.find_image(REGION, Catalog().find(name), None)
    assert "--image" in (caught.value.hint or "")
    assert arm.calls() == []


def test_every_gpu_that_azure_starts_has_an_image_or_needs_one_to_be_named() -> None:
    kinds = [kind for kind in Catalog().types(ProviderName.AZURE) if kind.availability is Availability.CURRENT]
    with_image = {kind.gpu_model for kind in kinds if kind.image is not None}
    assert with_image == {"T4", "A100 40GB", "A100 80GB", "H100", "H100 NVL", "H200", "MI300X", "GB200", "GB300"}
    assert {kind.image.driver is not None for kind in kinds if kind.image is not None} == {True}


def test_the_older_image_shows_no_gpu_on_other_sizes(provider: AzureProvider, arm: LoopbackAzure) -> None:
    # What the catalog's column is for: the size boots, is ready, bills, and nvidia-smi fails.
    assert not is_whole_life(provider, arm, "Standard_NV36ads_A10_v5", GEN2)


def test_secure_boot_is_off_where_the_driver_is_not_signed(provider: AzureProvider, arm: LoopbackAzure) -> None:
    arm.set(features=[BY_DEFAULT])
    assert is_whole_life(provider, arm, T4)
    group = "gpuctl-inst-000000000001"
    profile = arm.compute.virtual_machines.get(group, "inst-000000000001").as_dict()["properties"]["securityProfile"]
    assert profile["uefiSettings"]["secureBootEnabled"] is False


def test_the_network_is_the_fast_one_where_size_and_image_have_it(provider: AzureProvider, arm: LoopbackAzure) -> None:
    made(provider, arm, T4, provider.find_image(REGION, Catalog().find(T4), None))
    (nic,) = arm.resources("networkInterfaces")
    assert arm.raw("GET", f"{nic['id']}?api-version=2022-11-01")[2]["properties"]["enableAcceleratedNetworking"] is True


@pytest.mark.parametrize(
    ("name", "image", "why"),
    [
        (T4, "nvidia:ngc_azure_17_11:ngc-base-version-24_10_1_gen2:latest", "legal terms and a price of its own"),
        (T4, "MicrosoftWindowsServer:WindowsServer:2022-datacenter-g2:latest", "is not a Linux image"),
        (T4, "microsoft-dsvm:ubuntu-hpc:2404-gb:latest", "is for Arm64 processors"),
        ("Standard_ND128isr_NDR_GB200_v6", GEN2, "is for x64 processors"),
        ("Standard_NCC40ads_H100_v5", GEN2, "is a confidential size"),
        ("Standard_NC40ads_H100_v5", "Canonical:0001-com-ubuntu-server-jammy:22_04-lts:latest", "generation V1"),
        (T4, GALLERY.format("11111111-1111-4111-8111-111111111111"), "there is no image"),
    ],
)
def test_an_image_that_azure_would_refuse_is_refused_before_anything_is_made(
    provider: AzureProvider, arm: LoopbackAzure, name: str, image: str, why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        provider.find_image(REGION, Catalog().find(name), image)
    assert arm.resources() == []


@pytest.mark.parametrize("version", ["", "/versions/latest", "/versions/1.10.0"])
def test_an_image_of_a_gallery_is_booted_in_its_newest_version_or_the_named_one(
    provider: AzureProvider, arm: LoopbackAzure, version: str
) -> None:
    location = GALLERY.format(arm.subscription)
    arm.set(gallery=[{"id": location, "versions": ["1.9.0", "1.10.0"], "size_gb": 150, "gpus": "vA10"}])
    image = provider.find_image(REGION, Catalog().find("Standard_NV36ads_A10_v5"), location + version)
    assert (image.id, image.min_disk_gb) == (f"{location}/versions/1.10.0", 150)
    assert made(provider, arm, "Standard_NV36ads_A10_v5", image)["gpu_works"]


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"state": "Specialized"}, "is specialized, not generalized: gpuctl cannot add"),
        ({"arch": "Arm64"}, "is for Arm64 processors"),
        ({"plan": "paid"}, "legal terms"),
        ({"generation": "V1"}, "generation V1"),
        ({"versions": []}, "there is no image"),
    ],
)
def test_an_image_of_a_gallery_that_cannot_be_booted_is_refused(
    provider: AzureProvider, arm: LoopbackAzure, facts: dict[str, Any], why: str
) -> None:
    location = GALLERY.format(arm.subscription)
    arm.set(gallery=[{"id": location, "versions": ["1.0.0"], **facts}])
    with pytest.raises(UsageError, match=why):
        provider.find_image(REGION, Catalog().find("Standard_NC40ads_H100_v5"), location)


@pytest.mark.parametrize("controllers", ["SCSI", "SCSI, NVMe"])
def test_a_size_that_boots_from_nvme_gets_such_an_image_or_none(
    provider: AzureProvider, arm: LoopbackAzure, controllers: str
) -> None:
    location, name = GALLERY.format(arm.subscription), "Standard_NC144ds_xl_RTXPRO6000BSE_v6"
    arm.set(gallery=[{"id": location, "versions": ["1.0.0"], "gpus": "RTXPRO6000", "controllers": controllers}])
    if "NVMe" not in controllers:
        with pytest.raises(UsageError, match="does not boot from NVMe"):
            provider.find_image(REGION, Catalog().find(name), location)
    else:
        assert is_whole_life(provider, arm, name, location)


def test_a_size_that_is_not_sold_as_spot_is_refused_before_anything_is_made(
    provider: AzureProvider, arm: LoopbackAzure
) -> None:
    kind = Catalog().find("Standard_NC6_Promo")
    image = provider.find_image(REGION, kind, None)
    with pytest.raises(CloudError, match="not sold as spot") as caught:
        made(provider, arm, kind.name, image, market=Market.SPOT)
    # Waiting does not help, another region or on-demand may.
    assert not isinstance(caught.value, CapacityError)
    assert (caught.value.extent, caught.value.exit_code) == (Extent.REGION, 1)
    assert arm.resources() == []
