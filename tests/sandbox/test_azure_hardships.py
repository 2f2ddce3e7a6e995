"""What can go wrong on the loopback ARM: quotas, sold out sizes, failed allocations, throttling, lost operations."""

from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from support.azure import LoopbackAzure, machine

T4 = "Standard_NC4as_T4_v3"
MACHINES = "Microsoft.Compute/virtualMachines"


def code(refused: pytest.ExceptionInfo[HttpResponseError]) -> str:
    assert refused.value.error is not None
    return str(refused.value.error.code)


def begin(azure: LoopbackAzure, name: str = "vm", **changes: Any) -> Any:
    azure.group()
    azure.vnet("theirs")
    body = machine("eastus", subnet=azure.subnet_id("theirs"), name=name, **changes)
    return azure.compute.virtual_machines.begin_create_or_update("theirs", name, body)


@pytest.mark.parametrize(
    ("quota", "spot", "words"),
    [
        ("Standard NCASv3_T4 Family", {}, "approved Standard NCASv3_T4 Family Cores quota"),
        ("cores", {}, "approved Total Regional Cores quota"),
        ("lowPriorityCores", {"priority": "Spot"}, "approved LowPriorityCores quota"),
    ],
)
def test_a_quota_is_counted_shown_and_enforced(
    azure: LoopbackAzure, quota: str, spot: dict[str, str], words: str
) -> None:
    azure.set(quotas={"eastus": {quota: 7}})
    begin(azure, "first", **spot).result()

    with pytest.raises(ResourceExistsError) as refused:
        begin(azure, "second", **spot)

    assert code(refused) == "OperationNotAllowed"
    assert words in str(refused.value)
    assert "Current Limit: 7, Current Usage: 4, Additional Required: 4, (Minimum) New Limit Required: 8" in str(
        refused.value
    )
    [usage] = [item for item in azure.compute.usage.list("eastus") if item.name.value == quota]
    assert (usage.current_value, usage.limit) == (4, 7)
    azure.launch("elsewhere", group="west", region="westus2", **spot)


def test_a_size_this_subscription_may_not_have_is_listed_so_and_refused(azure: LoopbackAzure) -> None:
    azure.set(restrictions={"eastus": {T4: "NotAvailableForSubscription"}})

    with pytest.raises(ResourceExistsError) as refused:
        begin(azure)

    assert (refused.value.status_code, code(refused)) == (409, "SkuNotAvailable")
    assert azure.instances() == []
    shown = {item.name: item for item in azure.compute.resource_skus.list(filter="location eq 'eastus'")}
    assert [restriction.reason_code for restriction in shown[T4].restrictions] == ["NotAvailableForSubscription"]
    assert shown["Standard_NC6"].restrictions == []
    elsewhere = {item.name: item for item in azure.compute.resource_skus.list(filter="location eq 'westus2'")}
    assert elsewhere[T4].restrictions == []


def test_sizes_say_what_decides_about_images_and_disks(azure: LoopbackAzure) -> None:
    shown = {item.name: item for item in azure.compute.resource_skus.list(filter="location eq 'eastus'")}

    def capabilities(name: str) -> dict[str, str]:
        return {capability.name: capability.value for capability in shown[name].capabilities}

    assert (shown[T4].family, shown[T4].resource_type) == ("Standard NCASv3_T4 Family", "virtualMachines")
    assert capabilities("Standard_NC6") | {
        "HyperVGenerations": "V1",
        "PremiumIO": "False",
        "GPUs": "1",
    } == capabilities("Standard_NC6")
    assert capabilities(T4) | {"HyperVGenerations": "V1,V2", "PremiumIO": "True"} == capabilities(T4)


def test_a_size_can_be_sold_out_without_saying_so_beforehand(azure: LoopbackAzure) -> None:
    azure.set(sold_out={"*": [T4]})

    with pytest.raises(ResourceExistsError, match="SkuNotAvailable"):
        begin(azure)


@pytest.mark.parametrize("failure", ["AllocationFailed", "ZonalAllocationFailed", "OverconstrainedAllocationRequest"])
def test_a_failed_allocation_comes_through_the_operation_and_leaves_the_parts(
    azure: LoopbackAzure, failure: str
) -> None:
    azure.break_next(failure)

    with pytest.raises(HttpResponseError) as failed:
        begin(azure).result()

    assert code(failed) == failure
    view = azure.compute.virtual_machines.get("theirs", "vm", expand="instanceView")
    assert view.properties.provisioning_state == "Failed"
    assert [status.code for status in view.instance_view.statuses] == [f"ProvisioningState/failed/{failure}"]
    [instance] = azure.instances()
    assert (instance["state"], instance["bills"]) == ("failed", False)
    assert [len(azure.resources(kind)) for kind in ("disks", "networkInterfaces", "publicIPAddresses")] == [1, 1, 1]

    begin(azure).result()

    assert [vm["state"] for vm in azure.instances()] == ["running"]
    assert len(azure.resources("disks")) == 1


def test_an_instance_whose_system_did_not_come_up_is_failed_and_bills(azure: LoopbackAzure) -> None:
    azure.break_next("OSProvisioningTimedOut")

    with pytest.raises(HttpResponseError, match="OSProvisioningTimedOut"):
        begin(azure).result()

    [instance] = azure.instances()
    assert (instance["state"], instance["bills"]) == ("running", True)
    assert azure.compute.virtual_machines.get("theirs", "vm").properties.provisioning_state == "Failed"


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        ("TooManyRequests", 429, "TooManyRequests"),
        ("OperationNotAllowed", 429, "OperationNotAllowed"),
        ("SubscriptionRequestsThrottled", 429, "SubscriptionRequestsThrottled"),
        ("AuthorizationFailed", 403, "AuthorizationFailed"),
        ("ExpiredAuthenticationToken", 401, "ExpiredAuthenticationToken"),
        ("ScopeLocked", 409, "ScopeLocked"),
        ("InternalServerError", 500, "InternalServerError"),
        ("Whatever", 400, "Whatever"),
    ],
)
def test_a_call_can_be_set_up_to_be_refused_once(azure: LoopbackAzure, fault: str, status: int, text: str) -> None:
    azure.group()
    azure.break_next(fault, method="GET", type="Microsoft.Resources/resourceGroups", retry_after=None)
    path = f"/subscriptions/{azure.subscription}/resourcegroups/theirs?api-version=2025-04-01"

    refused = azure.raw("GET", path)

    assert (refused[0], refused[2]["error"]["code"]) == (status, text)
    assert ("retry-after" in refused[1]) is (status == 429)
    assert azure.raw("GET", path)[0] == 200


def test_a_fault_spares_the_calls_it_does_not_mean(azure: LoopbackAzure) -> None:
    azure.break_next("AuthorizationFailed", method="PUT", type=MACHINES, path="/second", times=2, skip=1)

    begin(azure, "first").result()
    begin(azure, "second").result()
    azure.compute.virtual_machines.begin_delete("theirs", "second").result()
    with pytest.raises(HttpResponseError, match=f"perform action '{MACHINES}/write'"):
        begin(azure, "second")


def test_an_operation_can_be_lost_while_its_work_is_done(azure: LoopbackAzure) -> None:
    azure.break_next("LostOperation", type=MACHINES)

    with pytest.raises(HttpResponseError, match="was not found"):
        begin(azure).result()

    assert [vm["state"] for vm in azure.instances()] == ["running"]


def test_an_operation_can_get_stuck_until_it_is_finished_by_hand(azure: LoopbackAzure) -> None:
    azure.break_next("StuckOperation", type=MACHINES)

    poller = begin(azure)

    for _ in range(3):
        assert azure.compute.virtual_machines.get("theirs", "vm").properties.provisioning_state == "Creating"
    azure.finish()
    assert poller.result()["properties"]["provisioningState"] == "Succeeded"


def test_an_unregistered_provider_refuses_until_it_is_registered(azure: LoopbackAzure) -> None:
    azure.set(unregistered=["Microsoft.Compute"], registering=2)
    path = f"/subscriptions/{azure.subscription}/providers/Microsoft.Compute"
    version = "?api-version=2025-04-01"

    refused = azure.raw("GET", f"{path}/virtualMachines{version}")
    before = azure.raw("GET", f"{path}{version}")[2]["registrationState"]
    requested = azure.raw("POST", f"{path}/register{version}")[2]["registrationState"]

    assert (refused[0], refused[2]["error"]["code"]) == (409, "MissingSubscriptionRegistration")
    assert (before, requested) == ("NotRegistered", "Registering")
    looks = [azure.raw("GET", f"{path}{version}")[2]["registrationState"] for _ in range(3)]
    assert looks == ["Registering", "Registering", "Registered"]
    assert azure.raw("GET", f"{path}/virtualMachines{version}")[0] == 200


def test_a_new_subscription_is_registered_for_resources_alone(azure: LoopbackAzure) -> None:
    azure.set(registered=[])
    place = f"/subscriptions/{azure.subscription}/providers"
    providers = [
        azure.raw("GET", f"{place}/Microsoft.{name}?api-version=2021-04-01")[2]
        for name in ("Resources", "Compute", "Network", "DevTestLab")
    ]

    assert [item["namespace"] for item in providers if item["registrationState"] == "Registered"] == [
        "Microsoft.Resources"
    ]
    assert azure.raw("GET", f"/subscriptions/{azure.subscription}/resourcegroups?api-version=2021-04-01")[0] == 200


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/subscriptions/{s}/resourcegroups", 400, "MissingApiVersionParameter"),
        ("/subscriptions/{s}/resourcegroups?api-version=latest", 400, "InvalidApiVersionParameter"),
        ("/subscriptions/{s}/resourcegroups?api-version=2015-01-01", 400, "InvalidApiVersionParameter"),
        ("/subscriptions/nobodys/resourcegroups?api-version=2025-04-01", 404, "SubscriptionNotFound"),
        ("/subscriptions/{s}/providers/Microsoft.Storage/x?api-version=2025-04-01", 404, "InvalidResourceType"),
        ("/subscriptions/{s}/providers/Microsoft.Network/vpns?api-version=2025-04-01", 404, "InvalidResourceType"),
        ("/providers/Microsoft.Compute/operations?api-version=2025-04-01", 404, "InvalidResourceType"),
    ],
)
def test_a_path_or_version_that_means_nothing_is_refused(
    azure: LoopbackAzure, path: str, status: int, text: str
) -> None:
    answer = azure.raw("GET", path.replace("{s}", azure.subscription))

    assert (answer[0], answer[2]["error"]["code"]) == (status, text)


def test_permissions_of_a_login_are_listed_and_enforced(azure: LoopbackAzure) -> None:
    azure.set(permissions=[{"actions": ["*/read", "Microsoft.Resources/*"], "notActions": ["*/delete"]}])
    path = f"/subscriptions/{azure.subscription}/providers/Microsoft.Authorization/permissions?api-version=2022-04-01"

    azure.group()
    with pytest.raises(HttpResponseError, match="perform action 'Microsoft.Resources/resourceGroups/delete'"):
        azure.groups.begin_delete("theirs")
    with pytest.raises(HttpResponseError, match="perform action 'Microsoft.Network/virtualNetworks/write'"):
        azure.vnet("theirs")

    [granted] = azure.raw("GET", path)[2]["value"]
    assert granted["notActions"] == ["*/delete"]


def test_a_setting_or_fault_of_no_meaning_is_reported(azure: LoopbackAzure) -> None:
    with pytest.raises(AssertionError, match="unknown: speed"):
        azure.set(speed=1)
    with pytest.raises(AssertionError, match="page_size is a int"):
        azure.set(page_size="two")
    with pytest.raises(AssertionError, match="unexpected keyword"):
        azure.break_next("AllocationFailed", when="now")


def test_the_account_is_reported(azure: LoopbackAzure) -> None:
    azure.set(subscriptions={"33333333-3333-4333-8333-333333333333": "44444444-4444-4444-8444-444444444444"})
    version = "?api-version=2022-12-01"

    instance = azure.raw("GET", f"/subscriptions/{azure.subscription}{version}")[2]
    every = azure.raw("GET", f"/subscriptions{version}")[2]["value"]
    regions = azure.raw("GET", f"/subscriptions/{azure.subscription}/locations{version}")[2]["value"]

    assert (instance["tenantId"], instance["displayName"], instance["state"]) == (
        "22222222-2222-4222-8222-222222222222",
        "gpuctl sandbox",
        "Enabled",
    )
    assert len(every) == 2
    assert {"eastus", "westeurope", "swedencentral"} <= {region["name"] for region in regions}
