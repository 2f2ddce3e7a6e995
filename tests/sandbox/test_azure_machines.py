"""Instances on the loopback ARM, through Microsoft's own clients: what a create makes and an end leaves."""

from datetime import UTC, datetime

import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from support.azure import LoopbackAzure, machine

TEN = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
UBUNTU_GEN2 = "Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2:latest"


def kinds(azure: LoopbackAzure) -> list[str]:
    return sorted(resource["type"].rpartition("/")[2] for resource in azure.resources())


def test_an_instance_comes_with_its_disk_interface_and_address_and_the_group_takes_all_of_it(
    azure: LoopbackAzure,
) -> None:
    machine_id = azure.launch(tags={"gpuctl-id": "inst-1"})

    vm = azure.compute.virtual_machines.get("theirs", "vm", expand="instanceView")
    assert [status.code for status in vm.instance_view.statuses] == [
        "ProvisioningState/succeeded",
        "PowerState/running",
    ]
    assert kinds(azure) == [
        "disks",
        "networkInterfaces",
        "publicIPAddresses",
        "resourceGroups",
        "virtualMachines",
        "virtualNetworks",
    ]
    [running] = azure.instances()
    assert (running["id"], running["state"], running["bills"]) == (machine_id, "running", True)
    assert (running["cloud"], running["region"], running["instance_type"]) == (
        "azure",
        "eastus",
        "Standard_NC4as_T4_v3",
    )
    assert running["tags"] == {"gpuctl-id": "inst-1"}

    azure.groups.begin_delete("theirs", force_deletion_types="Microsoft.Compute/virtualMachines").result()

    assert azure.resources() == []
    [ended] = azure.instances()
    assert (ended["state"], ended["bills"], ended["ended_at"] is not None) == ("terminated", False, True)


@pytest.mark.parametrize("delete", ["Delete", "Detach", None])
def test_a_deletion_takes_along_what_its_delete_option_says_and_nothing_else(
    azure: LoopbackAzure, delete: str | None
) -> None:
    azure.launch(delete=delete)

    azure.compute.virtual_machines.begin_delete("theirs", "vm").result()

    left = ["resourceGroups", "virtualNetworks"]
    assert kinds(azure) == (left if delete == "Delete" else ["disks", "networkInterfaces", "publicIPAddresses", *left])
    assert azure.instances()[0]["state"] == "terminated"


def test_deleting_what_is_gone_is_no_content(azure: LoopbackAzure) -> None:
    azure.group()
    path = f"/subscriptions/{azure.subscription}/resourceGroups/theirs/providers"

    assert azure.raw("DELETE", f"{path}/Microsoft.Compute/virtualMachines/none?api-version=2025-04-01")[0] == 204
    with pytest.raises(ResourceNotFoundError, match="ResourceNotFound"):
        azure.compute.virtual_machines.get("theirs", "none")
    with pytest.raises(ResourceNotFoundError, match="ResourceGroupNotFound"):
        azure.compute.virtual_machines.get("nobodys", "none")


def test_a_create_is_under_way_until_its_operation_says_otherwise(azure: LoopbackAzure) -> None:
    azure.set(polls=2)
    azure.group()
    azure.vnet("theirs")
    body = machine("eastus", subnet=azure.subnet_id("theirs"))
    path = f"/subscriptions/{azure.subscription}/resourceGroups/theirs/providers/Microsoft.Compute/virtualMachines/vm"

    status, headers, created = azure.raw("PUT", f"{path}?api-version=2024-07-01", body)
    polled = headers["azure-asyncoperation"].removeprefix(azure.url)
    observed = [azure.raw("GET", polled)[2]["status"] for _ in range(3)]

    assert (status, created["properties"]["provisioningState"]) == (201, "Creating")
    assert observed == ["InProgress", "InProgress", "Succeeded"]
    assert azure.compute.virtual_machines.get("theirs", "vm").properties.provisioning_state == "Succeeded"


def test_the_same_put_again_is_the_same_instance_and_another_is_refused(azure: LoopbackAzure) -> None:
    azure.launch(tags={"a": "1"})
    before = azure.compute.virtual_machines.get("theirs", "vm")
    subnet = azure.subnet_id("theirs")

    azure.compute.virtual_machines.begin_create_or_update(
        "theirs", "vm", machine("eastus", subnet=subnet, tags={"b": "2"})
    ).result()

    again = azure.compute.virtual_machines.get("theirs", "vm")
    assert (again.vm_id, again.tags) == (before.vm_id, {"b": "2"})
    assert len(azure.instances()) == 1 and len(azure.resources("networkInterfaces")) == 1
    other_name = machine("eastus", subnet=subnet)
    other_name["properties"]["osProfile"]["computerName"] = "other"
    for body in (
        machine("eastus", subnet=subnet, image=UBUNTU_GEN2),
        machine("eastus", subnet=subnet, priority="Spot"),
        other_name,
    ):
        with pytest.raises(ResourceExistsError) as refused:
            azure.compute.virtual_machines.begin_create_or_update("theirs", "vm", body)
        assert refused.value.error is not None
        assert (refused.value.status_code, refused.value.error.code) == (409, "PropertyChangeNotAllowed")
    with pytest.raises(ResourceExistsError, match="InvalidResourceLocation"):
        azure.compute.virtual_machines.begin_create_or_update("theirs", "vm", machine("westus2", subnet=subnet))


def test_instances_are_listed_over_pages(azure: LoopbackAzure) -> None:
    for name in ("a", "b", "c"):
        azure.launch(name, group=f"group-{name}", region="eastus" if name == "a" else "westus2")
    azure.set(page_size=2)

    everywhere = list(azure.compute.virtual_machines.list_all())
    how = list(azure.compute.virtual_machines.list_all(status_only="true"))

    assert [item.name for item in everywhere] == ["a", "b", "c"]
    assert "/resourceGroups/GROUP-A/" in everywhere[0].id
    assert [item.instance_view for item in everywhere] == [None, None, None]
    assert [item.instance_view.statuses[1].code for item in how] == ["PowerState/running"] * 3


def test_tags_are_changed_as_a_whole(azure: LoopbackAzure) -> None:
    azure.launch(tags={"a": "1"})

    azure.compute.virtual_machines.begin_update("theirs", "vm", {"tags": {"b": "2"}}).result()

    assert azure.compute.virtual_machines.get("theirs", "vm").tags == {"b": "2"}
    assert azure.resources("disks")[0]["tags"] == {"a": "1"}


def test_only_deallocation_ends_the_bill(azure: LoopbackAzure) -> None:
    azure.now = TEN
    machine_id, instances = azure.launch(), azure.compute.virtual_machines

    def state() -> tuple[str, bool, float]:
        [instance] = azure.instances()
        return instance["state"], instance["bills"], instance["billed_s"]

    azure.later(minutes=1)
    azure.shut_down(machine_id)
    azure.later(minutes=1)
    assert state() == ("stopped", True, 120)
    view = instances.get("theirs", "vm", expand="instanceView").instance_view
    assert [status.code for status in view.statuses] == ["ProvisioningState/succeeded", "PowerState/stopped"]
    instances.begin_deallocate("theirs", "vm").result()
    azure.later(minutes=1)
    assert state() == ("deallocated", False, 120)
    assert [resource["type"].rpartition("/")[2] for resource in azure.resources() if resource["bills"]] == [
        "disks",
        "publicIPAddresses",
    ]


def test_a_spot_instance_is_interrupted_as_its_policy_requires(azure: LoopbackAzure) -> None:
    spot = {"priority": "Spot", "billingProfile": {"maxPrice": -1}}
    remaining = azure.launch("kept", **spot, evictionPolicy="Deallocate")
    lost = azure.launch("lost", delete=None, **spot, evictionPolicy="Delete")
    regular = azure.launch("regular")

    azure.interrupt(remaining)
    azure.interrupt(lost)
    with pytest.raises(AssertionError, match="404"):
        azure.interrupt(regular)

    states = {vm["id"].rpartition("/")[2]: vm["state"] for vm in azure.instances()}
    assert states == {"kept": "deallocated", "lost": "terminated", "regular": "running"}
    assert len(azure.resources("disks")) == 3
    with pytest.raises(ResourceNotFoundError):
        azure.compute.virtual_machines.get("theirs", "lost")
