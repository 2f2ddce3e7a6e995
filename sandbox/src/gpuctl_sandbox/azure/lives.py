"""The lives of the machines: what state each is in, since when, whether it bills, and how it ended."""

from datetime import datetime
from typing import Any

from gpuctl_sandbox.azure.books import Books, Resource, rfc3339
from gpuctl_sandbox.azure.interfaces import detach as detach_interface
from gpuctl_sandbox.azure.links import DISK, MACHINE, interfaces, os_disk
from gpuctl_sandbox.azure.wire import Json

# A machine that was powered off from inside, or with powerOff, holds its hardware: only deallocation lets go of it.
BILLING = {"starting", "running", "stopping", "stopped"}


def born(machine: Resource, at: datetime) -> None:
    """Begin the books of a machine."""
    machine.hidden |= {"state_since": at, "power": None, "billed_s": 0.0, "billing_since": None, "launched_at": at}


def set_power(books: Books, machine: Resource, power: str | None, at: datetime) -> None:
    """Bring a machine into a power state (None: it never got any hardware), with what follows for bill and disks."""
    hidden = machine.hidden
    if hidden["billing_since"] is not None:
        hidden["billed_s"] += (at - hidden["billing_since"]).total_seconds()
    hidden["power"] = power
    hidden["power_since"] = at
    hidden["billing_since"] = at if power in BILLING else None
    for disk in books.resources(DISK):
        if str(disk.top.get("managedBy", "")).lower() == machine.id.lower():
            disk.properties["diskState"] = "Reserved" if power == "deallocated" else "Attached"


def entry(machine: Resource, now: datetime, ended_at: datetime | None = None) -> Json:
    """The machine as the sandbox lists it beside those of other clouds."""
    hidden: Any = machine.hidden
    running = (now - hidden["billing_since"]).total_seconds() if hidden["billing_since"] and ended_at is None else 0.0
    return {
        "cloud": "azure",
        "region": machine.location,
        "id": machine.id,
        "state": "terminated" if ended_at is not None else _state(machine),
        "instance_type": machine.properties["hardwareProfile"]["vmSize"],
        "tags": dict(machine.tags),
        "launched_at": _second(hidden["launched_at"]),
        "ended_at": None if ended_at is None else _second(ended_at),
        "client_token": None,
        "gpu_works": hidden.get("gpu_works", False),
        "bills": ended_at is None and hidden["power"] in BILLING,
        "billed_s": round(hidden["billed_s"] + running, 3),
    }


def end(books: Books, machine: Resource, at: datetime, ended: list[Json]) -> None:
    """Take a machine out of the books, and keep what it was."""
    set_power(books, machine, None, at)
    ended.append(entry(machine, at, ended_at=at))
    books.remove(machine)


def instance_view(machine: Resource) -> Json:
    """What `$expand=instanceView` adds."""
    hidden: Any = machine.hidden
    state = machine.state
    since = rfc3339(hidden["state_since"])
    failure = hidden.get("failure")
    provisioning: Json = {
        "code": f"ProvisioningState/{state.lower()}" + (f"/{failure['code']}" if failure else ""),
        "level": "Error" if failure else "Info",
        "displayStatus": "Provisioning failed" if failure else _DISPLAY.get(state, state),
        "time": since,
    }
    if failure:
        provisioning["message"] = failure["message"]
    statuses = [provisioning]
    if hidden["power"] is not None:
        power = hidden["power"]
        statuses.append({"code": f"PowerState/{power}", "level": "Info", "displayStatus": f"VM {power}"})
    view: Json = {"statuses": statuses, "hyperVGeneration": hidden["generation"]}
    if hidden["power"] == "running":
        view["vmAgent"] = {
            "vmAgentVersion": "2.15.0.1",
            "statuses": [
                {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Ready", "time": since}
            ],
        }
    disk = {"name": os_disk(machine).get("name"), "statuses": [{**provisioning}]}
    return view | {"disks": [disk]}


def detach(books: Books, machine: Resource) -> None:
    """Let go of what the machine held: disks and interfaces that stay behind are free."""
    for disk in books.resources(DISK):
        if str(disk.top.get("managedBy", "")).lower() == machine.id.lower():
            disk.top.pop("managedBy")
            disk.properties["diskState"] = "Unattached"
    for reference in interfaces(machine):
        nic = books.find(reference["id"])
        if nic is not None:
            detach_interface(nic)


def cascade(books: Books, machine: Resource) -> None:
    """Delete with the machine what `deleteOption: Delete` says, and nothing else; what stays is free from then on."""
    disks = [os_disk(machine), *machine.properties["storageProfile"].get("dataDisks", [])]
    doomed = [disk["managedDisk"]["id"] for disk in disks if disk.get("deleteOption") == "Delete"]
    for reference in interfaces(machine):
        if reference.get("properties", {}).get("deleteOption") == "Delete":
            doomed.append(reference["id"])
        nic = books.find(reference["id"])
        for configuration in nic.properties["ipConfigurations"] if nic is not None else ():
            address = books.find(configuration["properties"].get("publicIPAddress", {}).get("id"))
            if address is None:
                continue
            if address.properties.get("deleteOption") == "Delete":
                doomed.append(address.id)
            elif reference["id"] in doomed:
                address.properties.pop("ipConfiguration", None)
    detach(books, machine)
    for name in doomed:
        resource = books.find(name)
        if resource is not None:
            books.remove(resource)


def keep_network(books: Books, machine: Resource) -> None:
    """Let the machine's interfaces and their addresses stay when it goes."""
    for reference in interfaces(machine):
        reference["properties"] = {**reference.get("properties", {}), "deleteOption": "Detach"}
        nic = books.find(reference["id"])
        for configuration in nic.properties["ipConfigurations"] if nic is not None else ():
            address = books.find(configuration["properties"].get("publicIPAddress", {}).get("id"))
            if address is not None:
                address.properties.pop("deleteOption", None)


def bills(resource: Resource) -> bool:
    """Whether a resource costs something as it is now."""
    if resource.type == MACHINE:
        return resource.hidden["power"] in BILLING
    return resource.type in (DISK, "Microsoft.Network/publicIPAddresses")


_DISPLAY = {
    "Creating": "Creating",
    "Updating": "Updating",
    "Deleting": "Deleting",
    "Succeeded": "Provisioning succeeded",
}


def _state(machine: Resource) -> str:
    if machine.state == "Deleting":
        return "deleting"
    if machine.hidden["power"] is None:
        return machine.state.lower()
    return str(machine.hidden["power"])


def _second(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
