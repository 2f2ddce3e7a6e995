"""What an update of an instance may do on the loopback ARM, and what others do to an instance's parts."""

from datetime import UTC, datetime

import pytest
from azure.core.exceptions import HttpResponseError
from support.azure import LoopbackAzure, machine

TEN = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def stuck(azure: LoopbackAzure) -> None:
    """An instance that is being created until `finish`."""
    azure.break_next("StuckOperation", type="Microsoft.Compute/virtualMachines")
    azure.group()
    azure.vnet("theirs")
    body = machine("eastus", subnet=azure.subnet_id("theirs"))
    azure.compute.virtual_machines.begin_create_or_update("theirs", "vm", body, polling=False)


def update(azure: LoopbackAzure) -> None:
    azure.compute.virtual_machines.begin_update("theirs", "vm", {"tags": {"a": "b"}}, polling=False)


def test_an_update_of_an_instance_that_is_being_created_is_refused(azure: LoopbackAzure) -> None:
    stuck(azure)

    with pytest.raises(HttpResponseError, match="AnotherOperationInProgress"):
        update(azure)

    azure.finish()
    update(azure)


def test_an_update_of_an_instance_that_is_being_created_may_preempt_that(azure: LoopbackAzure) -> None:
    azure.set(update_while_creating="preempts")
    stuck(azure)

    update(azure)

    view = azure.compute.virtual_machines.get("theirs", "vm", expand="instanceView")
    assert view.properties.provisioning_state == "Failed"
    assert [status.code for status in view.instance_view.statuses] == ["ProvisioningState/failed/OperationPreempted"]


def test_an_instance_is_updated_twelve_times_and_then_four_times_a_minute(azure: LoopbackAzure) -> None:
    azure.now = TEN
    azure.launch()
    for _ in range(12):
        update(azure)

    with pytest.raises(HttpResponseError) as refused:
        update(azure)

    assert refused.value.status_code == 429
    azure.later(seconds=16)
    update(azure)
    with pytest.raises(HttpResponseError, match="TooManyRequests"):
        update(azure)


def test_what_an_instances_call_describes_may_lose_its_tags(azure: LoopbackAzure) -> None:
    azure.set(no_inline_tags=True)
    azure.launch(tags={"a": "b"})

    assert [resource["tags"] for resource in azure.resources("networkInterfaces")] == [{}]
    assert [resource["tags"] for resource in azure.resources("publicIPAddresses")] == [{}]


def test_an_evicted_spot_instance_leaves_its_interface_and_its_address(azure: LoopbackAzure) -> None:
    azure.launch(priority="Spot", evictionPolicy="Delete")
    azure.interrupt(azure.instances()[0]["id"])

    assert [len(azure.resources(kind)) for kind in ("disks", "networkInterfaces", "publicIPAddresses")] == [0, 1, 1]


def test_a_policy_may_put_a_part_of_its_own_into_the_group(azure: LoopbackAzure) -> None:
    azure.set(policy_makes=["policy-made"])
    azure.launch(tags={"a": "b"})

    assert [resource["tags"] for resource in azure.resources("networkSecurityGroups")] == [{}]
