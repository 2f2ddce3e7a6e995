"""How an instance is terminated on Azure, whatever others did to its group."""

from dataclasses import replace

import pytest
from support.azure import LoopbackAzure
from support.wire import Wire, refuse_arm

from gpuctl.domain.instance import CloudState, Market
from gpuctl.providers.azure import open_provider
from gpuctl.providers.azure.provider import AzureProvider
from gpuctl.providers.base import Connection, Order

REGION = "eastus"
GROUP = "gpuctl-inst-000000000001"


def states(arm: LoopbackAzure) -> list[str]:
    return [str(vm["state"]) for vm in arm.instances()]


def kinds(arm: LoopbackAzure) -> set[str]:
    return {str(resource["type"]).rpartition("/")[2] for resource in arm.resources()}


def state_of(provider: AzureProvider) -> CloudState:
    (only,) = provider.list_instances(REGION)
    return only.state


def attach(arm: LoopbackAzure, order: Order, disk: str) -> None:
    """Attach a data disk to the instance past gpuctl."""
    body = {"properties": {"storageProfile": {"dataDisks": [_data_disk(disk)]}}}
    arm.compute.virtual_machines.begin_update(GROUP, order.token, body).result()


def _data_disk(disk: str) -> dict[str, object]:
    return {"lun": 0, "createOption": "Attach", "managedDisk": {"id": disk}}


def test_what_others_put_into_the_group_stays_and_the_instance_does_not(
    provider: AzureProvider, order: Order, arm: LoopbackAzure
) -> None:
    provider.create(order)
    disk = arm.disk("precious", group=GROUP)
    failed = provider.terminate(REGION, [GROUP])
    assert "`disks/precious`, which gpuctl did not make" in failed[GROUP].message
    assert "the instance itself is being deleted" in failed[GROUP].message
    assert states(arm) == ["terminated"]
    assert "disks" in kinds(arm)
    assert kinds(arm).isdisjoint({"virtualMachines", "networkInterfaces", "publicIPAddresses"})
    assert state_of(provider) is CloudState.REMNANT
    assert "`disks/precious`" in provider.terminate(REGION, [GROUP])[GROUP].message
    assert provider.terminate(REGION, [GROUP], force=True) == {}
    assert disk not in [resource["id"] for resource in arm.resources()]
    assert arm.resources() == []


def test_what_a_policy_put_into_the_group_keeps_no_instance_running(
    provider: AzureProvider, order: Order, arm: LoopbackAzure
) -> None:
    arm.set(policy_makes=["policy-made"])
    provider.create(order)
    assert "`networkSecurityGroups/policy-made`" in provider.terminate(REGION, [GROUP])[GROUP].message
    assert states(arm) == ["terminated"]
    assert [resource["id"].rpartition("/")[2] for resource in arm.resources("networkSecurityGroups")] == [
        "gpuctl",
        "policy-made",
    ]


def test_an_interface_and_an_address_without_tags_are_ours_where_our_instance_names_them(
    provider: AzureProvider, order: Order, arm: LoopbackAzure
) -> None:
    arm.set(no_inline_tags=True)
    provider.create(order)
    assert provider.terminate(REGION, [GROUP]) == {}
    assert arm.resources() == []


@pytest.mark.parametrize("call", ["GET networkInterfaces", "GET publicIPAddresses"])
@pytest.mark.parametrize(("code", "status"), [("AuthorizationFailed", 403), ("TooManyRequests", 429)])
def test_the_network_need_not_answer_for_an_instance_to_be_terminated(
    provider: AzureProvider, order: Order, arm: LoopbackAzure, wire: Wire, call: str, code: str, status: int
) -> None:
    provider.create(order)
    wire.arm(call, *[refuse_arm(code, status)] * 8)
    assert provider.terminate(REGION, [GROUP]) == {}
    assert arm.resources() == []


@pytest.mark.parametrize(("code", "status"), [("AuthorizationFailed", 403), ("TooManyRequests", 429)])
def test_a_group_that_cannot_be_looked_into_loses_its_instance_all_the_same(
    provider: AzureProvider, order: Order, arm: LoopbackAzure, wire: Wire, code: str, status: int
) -> None:
    provider.create(order)
    wire.arm("GET resources", *[refuse_arm(code, status, **{"Retry-After": "60"})] * 4)
    failed = provider.terminate(REGION, [GROUP])
    assert code in failed[GROUP].message
    assert states(arm) == ["terminated"]
    wire.reset()
    assert provider.terminate(REGION, [GROUP]) == {}
    assert arm.resources() == []


def test_one_group_that_this_login_may_not_see_keeps_no_other_instance_running(
    provider: AzureProvider, order: Order, arm: LoopbackAzure, wire: Wire
) -> None:
    provider.create(order)
    provider.create(replace(order, token="inst-000000000002", record_id="inst-000000000002"))
    wire.arm("GET resourceGroups", refuse_arm("AuthorizationFailed", 403))
    failed = provider.terminate(REGION, [GROUP, "gpuctl-inst-000000000002"])
    assert list(failed) == [GROUP]
    assert states(arm) == ["running", "terminated"]


def test_a_group_that_may_not_be_deleted_loses_its_instance_all_the_same(
    provider: AzureProvider, order: Order, arm: LoopbackAzure, wire: Wire
) -> None:
    provider.create(order)
    wire.arm("DELETE resourceGroups", refuse_arm("AuthorizationFailed", 403))
    assert "the instance itself is being deleted" in provider.terminate(REGION, [GROUP])[GROUP].message
    assert states(arm) == ["terminated"]


def test_a_locked_group_lets_its_instance_be_deallocated(
    provider: AzureProvider, order: Order, arm: LoopbackAzure
) -> None:
    provider.create(order)
    arm.break_next("ScopeLocked", method="DELETE", times=-1)
    reported = provider.terminate(REGION, [GROUP])[GROUP].message
    assert "`ScopeLocked`" in reported
    assert "it is being deallocated, its disk and its address cost on" in reported
    assert (states(arm), arm.instances()[0]["bills"]) == (["deallocated"], False)


def test_a_data_disk_that_others_attached_is_not_ours(
    provider: AzureProvider, order: Order, arm: LoopbackAzure
) -> None:
    provider.create(order)
    attach(arm, order, arm.disk("data", group=GROUP))
    assert "`disks/data`" in provider.terminate(REGION, [GROUP])[GROUP].message
    assert states(arm) == ["terminated"]
    assert [resource["id"].rpartition("/")[2] for resource in arm.resources("disks")] == ["data"]


def test_a_group_that_is_no_longer_ours_is_not_terminated(
    provider: AzureProvider, order: Order, arm: LoopbackAzure
) -> None:
    provider.create(order)
    arm.groups.update(GROUP, {"tags": {"gpuctl-id": "inst-zzzzzzzzzzzz"}})
    assert "has no gpuctl tags any more" in provider.terminate(REGION, [GROUP], force=True)[GROUP].message
    assert states(arm) == ["running"]


def test_a_group_that_lost_its_tags_is_known_by_its_instance(
    provider: AzureProvider, order: Order, arm: LoopbackAzure
) -> None:
    provider.create(order)
    arm.groups.update(GROUP, {"tags": {}})
    assert provider.terminate(REGION, [GROUP]) == {}
    assert arm.resources() == []


def test_a_termination_under_way_is_shown_and_not_requested_again(
    provider: AzureProvider, order: Order, arm: LoopbackAzure, wire: Wire
) -> None:
    provider.create(order)
    arm.set(polls=3)
    provider.terminate(REGION, [GROUP])
    assert state_of(provider) is CloudState.ENDING
    assert provider.terminate(REGION, [GROUP]) == {}
    assert len(wire.calls("DELETE resourceGroups")) == 1


def test_another_process_lists_a_terminated_instance_as_absent_and_not_as_terminated(
    provider: AzureProvider, order: Order, wire: Wire
) -> None:
    provider.create(order)
    provider.terminate(REGION, [GROUP])
    another = open_provider(Connection(sandbox_url=wire.url))
    assert (list(another.list_instances(REGION)), another.get(REGION, GROUP)) == ([], None)


def test_the_parts_of_an_evicted_instance_are_listed_and_deleted(
    provider: AzureProvider, order: Order, arm: LoopbackAzure
) -> None:
    provider.create(replace(order, market=Market.SPOT))
    arm.interrupt(arm.instances()[0]["id"])
    assert state_of(provider) is CloudState.REMNANT
    assert provider.terminate(REGION, [GROUP]) == {}
    assert arm.resources() == []
