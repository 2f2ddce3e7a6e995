"""What Azure refuses of an instance, a network or an address before it makes anything, and how it says so."""

from collections.abc import Callable
from typing import Any

import pytest
from support.azure import GEN1, GEN2, LoopbackAzure, machine

Body = dict[str, Any]
NC6 = "Standard_NC6"
T4 = "Standard_NC4as_T4_v3"


def put(azure: LoopbackAzure, body: Body, name: str = "vm") -> tuple[int, Body]:
    path = f"/subscriptions/{azure.subscription}/resourceGroups/theirs/providers/Microsoft.Compute/virtualMachines"
    status, _, reply = azure.raw("PUT", f"{path}/{name}?api-version=2024-07-01", body)
    return status, reply


@pytest.fixture
def ground(azure: LoopbackAzure) -> LoopbackAzure:
    """A group with a network in it."""
    azure.group()
    azure.vnet("theirs")
    return azure


def build(azure: LoopbackAzure, **changes: Any) -> Body:
    return machine("eastus", subnet=azure.subnet_id("theirs"), **changes)


@pytest.mark.parametrize(
    ("changes", "status", "code", "target"),
    [
        ({"size": "Standard_NC5"}, 400, "InvalidParameter", "vmSize"),
        ({"size": NC6}, 400, "BadRequest", None),
        (
            {"size": NC6, "image": GEN1, "storage": "Premium_LRS"},
            400,
            "InvalidParameter",
            "osDisk.managedDisk.storageAccountType",
        ),
        ({"size": "Standard_NC40ads_H100_v5", "image": GEN1}, 400, "BadRequest", None),
        ({"size": "Standard_ND128isr_NDR_GB200_v6"}, 400, "BadRequest", None),
        ({"image": "microsoft-dsvm:ubuntu-hpc:2299:latest"}, 404, "PlatformImageNotFound", "imageReference"),
        ({"image": "microsoft-dsvm:ubuntu-hpc:2204:1.2.3"}, 404, "PlatformImageNotFound", "imageReference"),
        ({"disk_gb": 30}, 409, "OperationNotAllowed", "osDisk.diskSizeGB"),
        ({"disk_gb": 4096}, 400, "InvalidParameter", "osDisk.diskSizeGB"),
        ({"storage": "UltraSSD_LRS"}, 400, "InvalidParameter", "osDisk.managedDisk.storageAccountType"),
        ({"storage": "Fast_LRS"}, 400, "BadRequest", "properties.storageProfile.osDisk.managedDisk.storageAccountType"),
        ({"securityProfile": {"encryptionAtHost": True}}, 400, "InvalidParameter", "securityProfile.encryptionAtHost"),
        ({"evictionPolicy": "Delete"}, 400, "EvictionPolicyCanBeSetOnlyOnAzureSpotVirtualMachines", None),
        ({"billingProfile": {"maxPrice": 0.2}}, 400, "MaxPriceIsSupportedOnlyForAzureSpotVirtualMachines", None),
        ({"priority": "Spot", "billingProfile": {"maxPrice": 0}}, 400, "MaxPriceValueInvalid", None),
        ({"userdata": "x"}, 400, "BadRequest", "properties.userdata"),
        ({"userData": "not base64!"}, 400, "InvalidParameter", "userData"),
        ({"hardwareProfile": {"vmSize": T4, "vmsize": T4}}, 400, "BadRequest", "properties.hardwareProfile.vmsize"),
    ],
)
def test_an_instance_that_does_not_fit_together_is_refused_and_leaves_nothing(
    ground: LoopbackAzure, changes: Body, status: int, code: str, target: str | None
) -> None:
    refused = put(ground, build(ground, **changes))

    assert (refused[0], refused[1]["error"]["code"], refused[1]["error"].get("target")) == (status, code, target)
    assert refused[1]["error"]["message"]
    assert [resource["type"].rpartition("/")[2] for resource in ground.resources()] == [
        "resourceGroups",
        "virtualNetworks",
    ]
    assert ground.instances() == []


def interface(body: Body) -> Body:
    request: Body = body["properties"]["networkProfile"]["networkInterfaceConfigurations"][0]["properties"]
    return request


def address(body: Body) -> Body:
    request: Body = interface(body)["ipConfigurations"][0]["properties"]["publicIPAddressConfiguration"]
    return request


def system(body: Body) -> Body:
    request: Body = body["properties"]["osProfile"]
    return request


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda body: address(body).pop("sku"), "IPv4BasicSkuPublicIpCountLimitReached"),
        (lambda body: address(body).update(sku={"name": "Basic"}), "IPv4BasicSkuPublicIpCountLimitReached"),
        (lambda body: address(body).update(publicIPAllocationMethod="Static"), "BadRequest"),
        (
            lambda body: address(body)["properties"].pop("publicIPAllocationMethod"),
            "StandardSkuPublicIPAddressesMustBeStatic",
        ),
        (lambda body: interface(body).update(enableFastNetworking=True), "BadRequest"),
        (lambda body: body["properties"]["networkProfile"].pop("networkApiVersion"), "InvalidParameter"),
        (lambda body: body["properties"]["networkProfile"].update(networkApiVersion="2023-01-01"), "BadRequest"),
        (
            lambda body: interface(body)["ipConfigurations"][0]["properties"].update(subnet={"id": "/none"}),
            "InvalidResourceReference",
        ),
        (lambda body: interface(body).update(networkSecurityGroup={"id": "/none"}), "InvalidResourceReference"),
        (lambda body: body["properties"]["networkProfile"].pop("networkInterfaceConfigurations"), "InvalidParameter"),
        (lambda body: system(body).update(adminUsername="admin"), "InvalidParameter"),
        (lambda body: system(body).update(customData="#cloud-config"), "InvalidParameter"),
        (lambda body: system(body)["linuxConfiguration"].pop("ssh"), "InvalidParameter"),
        (lambda body: system(body)["linuxConfiguration"].pop("disablePasswordAuthentication"), "InvalidParameter"),
        (
            lambda body: system(body)["linuxConfiguration"]["ssh"]["publicKeys"][0].update(path="/root/.ssh/x"),
            "InvalidParameter",
        ),
        (
            lambda body: system(body)["linuxConfiguration"]["ssh"]["publicKeys"][0].update(keyData="junk"),
            "InvalidParameter",
        ),
        (lambda body: body["properties"].pop("osProfile"), "InvalidParameter"),
        (lambda body: body["properties"].pop("storageProfile"), "InvalidParameter"),
        (lambda body: body.update(location="atlantis"), "LocationNotAvailableForResourceType"),
        (lambda body: body.update(sku={"name": T4}), "BadRequest"),
    ],
)
def test_a_body_that_azure_would_not_take_is_refused(
    ground: LoopbackAzure, spoil: Callable[[Body], object], code: str
) -> None:
    body = build(ground)
    spoil(body)

    status, reply = put(ground, body)

    assert (status, reply["error"]["code"]) == (400, code)
    assert ground.instances() == []


def test_what_fits_is_taken(ground: LoopbackAzure) -> None:
    ground.set(features=["EncryptionAtHost"])

    created = [
        put(ground, build(ground, name="gen1", size=NC6, image=GEN1, storage="StandardSSD_LRS"), "gen1"),
        put(ground, build(ground, name="gen2", image=GEN2, storage="Premium_LRS", disk_gb=None), "gen2"),
        put(ground, build(ground, name="sealed", securityProfile={"encryptionAtHost": True}), "sealed"),
        put(ground, build(ground, name="spot", priority="Spot", billingProfile={"maxPrice": 0.2}), "spot"),
    ]

    assert [status for status, _ in created] == [201] * 4
    gen1, gen2, _, spot = (text["properties"] for _, text in created)
    assert (gen1["storageProfile"]["osDisk"]["diskSizeGB"], gen2["storageProfile"]["osDisk"]["diskSizeGB"]) == (100, 64)
    assert (spot["evictionPolicy"], spot["billingProfile"]) == ("Deallocate", {"maxPrice": 0.2})
    assert gen2["storageProfile"]["imageReference"]["exactVersion"] == "22.04.2026092301"


def test_an_instance_goes_into_one_zone_that_its_size_is_sold_in(ground: LoopbackAzure) -> None:
    placed = put(ground, build(ground, name="placed") | {"zones": ["2"]}, "placed")
    nowhere = put(ground, build(ground) | {"zones": ["4"]})
    old = put(ground, build(ground, size=NC6, image=GEN1) | {"zones": ["1"]})

    assert (placed[0], placed[1]["zones"]) == (201, ["2"])
    assert [text["error"]["code"] for _, text in (nowhere, old)] == ["AvailabilityZoneNotSupported"] * 2


def test_a_disk_name_that_is_taken_is_a_conflict(ground: LoopbackAzure) -> None:
    ground.disk("root")
    body = build(ground)
    body["properties"]["storageProfile"]["osDisk"]["name"] = "root"

    status, reply = put(ground, body)

    assert (status, reply["error"]["code"]) == (409, "ConflictingUserInput")


def test_a_spot_price_under_the_market_is_refused(ground: LoopbackAzure) -> None:
    ground.set(spot_prices={T4: 0.2})

    refused = put(ground, build(ground, priority="Spot", billingProfile={"maxPrice": 0.1}))
    interrupted = put(ground, build(ground, priority="Spot", billingProfile={"maxPrice": 0.2}))

    assert (refused[0], refused[1]["error"]["code"]) == (409, "SpotPriceGreaterThanProvidedMaxPrice")
    assert interrupted[0] == 201


RULE = {
    "protocol": "Tcp",
    "access": "Allow",
    "priority": 100,
    "direction": "Inbound",
    "sourceAddressPrefix": "198.51.100.7/32",
    "sourcePortRange": "*",
    "destinationAddressPrefix": "*",
    "destinationPortRange": "22",
}


def security_group(azure: LoopbackAzure, *rules: Body) -> tuple[int, Body]:
    path = f"/subscriptions/{azure.subscription}/resourceGroups/theirs/providers/Microsoft.Network"
    named = [{"name": f"rule-{number}", "properties": rule} for number, rule in enumerate(rules)]
    body = {"location": "eastus", "properties": {"securityRules": named}}
    status, _, reply = azure.raw("PUT", f"{path}/networkSecurityGroups/rules?api-version=2024-05-01", body)
    return status, reply


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"priority": 99}, "SecurityRuleInvalidPriority"),
        ({"sourceAddressPrefix": "198.51.100.7/24"}, "SecurityRuleInvalidAddressPrefix"),
        ({"destinationPortRange": "22-99999"}, "SecurityRuleInvalidPortRange"),
        ({"protocol": "ssh"}, "InvalidRequestFormat"),
        ({"ports": ["22"]}, "InvalidRequestFormat"),
        ({"destinationPortRange": None}, "SecurityRuleParameterNotSpecified"),
    ],
)
def test_a_security_rule_that_makes_no_sense_is_refused(ground: LoopbackAzure, change: Body, code: str) -> None:
    status, reply = security_group(ground, RULE | change)

    assert (status, reply["error"]["code"]) == (400, code)
    assert ground.resources("networkSecurityGroups") == []


def test_two_rules_of_one_priority_are_refused_and_one_is_taken(ground: LoopbackAzure) -> None:
    twice = security_group(ground, RULE, RULE)
    once = security_group(ground, RULE)

    assert twice[1]["error"]["code"] == "SecurityRuleConflict"
    assert once[0] == 201
    assert (
        ground.network.network_security_groups.get("theirs", "rules").security_rules[0].destination_port_range == "22"
    )


@pytest.mark.parametrize(
    ("prefixes", "code"),
    [
        (["10.1.0.0/24"], "NetcfgSubnetRangeOutsideVnet"),
        (["10.0.1.0/24", "10.0.1.128/25"], "NetcfgSubnetRangesOverlap"),
        (["10.0.1.0/30"], "NetcfgInvalidSubnet"),
        (["10.0.1.7/24"], "InvalidCIDRNotation"),
    ],
)
def test_subnets_that_do_not_fit_are_refused(azure: LoopbackAzure, prefixes: list[str], code: str) -> None:
    azure.group()
    path = f"/subscriptions/{azure.subscription}/resourceGroups/theirs/providers/Microsoft.Network/virtualNetworks"
    subnets = [{"name": f"s{n}", "properties": {"addressPrefix": prefix}} for n, prefix in enumerate(prefixes)]
    body = {
        "location": "eastus",
        "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": subnets},
    }

    status, _, reply = azure.raw("PUT", f"{path}/net?api-version=2024-05-01", body)

    assert (status, reply["error"]["code"]) == (400, code)
