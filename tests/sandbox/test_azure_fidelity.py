"""The sandbox's ARM beside what the real one was recorded to say: the same statuses, and nothing shown beyond that.

Azure has changed since the recordings were taken (2020 and 2021): what the sandbox shows that is newer is in `NEWER`.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from support.azure import LoopbackAzure
from support.recordings import Recorded, Replay, needs_recordings, read

pytestmark = needs_recordings

NEWER = {
    "properties.allowPort25Out",
    "properties.auxiliaryMode",
    "properties.nicType",
    "properties.osProfile.requireGuestProvisionSignal",
    "properties.publicNetworkAccess",
    "properties.securityProfile",
    "properties.storageProfile.osDisk.deleteOption",
    "properties.networkProfile.networkInterfaces.properties.deleteOption",
    "properties.timeCreated",
    "sku.tier",
    "properties.hyperVGeneration",
    "properties.ipAddress",  # a dynamic address had none before it was used
    "hyperVGeneration",
}


def names(body: Any, location: str = "") -> Iterator[str]:
    """Every property in a reply, as a dotted path; the elements of a list count as one."""
    if isinstance(body, list):
        for item in body:
            yield from names(item, location)
    elif isinstance(body, dict):
        for key, value in body.items():
            here = f"{location}.{key}" if location else key
            if location != "tags" and not here.startswith("tags."):
                yield here
                yield from names(value, here)


def one_of(recordings: list[Recorded], method: str, *words: str) -> Recorded:
    """The last recorded call of that method whose address ends with those words, the version left out."""
    (*_, last) = [
        recorded for recorded in recordings if recorded.method == method and all(word in recorded.url for word in words)
    ]
    return last


def invented(shown: Any, recorded: Any) -> set[str]:
    """What the sandbox shows and Azure did not."""
    return set(names(shown)) - set(names(recorded)) - NEWER


def test_a_group_looks_as_recorded(azure: LoopbackAzure) -> None:
    recorded = read("azure-mgmt-resource/test_mgmt_resource.test_resource_groups")
    path = f"/subscriptions/{azure.subscription}/resourcegroups/mine"
    version = "?api-version=2021-04-01"

    created = azure.raw("PUT", path + version, {"location": "westus", "tags": {"a": "1"}})
    shown = azure.raw("GET", path + version)
    patched = azure.raw("PATCH", path + version, {"tags": {"b": "2"}})
    listed = azure.raw("GET", f"{path}/resources{version}")
    deleted = azure.raw("DELETE", path + version)

    def status(method: str, *words: str) -> int:
        return one_of(recorded, method, *words).status

    group = "test_resource_groups457f1050?"
    assert (created[0], patched[0]) == (status("PUT"), status("PATCH"))
    assert (listed[0], listed[2]) == (status("GET", "/resources?"), one_of(recorded, "GET", "/resources?").said)
    assert deleted[0] == status("DELETE")
    assert ("location" in deleted[1], "azure-asyncoperation" in deleted[1]) == (
        "location" in one_of(recorded, "DELETE").headers,
        "azure-asyncoperation" in one_of(recorded, "DELETE").headers,
    )
    assert invented(shown[2], one_of(recorded, "GET", group).said) == set()


@pytest.mark.parametrize(
    ("recording", "kind"),
    [
        ("test_network_security_groups", "networkSecurityGroups"),
        ("test_virtual_networks", "virtualNetworks"),
    ],
)
def test_what_lies_in_a_network_looks_as_recorded(azure: LoopbackAzure, recording: str, kind: str) -> None:
    recorded = read(f"azure-mgmt-network/test_mgmt_network.{recording}")
    put = next(item for item in recorded if item.method == "PUT" and item.url.split("/")[-2] == kind)
    got = next(item for item in recorded if item.method == "GET" and item.url == put.url)
    azure.group(region="westus")
    azure.vnet("theirs", "westus")
    path = f"/subscriptions/{azure.subscription}/resourceGroups/theirs/providers/Microsoft.Network/{kind}/one"
    version = "?api-version=2022-11-01"

    created = azure.raw("PUT", path + version, put.sent)
    shown = azure.raw("GET", path + version)

    assert (created[0], shown[0]) == (put.status, got.status)
    assert created[2]["properties"]["provisioningState"] == put.said["properties"]["provisioningState"]
    assert "azure-asyncoperation" in put.headers and "azure-asyncoperation" in created[1]
    assert invented(shown[2], got.said) == set()


def test_an_instance_and_its_operations_look_as_recorded(azure: LoopbackAzure) -> None:
    recorded = read("azure-mgmt-compute/test_mgmt_compute_vm.test_compute_vm")
    machine_id = azure.launch()
    version = "?api-version=2024-07-01"

    shown = azure.raw("GET", machine_id + version)[2]
    expanded = azure.raw("GET", f"{machine_id}{version}&$expand=instanceView")[2]
    stopped = azure.raw("POST", f"{machine_id}/deallocate{version}")
    status = azure.raw("GET", stopped[1]["azure-asyncoperation"].removeprefix(azure.url))
    result = azure.raw("GET", stopped[1]["location"].removeprefix(azure.url))

    put = one_of(recorded, "PUT", "/virtualMachines/virtualmachinex15cf0eff?")
    got = one_of(recorded, "GET", "/virtualMachines/virtualmachinex15cf0eff?api-version")
    assert put.said["properties"]["provisioningState"] == "Creating"
    linux = {name for name in names(shown) if name.startswith("properties.osProfile.linuxConfiguration")}
    assert invented(shown, got.said) - linux <= {"properties.storageProfile.osDisk.diskSizeGB"}
    assert invented(expanded["properties"]["instanceView"], one_of(recorded, "GET", "/instanceView?").said) == set()
    requested = one_of(recorded, "POST", "/deallocate?")
    assert (stopped[0], stopped[2]) == (requested.status, requested.said)
    assert {"azure-asyncoperation", "location"} <= set(requested.headers)
    finished = one_of(recorded, "GET", "/operations/", "2020-12-01")
    assert set(names(status[2])) == set(names(finished.said))
    assert (result[0], result[2]) == (200, None)


def test_the_replies_are_served_again_for_todays_clients(azure: LoopbackAzure) -> None:
    replay = Replay(read("azure-mgmt-compute/test_mgmt_compute_base_async.test_compute_vm"))
    try:
        instances = azure.client_of(replay.url).virtual_machines

        everywhere = list(instances.list_all())
        instance = instances.get("rgname", "virtualmachinexxx9a731234", expand="instanceView")
    finally:
        replay.stop()

    assert len(everywhere) > 1
    assert [status.code for status in instance.instance_view.statuses] == [
        "ProvisioningState/succeeded",
        "PowerState/running",
    ]
    assert replay.unknown == []
