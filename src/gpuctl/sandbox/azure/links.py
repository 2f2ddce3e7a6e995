"""Who uses what: a resource that another one holds cannot go, and a group is not emptied of it."""

from collections.abc import Iterator
from typing import Any

from gpuctl.sandbox.azure.books import Books, Resource, same
from gpuctl.sandbox.azure.wire import Json

MACHINE = "Microsoft.Compute/virtualMachines"
DISK = "Microsoft.Compute/disks"
NIC = "Microsoft.Network/networkInterfaces"
ADDRESS = "Microsoft.Network/publicIPAddresses"
VNET = "Microsoft.Network/virtualNetworks"
NSG = "Microsoft.Network/networkSecurityGroups"


def holders(books: Books, resource: Resource) -> list[Resource]:
    """The resources that use this one."""
    return [one for one in books.resources() if one is not resource and _uses(one, resource)]


def used_subnets(books: Books, vnet: Resource) -> dict[str, list[str]]:
    """The subnets of a network that interfaces use: by their id in lower case, the ids of the configurations."""
    used: dict[str, list[str]] = {}
    for nic in books.resources(NIC):
        for configuration in nic.properties["ipConfigurations"]:
            subnet = str(configuration["properties"].get("subnet", {}).get("id", "")).lower()
            if subnet.startswith(f"{vnet.id}/subnets/".lower()):
                used.setdefault(subnet, []).append(configuration["id"])
    return used


def os_disk(machine: Resource) -> Json:
    """What the machine says of its OS disk."""
    disk: Json = machine.properties["storageProfile"]["osDisk"]
    return disk


def interfaces(machine: Resource) -> list[Json]:
    """What the machine says of its interfaces."""
    found: list[Json] = machine.properties["networkProfile"]["networkInterfaces"]
    return found


def _uses(one: Resource, other: Resource) -> bool:
    return any(same(link, other.id) or str(link).lower().startswith(f"{other.id}/".lower()) for link in _links(one))


def _links(one: Resource) -> Iterator[Any]:
    if one.type == MACHINE:
        yield from (nic.get("id") for nic in interfaces(one))
        for disk in [os_disk(one), *one.properties["storageProfile"].get("dataDisks", [])]:
            yield disk.get("managedDisk", {}).get("id")
    elif one.type == NIC:
        yield one.properties.get("networkSecurityGroup", {}).get("id")
        for configuration in one.properties["ipConfigurations"]:
            yield configuration["properties"].get("subnet", {}).get("id")
            yield configuration["properties"].get("publicIPAddress", {}).get("id")
    elif one.type == VNET:
        for subnet in one.properties["subnets"]:
            yield subnet["properties"].get("networkSecurityGroup", {}).get("id")
