"""Machines on the loopback ARM, through Microsoft's own clients: what a create makes and an end leaves."""

from support.azure import LoopbackAzure


def kinds(azure: LoopbackAzure) -> list[str]:
    return sorted(one["type"].rpartition("/")[2] for one in azure.resources())


def test_a_machine_comes_with_its_disk_interface_and_address_and_the_group_takes_all_of_it(
    azure: LoopbackAzure,
) -> None:
    machine_id = azure.launch(tags={"gpuctl-id": "inst-1"})

    machine = azure.compute.virtual_machines.get("theirs", "vm", expand="instanceView")
    assert [status.code for status in machine.instance_view.statuses] == [
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
    [running] = azure.machines()
    assert (running["id"], running["state"], running["bills"]) == (machine_id, "running", True)
    assert (running["cloud"], running["region"], running["instance_type"]) == (
        "azure",
        "eastus",
        "Standard_NC4as_T4_v3",
    )
    assert running["tags"] == {"gpuctl-id": "inst-1"}

    azure.groups.begin_delete("theirs", force_deletion_types="Microsoft.Compute/virtualMachines").result()

    assert azure.resources() == []
    [ended] = azure.machines()
    assert (ended["state"], ended["bills"], ended["ended_at"] is not None) == ("terminated", False, True)
