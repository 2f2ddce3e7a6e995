"""Who uses what: a resource that another one holds cannot go, and a group is not emptied of it."""

from collections.abc import Iterator
from typing import Any

from gpuctl_sandbox.azure.books import Books, Resource, same
from gpuctl_sandbox.azure.wire import Json

MACHINE = "Microsoft.Compute/virtualMachines"
DISK = "Microsoft.Compute/disks"
NIC = "Microsoft.Network/networkInterfaces"
ADDRESS = "Microsoft.Network/publicIPAddresses"
VNET = "Microsoft.Network/virtualNetworks"
NSG = "Microsoft.Network/networkSecurityGroups"


def holders(books: Books, resource: Resource) -> list[Resource]:
    """The resources that use this one."""
    return [item for item in books.resources() if item is not resource and _uses(item, resource)]


def os_disk(machine: Resource) -> Json:
    """What the machine says of its OS disk."""
    disk: Json = machine.properties["storageProfile"]["osDisk"]
    return disk


def interfaces(machine: Resource) -> list[Json]:
    """What the machine says of its interfaces."""
    network_interfaces: list[Json] = machine.properties["networkProfile"]["networkInterfaces"]
    return network_interfaces


def _uses(resource: Resource, other: Resource) -> bool:
    return any(
        same(link, other.id) or str(link).lower().startswith(f"{other.id}/".lower()) for link in _links(resource)
    )


def _links(resource: Resource) -> Iterator[Any]:
    if resource.type == MACHINE:
        yield from (nic.get("id") for nic in interfaces(resource))
        for disk in [os_disk(resource), *resource.properties["storageProfile"].get("dataDisks", [])]:
            yield disk.get("managedDisk", {}).get("id")
    elif resource.type == NIC:
        yield resource.properties.get("networkSecurityGroup", {}).get("id")
        for configuration in resource.properties["ipConfigurations"]:
            yield configuration["properties"].get("subnet", {}).get("id")
            yield configuration["properties"].get("publicIPAddress", {}).get("id")
    elif resource.type == VNET:
        for subnet in resource.properties["subnets"]:
            yield subnet["properties"].get("networkSecurityGroup", {}).get("id")
