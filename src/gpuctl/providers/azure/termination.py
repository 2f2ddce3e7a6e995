"""Terminating an instance: its whole group is deleted, and where others keep that group, the virtual machine alone."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from gpuctl.domain.tags import ID
from gpuctl.errors import CloudError, GpuctlError
from gpuctl.providers.azure.addresses import read_network
from gpuctl.providers.azure.client import AzureClients
from gpuctl.providers.azure.errors import SDK_ERRORS, code_of, translate, unless_absent
from gpuctl.providers.azure.names import VIRTUAL_MACHINES, machine_id, record_of, token_of

FORCED = VIRTUAL_MACHINES
_DISKS = "microsoft.compute/disks"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class RequestedDeletion:
    """A deletion that Azure accepted: the group as it was, and the address that reports the deletion's progress."""

    group: Mapping[str, Any]
    address: str


def end_group(clients: AzureClients, group: str, *, force: bool) -> RequestedDeletion | None:
    """Request the deletion of a group; None where it is absent or is being deleted already.

    CloudError, and nothing is deleted, where the group is not ours. Where it holds what is not ours (unless `force`),
    or where its contents cannot be listed or the group cannot be deleted, the virtual machine alone is deleted, and
    that failure is raised. Raises what the SDK raises. A second call requests the same again.
    """
    reply = _group(clients, group)
    if reply is None or reply.get("properties", {}).get("provisioningState") == "Deleting":
        return None
    _refuse_other_groups(clients, group, reply.get("tags") or {})
    try:
        foreign = _foreign(clients, group)
        if not foreign or force:
            return RequestedDeletion(reply, _delete_group(clients, group))
    except SDK_ERRORS as error:
        raise _without_group(clients, group, translate(error, f"could not delete the group `{group}`")) from error
    names = ", ".join(f"`{_short(text)}`" for text in foreign[:_SHOWN])
    denial = CloudError(
        f"the group `{group}` also holds {names}{' …' if len(foreign) > _SHOWN else ''}, which gpuctl did not "
        f"make: `gpuctl terminate {record_of(group)} --force` deletes that too",
    )
    raise _without_group(clients, group, denial)


def is_deleted(clients: AzureClients, address: str) -> bool:
    """Whether Azure reports that deletion as completed. Raises what the SDK raises."""
    return clients.ask("GET", address, "").status_code in (200, 204)


def _group(clients: AzureClients, group: str) -> Mapping[str, Any] | None:
    return unless_absent(lambda: clients.resource.resource_groups.get(group).as_dict())


def _refuse_other_groups(clients: AzureClients, group: str, tags: Mapping[str, str]) -> None:
    record = record_of(group)
    claimed = tags.get(ID)
    if record is not None and claimed is None:
        claimed = ((_machine(clients, group) or {}).get("tags") or {}).get(ID)
    if record is None or claimed != record:
        raise CloudError(f"the group `{group}` has no gpuctl tags any more; not deleted", hint="az group show")


def _delete_group(clients: AzureClients, group: str) -> str:
    addresses: list[str] = []
    clients.resource.resource_groups.begin_delete(
        group,
        force_deletion_types=FORCED,
        polling=False,
        raw_response_hook=lambda reply: addresses.append(reply.http_response.headers.get("Location", "")),
    )
    return next((address for address in addresses if address), "")


def _without_group(clients: AzureClients, group: str, reason: GpuctlError) -> GpuctlError:
    """Request the deletion of the virtual machine alone, and return why the group stays with what became of both."""
    machines, token = clients.compute.virtual_machines, token_of(group)
    outcome = "the instance itself is being deleted"
    try:
        machines.begin_delete(group, token, force_deletion=True, polling=False)
    except SDK_ERRORS as error:
        outcome = translate(error, "the instance itself could not be deleted").message
        if code_of(error) == "ScopeLocked":
            outcome = _deallocated(clients, group)
    reason.message = f"{reason.message}; {outcome}"
    return reason


def _deallocated(clients: AzureClients, group: str) -> str:
    # A lock against deletion still lets the instance be deallocated, which ends its compute cost.
    try:
        clients.compute.virtual_machines.begin_deallocate(group, token_of(group), polling=False)
    except SDK_ERRORS as error:
        return translate(error, "the instance itself could be neither deleted nor deallocated").message
    return "the lock keeps the instance itself too: it is being deallocated, its disk and its address cost on"


def _foreign(clients: AzureClients, group: str) -> list[str]:
    """The ids of what is in the group and is not ours."""
    record, machine = record_of(group), machine_id(clients.subscription, group).casefold()
    inside = [item.as_dict() for item in clients.resource.resources.list_by_resource_group(group)]
    unclear = [str(item["id"]) for item in inside if not _is_ours(item, record, machine)]
    named = _named_by_vm(clients, group) if unclear else ()
    return [text for text in unclear if text.casefold() not in named]


def _is_ours(resource: Mapping[str, Any], record: str | None, machine: str) -> bool:
    # A policy may hang an extension on the instance, which belongs to it and ends with it. A disk that is attached to
    # the instance may be somebody's data: what the instance itself says of its disks decides.
    resource_id = str(resource["id"]).casefold()
    belongs = str(resource.get("managedBy") or "").casefold() == machine
    is_part = f"{resource_id}/".startswith(f"{machine}/")
    is_disk = str(resource.get("type")).casefold() == _DISKS
    return (belongs and not is_disk) or is_part or (resource.get("tags") or {}).get(ID) == record


def _named_by_vm(clients: AzureClients, group: str) -> Collection[str]:
    """The ids of the disks, interfaces and addresses that came with our instance, tagged or not, in lower case."""
    try:
        machine = _machine(clients, group) or {}
    except SDK_ERRORS:
        return ()
    properties = machine.get("properties", {})
    storage = properties.get("storageProfile", {})
    attached = [data_disk for data_disk in storage.get("dataDisks") or () if data_disk.get("createOption") != "Attach"]
    disks = [item.get("managedDisk", {}).get("id") for item in (storage.get("osDisk") or {}, *attached)]
    created = properties.get("networkProfile", {}).get("networkInterfaces") or ()
    # One that somebody attached later is not deleted with the instance.
    interfaces = [item["id"] for item in created if item.get("properties", {}).get("deleteOption") == "Delete"]
    addresses = [address for interface in interfaces for address in _addresses(clients, interface)]
    return {str(disk).casefold() for disk in (*disks, *interfaces, *addresses) if disk}


def _addresses(clients: AzureClients, interface: str) -> list[str]:
    try:
        properties = (read_network(clients, interface) or {}).get("properties", {})
    except SDK_ERRORS:
        return []
    configured = [
        ip_configuration.get("properties", {}) for ip_configuration in properties.get("ipConfigurations") or ()
    ]
    return [str((item.get("publicIPAddress") or {}).get("id") or "") for item in configured]


def _machine(clients: AzureClients, group: str) -> Mapping[str, Any] | None:
    return unless_absent(lambda: clients.compute.virtual_machines.get(group, token_of(group)).as_dict())


def _short(resource_id: str) -> str:
    return "/".join(resource_id.split("/")[-2:])
