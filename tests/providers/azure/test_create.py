"""What Azure answers to a create, end to end: refusals of a region, things not known yet, keys that it refuses."""

import subprocess
from datetime import timedelta

import pytest
from support.azure import LoopbackAzure
from support.cli import Operator

T4 = "Standard_NC4as_T4_v3"
MACHINE, NSG = "Microsoft.Compute/virtualMachines", "Microsoft.Network/networkSecurityGroups"
ELSEWHERE = (
    "/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/theirs/providers/Microsoft.Network"
    "/virtualNetworks/none/subnets/none"
)
CLOSED = "Resource 'x' was disallowed by Azure: The selected region is currently not accepting new customers"


@pytest.mark.parametrize("kind", [NSG, MACHINE])
@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("RequestDisallowedByAzure", 403),
        ("RequestDisallowedByPolicy", 403),
        ("LocationNotAvailableForResourceType", 400),
    ],
)
def test_a_region_that_is_closed_to_the_subscription_is_left_for_the_next_one(
    operator: Operator, azure_cloud: LoopbackAzure, kind: str, code: str, status: int
) -> None:
    azure_cloud.break_next(code, method="PUT", type=kind, status=status, message=CLOSED)
    ran = operator.json("provision", T4, "--region", "eastus,westus2")
    assert ran.code == 0
    assert (ran.instance["region"], ran.instance["status"]) == ("westus2", "READY")
    assert [vm["region"] for vm in azure_cloud.instances()] == ["westus2"]


NO_SPOT = "Azure spot is not supported for this VM size"


@pytest.mark.parametrize(
    ("regions", "fallback", "location"),
    [("eastus,westus2", [], ("westus2", "spot")), ("eastus", ["--fallback", "on-demand"], ("eastus", "on-demand"))],
)
def test_a_size_that_a_region_does_not_sell_as_spot_leads_to_the_next_region_and_to_the_fallback(
    operator: Operator, azure_cloud: LoopbackAzure, regions: str, fallback: list[str], location: tuple[str, str]
) -> None:
    azure_cloud.break_next(
        "AzureSpotIsNotSupportedForThisVMSize", method="PUT", type=MACHINE, status=400, message=NO_SPOT
    )
    ran = operator.json("provision", T4, "--region", regions, "--spot", *fallback, "--yes")
    assert ran.code == 0, ran.err
    assert (ran.instance["region"], ran.instance["market"]) == location


def test_where_every_region_is_closed_azures_own_sentence_is_shown_and_nothing_is_left(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    azure_cloud.break_next("RequestDisallowedByAzure", method="PUT", type=NSG, status=403, message=CLOSED, times=-1)
    ran = operator.json("provision", T4, "--region", "eastus")
    assert ran.code == 4
    assert "not accepting new customers" in ran.json["error"]["message"]
    assert ran.json["error"]["hint"] == "Azure does not let this subscription use that region: add another `--region`"
    operator.run("reap")
    assert azure_cloud.resources() == []


@pytest.mark.parametrize("code", ["AnotherOperationInProgress", "RetryableError"])
def test_a_conflict_with_azures_own_work_passes(operator: Operator, azure_cloud: LoopbackAzure, code: str) -> None:
    azure_cloud.break_next(code, method="PUT", type=NSG, status=409)
    assert operator.json("provision", T4, "--region", "eastus").code == 0
    assert len(azure_cloud.instances()) == 1


@pytest.mark.parametrize("lag", [1, 4])
def test_what_was_just_created_and_is_not_found_yet_is_waited_for(
    operator: Operator, azure_cloud: LoopbackAzure, lag: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pause(_: object, span: timedelta) -> None:
        operator.clock.sleep(span)

    monkeypatch.setattr("gpuctl.providers.azure.client.AzureClients.pause", pause)
    azure_cloud.set(reference_lag_s=lag)
    ran = operator.json("provision", T4, "--region", "eastus")
    assert (ran.code, ran.instance["status"]) == (0, "READY")
    assert len(azure_cloud.instances()) == 1


def test_a_subnet_that_does_not_exist_is_refused_at_once(operator: Operator, azure_cloud: LoopbackAzure) -> None:
    ran = operator.json("provision", T4, "--region", "eastus", "--subnet", ELSEWHERE)
    assert ran.code == 1
    assert "InvalidResourceReference" in ran.json["error"]["message"]
    assert sum(call["action"] == f"PUT {MACHINE}" for call in azure_cloud.calls()) == 1


def test_an_unregistered_provider_is_named_in_the_hint(operator: Operator, azure_cloud: LoopbackAzure) -> None:
    message = (
        "The subscription is not registered to use namespace 'Microsoft.Network'. See https://aka.ms/rps-not-found"
    )
    azure_cloud.break_next(
        "MissingSubscriptionRegistration", method="PUT", type=NSG, status=409, message=message, times=-1
    )
    ran = operator.json("provision", T4, "--region", "eastus")
    assert "az provider register --namespace Microsoft.Network" in (ran.json["error"]["hint"] or "")


def test_a_lock_on_the_group_names_the_command(operator: Operator, azure_cloud: LoopbackAzure) -> None:
    operator.json("provision", T4, "--region", "eastus", "--name", "n")
    azure_cloud.break_next("ScopeLocked", method="DELETE", times=-1)
    assert "az lock list" in operator.run("terminate", "n", "--yes").err
    assert "az lock list" in operator.json("get", "n").instance["lastError"]


@pytest.mark.parametrize(
    ("words", "objection"),
    [(["-t", "ecdsa"], "no `ecdsa-sha2-nistp256` key"), (["-t", "rsa", "-b", "1024"], "no RSA key of 1024 bits")],
)
def test_a_key_that_azure_refuses_is_refused_before_anything_is_made(
    operator: Operator, azure_cloud: LoopbackAzure, words: list[str], objection: str
) -> None:
    key = operator.folder / "theirs"
    subprocess.run(["ssh-keygen", "-q", *words, "-N", "", "-f", str(key)], check=True)
    operator.environ["GPUCTL_SSH_PUBLIC_KEY"] = f"{key}.pub"
    ran = operator.json("provision", T4, "--region", "eastus")
    assert ran.code == 2
    assert objection in ran.json["error"]["message"]
    assert azure_cloud.resources() == []
