"""What a running virtual machine is to those who log in: its user, its keys and its GPUs."""

from gpuctl_sandbox.azure.books import Books, Resource
from gpuctl_sandbox.azure.firewall import ssh_from
from gpuctl_sandbox.azure.links import interfaces
from gpuctl_sandbox.azure.sizes import SIZES
from gpuctl_sandbox.fidelity import Rule
from gpuctl_sandbox.guests.gpus import gpus_of
from gpuctl_sandbox.guests.guest import Guest, public_keys

DRIVER = "580.95.05"

RULES = (
    Rule(
        "Azure",
        "user and keys of a virtual machine",
        "The user of osProfile.adminUsername can log in with the keys of osProfile.linuxConfiguration.ssh.publicKeys, "
        "and nobody else.",
        "Azure Compute REST API, OSProfile and SshPublicKey",
        "documented",
    ),
    Rule(
        "Azure",
        "driver version of the images",
        f"`nvidia-smi` reports {DRIVER} on every image that has a driver.",
        "the notes of the images name no version for a date",
        "assumed",
    ),
)


def guest_of(machine: Resource, books: Books) -> Guest:
    """The virtual machine as those who log in find it."""
    profile = machine.hidden["request"].get("osProfile", {})
    ssh = (profile.get("linuxConfiguration") or {}).get("ssh") or {}
    user = str(profile.get("adminUsername", ""))
    lines = [str(entry.get("keyData", "")) for entry in ssh.get("publicKeys", ())]
    size = SIZES[machine.properties["hardwareProfile"]["vmSize"].lower()]
    is_running = machine.hidden["power"] == "running" and machine.state != "Deleting"
    return Guest(
        cloud="azure",
        id=machine.id,
        is_running=is_running,
        address=_address(machine, books),
        ssh_from=tuple(ssh_from(books, machine)) if is_running else (),
        logins=tuple((user, key) for key in public_keys(lines)),
        gpus=gpus_of(size.gpu, float(size.gpus)) if machine.hidden.get("gpu_works") else (),
        driver=DRIVER if machine.hidden.get("has_driver") else "",
    )


def _address(machine: Resource, books: Books) -> str | None:
    for reference in interfaces(machine):
        nic = books.find(reference["id"])
        for configuration in nic.properties["ipConfigurations"] if nic is not None else ():
            address = books.find(configuration["properties"].get("publicIPAddress", {}).get("id"))
            if address is not None and address.properties.get("ipAddress"):
                return str(address.properties["ipAddress"])
    return None
