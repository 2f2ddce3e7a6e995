"""The Azure provider reading what the real Azure was recorded to say: only names, and our tags, are put in."""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

import pytest
from support.recordings import SUBSCRIPTION, Recorded, Replay, needs_recordings, read, renamed

from gpuctl.domain.instance import CloudState, Market
from gpuctl.errors import CloudError
from gpuctl.providers.azure.client import AzureClients
from gpuctl.providers.azure.errors import SDK_ERRORS, translate
from gpuctl.providers.azure.provider import AzureProvider
from gpuctl.providers.azure.termination import is_deleted
from gpuctl.providers.base import Connection

pytestmark = needs_recordings

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
GROUP, TOKEN = "gpuctl-inst-000000000001", "inst-000000000001"
TAGS = '"tags":{"gpuctl-id":"inst-000000000001","gpuctl-state":"mine"}'
RESOURCE = "azure-mgmt-resource/test_mgmt_resource"
COMPUTE = "azure-mgmt-compute/test_mgmt_compute"
THEIR_GROUP = "test_mgmt_resource_test_resource_groups457f1050"


def account() -> list[Recorded]:
    return read(f"{RESOURCE}_subscriptions.test_subscriptions")


def group() -> list[Recorded]:
    """A group in West US with the tags of ours, made, listed and deleted."""
    return renamed(
        read(f"{RESOURCE}.test_resource_groups"),
        {THEIR_GROUP: GROUP, '"tags":{"tag1":"value1"}': TAGS, "westus": "eastus"},
    )


def machine() -> list[Recorded]:
    """An instance of 2021 with its interface, from its making to its end."""
    return renamed(
        read(f"{COMPUTE}_base_async.test_compute_vm"),
        {
            "rgname": GROUP,
            "virtualmachinexxx9a731234": TOKEN,
            "RGPY-H5FONMQM77TECPRFFH3FOPVX4ETICL7WNFBB63OSFTMOETIGEMUDIVCWQZW22MPJV2B2GWERZCB": GROUP.upper(),
        },
    )


@pytest.fixture
def replay() -> Iterator[Replay]:
    replay = Replay([*account(), *group(), *machine()])
    yield replay
    replay.stop()


@pytest.fixture
def azure(replay: Replay) -> AzureProvider:
    return AzureProvider(AzureClients(Connection(sandbox_url=replay.url)))


def test_the_account_is_tenant_and_subscription(azure: AzureProvider) -> None:
    assert azure.identity().account == f"{TENANT}/{SUBSCRIPTION}"


def test_the_regions_are_those_of_the_subscription(azure: AzureProvider) -> None:
    regions = azure.regions()

    assert {"eastus", "westus2", "southeastasia"} <= set(regions)
    assert all(region == region.lower() and " " not in region for region in regions)


def test_an_instance_is_read_with_its_state_and_its_address(azure: AzureProvider, replay: Replay) -> None:
    observed = azure.get("eastus", GROUP)

    assert observed is not None
    assert (observed.cloud_id, observed.account, observed.region) == (GROUP, f"{TENANT}/{SUBSCRIPTION}", "eastus")
    assert (observed.state, observed.ready, observed.market) == (CloudState.RUNNING, True, Market.ON_DEMAND)
    assert (observed.instance_type, observed.private_ip, observed.public_ip) == ("Standard_D2_v2", "10.0.0.4", None)
    assert observed.metadata["imageId"] == "MicrosoftWindowsServer:WindowsServer:2016-Datacenter:14393.4283.2103051830"
    # The api-version of that time told no time of birth.
    assert observed.launched_at is None
    assert replay.unknown == []


def test_a_deletion_of_a_group_is_confirmed_when_azure_confirms_it(azure: AzureProvider, replay: Replay) -> None:
    clients = AzureClients(Connection(sandbox_url=replay.url))
    requested = next(recorded for recorded in group() if recorded.method == "DELETE")
    address = requested.headers["location"].replace("https://management.azure.com", replay.url)

    assert requested.status == 202
    assert [is_deleted(clients, address) for _ in range(2)] == [False, True]


def test_instances_of_others_in_a_real_listing_are_passed_over() -> None:
    ours = quote("tagName eq 'gpuctl-state'")
    recorded = group()
    listed = next(
        item for item in recorded if item.method == "GET" and item.url.endswith("resourcegroups?api-version=2019-10-01")
    )
    filtered = replace(listed, url=f"{listed.url}&$filter={ours}")
    every = next(
        recorded
        for recorded in machine()
        if "providers/Microsoft.Compute/virtualMachines?" in recorded.url and "Groups" not in recorded.url
    )
    with_status = replace(every, url=f"{every.url}&statusOnly=true")
    replay = Replay([*account(), filtered, every, with_status])
    try:
        actual = AzureProvider(AzureClients(Connection(sandbox_url=replay.url))).list_instances("eastus")
    finally:
        replay.stop()

    [mine] = [observed for observed in actual if observed.cloud_id == GROUP]
    assert mine.instance_type == "Standard_D2_v2"
    assert replay.unknown == []


def test_a_conflict_that_is_no_quota_is_not_taken_for_one() -> None:
    recorded = renamed(read(f"{COMPUTE}_vm.test_compute_vm_2"), {"rgname": GROUP, "virtualmachinex34bd0f90": TOKEN})
    refused = next(item for item in recorded if item.status == 409)
    replay = Replay(recorded)
    try:
        clients = AzureClients(Connection(sandbox_url=replay.url))
        path = refused.url.removeprefix("https://management.azure.com").partition("?")[0]
        with pytest.raises(SDK_ERRORS) as failed:
            clients.ask("POST", path, "2020-12-01")
    finally:
        replay.stop()

    error = translate(failed.value, "could not look")
    assert (type(error), error.cloud_code) == (CloudError, "OperationNotAllowed")
