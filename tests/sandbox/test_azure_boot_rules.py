"""What the loopback ARM refuses of an image, a security profile, a key or a market, in Azure's words."""

from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from support.azure import GEN2, LoopbackAzure, machine

T4, CONFIDENTIAL = "Standard_NC4as_T4_v3", "Standard_NCC40ads_H100_v5"
TRUSTED = {"securityType": "TrustedLaunch", "uefiSettings": {"secureBootEnabled": False, "vTpmEnabled": False}}
NGC = "nvidia:ngc_azure_17_11:ngc-base-version-24_10_1_gen2:latest"
BY_DEFAULT = "TrustedLaunchByDefaultPreview"


@pytest.fixture
def ground(azure: LoopbackAzure) -> LoopbackAzure:
    azure.group()
    azure.vnet("theirs")
    return azure


def put(ground: LoopbackAzure, top: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    body = machine("eastus", subnet=ground.subnet_id("theirs"), **changes) | (top or {})
    created = ground.compute.virtual_machines.begin_create_or_update("theirs", "vm", body).result()
    return dict(created.as_dict()["properties"])


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"securityProfile": {"securityType": "Standard"}}, "BadRequest", "UseStandardSecurityType"),
        ({"size": CONFIDENTIAL}, "BadRequest", "'<NULL>' security type"),
        ({"size": "Standard_ND96asr_v4", "securityProfile": TRUSTED}, "InvalidParameter", "'TrustedLaunch'"),
        ({"image": NGC}, "VMMarketplaceInvalidInput", "requires Plan information"),
        ({"image": NGC, "top": {"plan": {"name": "x"}}}, "MarketplacePurchaseEligibilityFailed", "Legal terms"),
        ({"image": "microsoft-dsvm:ubuntu-hpc:2404-gb:latest"}, "BadRequest", "CPU architectures"),
        ({"size": "Standard_NC6_Promo", "priority": "Spot"}, "BadRequest", "Hypervisor Generation"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_azures_words(
    ground: LoopbackAzure, changes: dict[str, Any], code: str, text: str
) -> None:
    with pytest.raises(HttpResponseError, match=text) as refused:
        put(ground, **changes)
    assert refused.value.error is not None
    assert refused.value.error.code == code
    assert ground.instances() == []


def test_a_promo_size_is_not_sold_as_spot(ground: LoopbackAzure) -> None:
    image = "Canonical:0001-com-ubuntu-server-jammy:22_04-lts:latest"
    with pytest.raises(HttpResponseError, match="AzureSpotIsNotSupportedForThisVMSize"):
        put(ground, size="Standard_NC6_Promo", image=image, priority="Spot")


def test_standard_is_accepted_where_the_subscription_has_the_feature(ground: LoopbackAzure) -> None:
    ground.set(features=["UseStandardSecurityType"])
    assert put(ground, securityProfile={"securityType": "Standard"})["securityProfile"] == {"securityType": "Standard"}


@pytest.mark.parametrize(
    ("size", "profile", "works"),
    [(T4, None, False), (T4, TRUSTED, True), ("Standard_ND96asr_v4", None, True)],
)
def test_secure_boot_by_default_hides_the_gpu_of_a_driver_that_is_not_signed(
    ground: LoopbackAzure, size: str, profile: dict[str, Any] | None, works: bool
) -> None:
    ground.set(features=[BY_DEFAULT])
    put(ground, size=size, image=GEN2, **({"securityProfile": profile} if profile else {}))
    assert [instance["gpu_works"] for instance in ground.instances()] == [works]


def test_without_the_feature_nothing_is_secured_that_did_not_ask_for_it(ground: LoopbackAzure) -> None:
    assert "securityProfile" not in put(ground)
    assert [instance["gpu_works"] for instance in ground.instances()] == [True]


def test_what_was_just_made_is_not_found_for_a_while(ground: LoopbackAzure) -> None:
    ground.set(reference_lag_s=60)
    with pytest.raises(HttpResponseError, match="ResourceGroupNotFound"):
        ground.groups.get("theirs")
    with pytest.raises(HttpResponseError):
        put(ground)
    ground.now = ground.now.replace(year=ground.now.year + 1)
    assert ground.groups.get("theirs").name == "theirs"
