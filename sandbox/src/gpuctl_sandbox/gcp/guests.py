"""What a running instance is to those who log in: its users and keys, its GPUs, and its metadata server."""

from gpuctl_sandbox.fidelity import Rule
from gpuctl_sandbox.gcp.network import Network
from gpuctl_sandbox.gcp.world import Instance
from gpuctl_sandbox.guests.gpus import gpus_of
from gpuctl_sandbox.guests.guest import Guest, public_keys

RULES = (
    Rule(
        "Google Cloud",
        "users and keys of an instance",
        "The guest agent makes a user for each `USER:KEY` line of the metadata entry `ssh-keys`; nobody else can log "
        "in. An image without the agent has no such users.",
        "Compute Engine documentation, Add SSH keys to VMs that use metadata-based SSH keys",
        "documented",
    ),
    Rule(
        "Google Cloud",
        "metadata server of an instance",
        "A reply needs the header `Metadata-Flavor: Google`, else it is 403; an entry that does not exist is 404.",
        "Compute Engine documentation, View and query VM metadata",
        "documented",
    ),
)


def guest_of(instance: Instance, network: Network) -> Guest:
    """The instance as those who log in find it."""
    is_running = instance.status == "RUNNING"
    pairs = [line.partition(":") for line in instance.metadata.get("ssh-keys", "").splitlines()]
    has_agent = instance.image.runs_scripts
    return Guest(
        cloud="gcp",
        id=f"{instance.zone}/{instance.name}",
        is_running=is_running,
        address=instance.public_ip,
        ssh_from=tuple(network.ssh_from(instance)) if is_running else (),
        logins=tuple((user, key) for user, _, line in pairs for key in public_keys([line])) if has_agent else (),
        boot_script=instance.metadata.get("startup-script") if has_agent else None,
        metadata=_metadata(instance),
        gpus=gpus_of(instance.gpu, instance.gpus) if instance.image.works_with(instance.gpu) else (),
        driver=_driver(instance.image.driver),
    )


def _metadata(instance: Instance) -> dict[str, str]:
    replies = {"id": instance.id, "name": instance.name, "zone": f"projects/1/zones/{instance.zone}"}
    replies |= {f"attributes/{name}": value for name, value in instance.metadata.items()}
    return {f"computeMetadata/v1/instance/{name}": value for name, value in replies.items()}


def _driver(branch: str) -> str:
    """A version of that branch of the driver."""
    return {"550": "550.163.01", "570": "570.195.03", "580": "580.95.05"}.get(branch, branch)
