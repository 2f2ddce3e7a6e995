"""The one insert that makes an instance with everything it needs; its body follows from the order and zone alone."""

from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from gpuctl.domain.duration import as_typed
from gpuctl.domain.instance import Market
from gpuctl.domain.market.request import Request
from gpuctl.domain.tags import EXPIRES_AT, deadline_tag
from gpuctl.errors import UsageError
from gpuctl.providers.base import Order
from gpuctl.providers.gcp.guard import GRACE, startup_script
from gpuctl.providers.gcp.images import image_path
from gpuctl.providers.gcp.names import LABEL_KEY, LABEL_VALUE, MOST_LABELS, OURS, labels_of, machine_type

# Google's own limit: what is left of the longest life when every other end has failed.
LIMIT_GRACE = GRACE
USER = "ubuntu"
NETWORK = "global/networks/default"
LARGEST_DISK_GB = 65_536

_HYPERDISK = ("g4-", "a3-ultragpu-", "a4-", "a4x-")


def check_request(request: Request) -> None:
    """UsageError for a tag, an image, a subnet or a disk that Compute Engine would refuse."""
    if len(request.tags) > MOST_LABELS - OURS:
        raise UsageError(
            f"Google Cloud accepts at most {MOST_LABELS - OURS} tags in addition to those of gpuctl, not "
            f"{len(request.tags)}"
        )
    for key, value in request.tags.items():
        if not LABEL_KEY.fullmatch(key):
            raise UsageError(
                f"Google Cloud does not accept {as_typed(key)} as the key of a label: at most 63 lower-case letters, "
                "digits, `_` and `-`, beginning with a letter",
                hint="add `--tag project=x`",
            )
        if not LABEL_VALUE.fullmatch(value):
            raise UsageError(
                f"Google Cloud does not accept {as_typed(value)} as the value of a label: at most 63 lower-case "
                "letters, digits, `_` and `-`",
                hint=f"add `--tag {key}=x`",
            )
    if request.image is not None:
        image_path(request.image)
    if request.subnet is not None:
        subnet_path(request.subnet, "REGION")
    if request.disk_gb > LARGEST_DISK_GB:
        raise UsageError(f"Google Cloud's largest boot disk has {LARGEST_DISK_GB} GB, not {request.disk_gb}")


def request_id(token: str) -> str:
    """The attempt's request ID: Google answers a repeat with the operation of the first request."""
    return str(uuid5(NAMESPACE_URL, f"gpuctl:{token}"))


def subnet_path(subnet: str, region: str) -> str:
    """The subnetwork as an insert names it: given by its name alone, or with its project and region."""
    parts = subnet.removeprefix("https://www.googleapis.com/compute/v1/").strip("/").split("/")
    if not all(part and all(letter.isalnum() or letter in "-_.:" for letter in part) for part in parts):
        parts = []
    match parts:
        case [name]:
            return f"regions/{region}/subnetworks/{name}"
        case ["regions", _, "subnetworks", _] | ["projects", _, "regions", _, "subnetworks", _]:
            return "/".join(parts)
    raise UsageError(
        f"on Google Cloud --subnet must be a subnetwork's name or path, not {as_typed(subnet)}",
        hint="gcloud compute networks subnets list",
    )


def insert_body(order: Order, zone: str, project: str, network_tags: list[str]) -> dict[str, Any]:
    """The body of the insert."""
    machine, labels = machine_type(order.instance_type), labels_of(order)
    body: dict[str, Any] = {
        "name": order.token,
        "machineType": f"zones/{zone}/machineTypes/{machine.name}",
        "labels": labels,
        "disks": [
            {
                "boot": True,
                "autoDelete": True,
                "initializeParams": {
                    "sourceImage": order.image.id,
                    "diskSizeGb": str(order.disk_gb),
                    "diskType": f"zones/{zone}/diskTypes/{disk_type(machine.name)}",
                    "labels": labels,
                },
            }
        ],
        "networkInterfaces": [_interface(order)],
        "scheduling": _scheduling(order),
        "metadata": {"items": [{"key": key, "value": value} for key, value in _metadata(order).items()]},
    }
    if network_tags:
        body["tags"] = {"items": network_tags}
    if machine.gpu is not None:
        kind = f"projects/{project}/zones/{zone}/acceleratorTypes/{machine.gpu}"
        body["guestAccelerators"] = [{"acceleratorType": kind, "acceleratorCount": machine.gpus}]
    return body


def disk_type(machine: str) -> str:
    """The type of boot disk that the family takes."""
    return "hyperdisk-balanced" if machine.startswith(_HYPERDISK) else "pd-balanced"


def longest_run_of(max_ttl: timedelta) -> timedelta:
    """What Google's own limit is set to: it cannot be moved while the instance runs."""
    return max_ttl + LIMIT_GRACE


def _interface(order: Order) -> dict[str, Any]:
    place = {"subnetwork": subnet_path(order.subnet, order.region)} if order.subnet else {"network": NETWORK}
    return place | {"accessConfigs": [{"type": "ONE_TO_ONE_NAT", "name": "External NAT"}]}


def _scheduling(order: Order) -> dict[str, Any]:
    spot = {"provisioningModel": "SPOT"} if order.market is Market.SPOT else {}
    seconds = int(longest_run_of(order.max_ttl).total_seconds())
    return {
        # Instances with GPUs cannot be moved; a restart after a host error would begin a new limit.
        "onHostMaintenance": "TERMINATE",
        "automaticRestart": False,
        "maxRunDuration": {"seconds": str(seconds)},
        "instanceTerminationAction": "DELETE",
        **spot,
    }


def _metadata(order: Order) -> dict[str, str]:
    entries = {
        "startup-script": startup_script(order.max_ttl),
        EXPIRES_AT: deadline_tag(order.expires_at),
        # With OS Login the key below would be ignored; keys of the project would let others in.
        "enable-oslogin": "FALSE",
        "block-project-ssh-keys": "TRUE",
    }
    if order.ssh_key is not None:
        entries["ssh-keys"] = f"{USER}:{order.ssh_key} gpuctl"
    return entries
