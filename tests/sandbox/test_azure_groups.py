"""Resource groups on the loopback ARM: what a PUT keeps and wipes, listings by tag, and what a deletion takes along."""

from datetime import UTC, datetime

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from support.azure import LoopbackAzure, machine

TEN = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
FORCED = "Microsoft.Compute/virtualMachines"


def refusal(error: HttpResponseError) -> tuple[int, str]:
    assert error.error is not None
    return error.status_code, error.error.code


def test_a_group_is_made_found_and_tagged(azure: LoopbackAzure) -> None:
    created = azure.groups.create_or_update("mine", {"location": "East US", "tags": {"a": "1"}})
    patched = azure.groups.update("mine", {"tags": {"b": "2"}})

    assert (created.location, created.properties.provisioning_state, created.tags) == (
        "eastus",
        "Succeeded",
        {"a": "1"},
    )
    assert patched.tags == azure.groups.get("MINE").tags == {"b": "2"}


def test_a_put_on_a_group_that_is_there_wipes_the_tags_it_does_not_name(azure: LoopbackAzure) -> None:
    azure.group("theirs", tags={"owner": "somebody"})

    azure.groups.create_or_update("theirs", {"location": "eastus"})

    assert azure.groups.get("theirs").tags is None


def test_a_group_does_not_move(azure: LoopbackAzure) -> None:
    azure.group("mine", "eastus")

    with pytest.raises(ResourceExistsError) as refused:
        azure.group("mine", "westus2")

    assert refusal(refused.value) == (409, "InvalidResourceGroupLocation")


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("mine.", {"location": "eastus"}, "InvalidResourceGroup"),
        ("mine", {"location": "atlantis"}, "LocationNotAvailableForResourceGroup"),
        ("mine", {"location": "eastus", "tag": {"a": "1"}}, "InvalidRequestContent"),
        ("mine", {"location": "eastus", "tags": {"a": 1}}, "InvalidRequestContent"),
        ("mine", {"location": "eastus", "tags": {"a/b": "1"}}, "InvalidTagNameCharacters"),
        ("mine", {"location": "eastus", "tags": {"a": "x" * 257}}, "InvalidTagNameOrValue"),
        ("mine", {"location": "eastus", "tags": {str(n): "" for n in range(51)}}, "InvalidTagCount"),
        ("mine", {"tags": {}}, "InvalidParameter"),
    ],
)
def test_a_group_that_arm_would_not_take_is_refused(
    azure: LoopbackAzure, name: str, body: dict[str, object], code: str
) -> None:
    status, _, reply = azure.raw(
        "PUT", f"/subscriptions/{azure.subscription}/resourcegroups/{name}?api-version=2025-04-01", body
    )

    assert (status, reply["error"]["code"]) == (400, code)
    assert azure.resources() == []


def test_groups_are_listed_by_tag_over_pages(azure: LoopbackAzure) -> None:
    azure.set(page_size=2)
    for number in range(5):
        azure.group(f"mine-{number}", tags={"gpuctl-state": "a" if number else "b"})
    azure.group("theirs")

    by_name = list(azure.groups.list(filter="tagName eq 'GPUCTL-STATE'"))
    by_value = list(azure.groups.list(filter="tagName eq 'gpuctl-state' and tagValue eq 'a'"))

    assert [item.name for item in by_name] == [f"mine-{number}" for number in range(5)]
    assert len(by_value) == 4
    assert len(list(azure.groups.list())) == 6
    with pytest.raises(HttpResponseError, match="InvalidFilterInQueryString"):
        list(azure.groups.list(filter="startswith(name, 'mine')"))


def test_a_listing_can_be_set_up_to_lag_behind(azure: LoopbackAzure) -> None:
    azure.now = TEN
    azure.set(listing_lag_s=60)
    azure.group("mine", tags={"a": "1"})

    azure.later(seconds=59)
    early = list(azure.groups.list(filter="tagName eq 'a'"))
    azure.later(seconds=1)

    assert early == [] and azure.groups.get("mine").tags == {"a": "1"}
    assert [item.name for item in azure.groups.list(filter="tagName eq 'a'")] == ["mine"]


def test_what_lies_in_a_group_is_listed_with_its_times_and_tags(azure: LoopbackAzure) -> None:
    azure.launch(tags={"gpuctl-id": "inst-1"})

    shown = list(azure.resource_client.resources.list_by_resource_group("theirs", expand="createdTime,changedTime"))

    assert sorted(item.type.rpartition("/")[2] for item in shown) == [
        "disks",
        "networkInterfaces",
        "publicIPAddresses",
        "virtualMachines",
        "virtualNetworks",
    ]
    assert all(item.created_time is not None for item in shown)
    # The disk takes over the instance's tags; interface and address do not.
    assert {item.type.rpartition("/")[2] for item in shown if item.tags} == {"disks", "virtualMachines"}


def test_a_group_is_deleted_through_its_location_header_and_takes_no_writes_meanwhile(azure: LoopbackAzure) -> None:
    azure.launch()
    azure.set(polls=3)
    path = f"/subscriptions/{azure.subscription}/resourcegroups/theirs"

    status, headers, _ = azure.raw("DELETE", f"{path}?api-version=2025-04-01&forceDeletionTypes={FORCED}")

    assert status == 202
    assert "azure-asyncoperation" not in headers
    assert azure.groups.get("theirs").properties.provisioning_state == "Deleting"
    with pytest.raises(ResourceExistsError) as refused:
        azure.group("theirs")
    assert refusal(refused.value) == (409, "ResourceGroupBeingDeleted")
    polled = headers["location"].removeprefix(azure.url)
    assert [azure.raw("GET", polled)[0] for _ in range(3)] == [202, 200, 200]
    assert azure.resources() == []
    with pytest.raises(ResourceNotFoundError, match="ResourceGroupNotFound"):
        azure.groups.begin_delete("theirs")


def test_a_group_that_others_hang_on_is_not_emptied_of_what_they_use(azure: LoopbackAzure) -> None:
    azure.group("shared")
    azure.vnet("shared")
    azure.disk("loose", "shared")
    azure.group("theirs")
    place = f"/subscriptions/{azure.subscription}/resourceGroups/theirs/providers/Microsoft.Compute/virtualMachines/vm"
    body = machine("eastus", subnet=azure.subnet_id("shared"))
    assert azure.raw("PUT", f"{place}?api-version=2024-07-01", body)[0] == 201

    with pytest.raises(HttpResponseError) as refused:
        azure.groups.begin_delete("shared").result()

    assert refused.value.error is not None
    assert refused.value.error.code == "ResourceGroupDeletionBlocked"
    assert [resource["type"].rpartition("/")[2] for resource in azure.resources() if "/shared/" in resource["id"]] == [
        "virtualNetworks"
    ]
    assert azure.groups.get("shared").properties.provisioning_state == "Succeeded"


def test_a_deletion_can_be_set_up_to_fail_half_way(azure: LoopbackAzure) -> None:
    azure.launch()
    azure.break_next("ResourceGroupDeletionBlocked")

    with pytest.raises(HttpResponseError, match="ResourceGroupDeletionBlocked"):
        azure.groups.begin_delete("theirs", force_deletion_types=FORCED).result()

    assert azure.instances()[0]["state"] == "terminated"
    assert azure.resources("publicIPAddresses") != []
    azure.groups.begin_delete("theirs", force_deletion_types=FORCED).result()
    assert azure.resources() == []


def test_only_instances_can_be_deleted_by_force(azure: LoopbackAzure) -> None:
    azure.group()

    with pytest.raises(HttpResponseError, match="InvalidForceDeletionTypes"):
        azure.groups.begin_delete("theirs", force_deletion_types="Microsoft.Network/virtualNetworks")
