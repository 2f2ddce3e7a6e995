"""The rules about the values in a request: names, labels, metadata, tags, disks, GPUs and scheduling."""

import re
from collections.abc import Mapping
from datetime import datetime

from gpuctl_sandbox.gcp.images import Image
from gpuctl_sandbox.gcp.machinetypes import ACCELERATORS, MachineType
from gpuctl_sandbox.gcp.wire import Json, Refusal, invalid, last

_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
_METADATA_KEY = re.compile(r"[a-zA-Z0-9-_]{1,128}")
_MOST_LABELS, _MOST_TAGS = 64, 64
_VALUE_BYTES, _METADATA_BYTES = 262_144, 524_288
_LONGEST_S, _SHORTEST_S = 120 * 24 * 3600, 30


def check_name(name: str, place: str = "resource.name") -> str:
    """That name. Refused if it is none that Compute Engine takes."""
    if not _NAME.fullmatch(name):
        raise invalid(place, name, f"Must be a match of regex '{_NAME.pattern}'")
    return name


def check_labels(labels: Mapping[str, str], place: str = "resource.labels") -> dict[str, str]:
    """Those labels. Refused where there are too many, or a key or value is not of the form."""
    if len(labels) > _MOST_LABELS:
        raise invalid(place, len(labels), f"At most {_MOST_LABELS} labels are allowed.")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key):
            raise invalid(
                place,
                key,
                "Label keys must start with a lowercase letter and contain only lowercase "
                "letters, digits, dashes and underscores, 63 at most.",
            )
        if not _LABEL_VALUE.fullmatch(value):
            raise invalid(place, value, f"The label value of '{key}' must match '{_LABEL_VALUE.pattern}'.")
    return dict(labels)


def check_metadata(metadata: Json | None) -> dict[str, str]:
    """The entries of that metadata. Refused for bad keys, duplicates and sizes."""
    entries: dict[str, str] = {}
    for item in (metadata or {}).get("items", []):
        key, value = item.get("key", ""), item.get("value", "")
        if not _METADATA_KEY.fullmatch(key):
            raise invalid("resource.metadata.items.key", key, f"Must be a match of regex '{_METADATA_KEY.pattern}'")
        if key in entries:
            raise invalid("resource.metadata", key, "Metadata has duplicate key.")
        if len(value.encode()) > _VALUE_BYTES:
            raise invalid("resource.metadata", key, "Value for key is too large: maximum size 262144 character(s)")
        entries[key] = value
    if sum(len(key.encode()) + len(value.encode()) for key, value in entries.items()) > _METADATA_BYTES:
        raise invalid("resource.metadata", "", "The total size of all metadata must be less than 512 KB.")
    return entries


def check_tags(tags: Json | None) -> list[str]:
    """Those network tags. Refused for bad ones."""
    items: list[str] = (tags or {}).get("items", [])
    if len(items) > _MOST_TAGS:
        raise invalid("resource.tags", len(items), f"At most {_MOST_TAGS} tags are allowed.")
    return [check_name(item, "resource.tags.items") for item in items]


def accelerators(body: Json, machine: MachineType, zone: str) -> tuple[str, float]:
    """The GPU model and number: the type's own, or what is attached. Refused where they do not fit."""
    requested = body.get("guestAccelerators", [])
    if machine.gpu:
        if requested:
            raise invalid(
                "resource.guestAccelerators", len(requested), f"{machine.name} has its accelerators attached already."
            )
        return machine.gpu, machine.gpus
    if not requested:
        return "", 0
    (item,) = requested if len(requested) == 1 else ({},)
    name, count = last(item.get("acceleratorType", "")), item.get("acceleratorCount", 0)
    accelerator = ACCELERATORS.get(name)
    if accelerator is None or f"zones/{zone}/" not in item.get("acceleratorType", ""):
        raise invalid("resource.guestAccelerators[0].acceleratorType", item.get("acceleratorType", ""), "Unknown type.")
    if not machine.name.startswith("n1-"):
        raise Refusal(
            400,
            "invalid",
            f"[{machine.name}, {name}] features are not compatible for creating instance.",
        )
    if count not in accelerator.counts or machine.vcpus > accelerator.vcpus * count:
        raise Refusal(
            400,
            "invalid",
            f"Number of accelerators and machine type are not compatible: {count} x {name} with {machine.name}.",
        )
    return name, count


def check_scheduling(scheduling: Json, machine: MachineType, gpu: str, now: datetime) -> Json:
    """The scheduling with what Compute Engine fills in. Refused for what it does not take."""
    is_spot = scheduling.get("provisioningModel") == "SPOT"
    is_limited = "maxRunDuration" in scheduling or "terminationTime" in scheduling
    migrates = "TERMINATE" if is_spot or machine.gpu else "MIGRATE"
    full = {
        "onHostMaintenance": migrates,
        "automaticRestart": not is_spot,
        "preemptible": is_spot or scheduling.get("preemptible", False),
        "provisioningModel": "STANDARD",
    } | scheduling
    if gpu and full["onHostMaintenance"] != "TERMINATE":
        raise Refusal(400, "invalid", "Instances with guest accelerators do not support live migration.")
    if is_spot and (full["automaticRestart"] or full["onHostMaintenance"] != "TERMINATE"):
        raise Refusal(400, "invalid", "Spot VMs must have automaticRestart false and onHostMaintenance TERMINATE.")
    if machine.only_spot and full["provisioningModel"] == "STANDARD":
        raise invalid(
            "resource.scheduling.provisioningModel",
            "STANDARD",
            f"{machine.name} is available with SPOT, FLEX_START or RESERVATION_BOUND only.",
        )
    _check_limit(scheduling, is_spot=is_spot, is_limited=is_limited, now=now)
    return full


def _check_limit(scheduling: Json, *, is_spot: bool, is_limited: bool, now: datetime) -> None:
    if "maxRunDuration" in scheduling and "terminationTime" in scheduling:
        raise Refusal(400, "invalid", "Only one of maxRunDuration and terminationTime can be specified.")
    action = scheduling.get("instanceTerminationAction")
    if is_limited and action is None:
        raise Refusal(
            400, "invalid", "Instance termination action must be specified when a max run duration is specified."
        )
    if action is not None and not is_limited and not is_spot:
        raise Refusal(
            400,
            "invalid",
            "Scheduling must have a Spot provisioning model or a time limit when an instance termination action is "
            "specified.",
        )
    if is_limited and scheduling.get("preemptible") and not is_spot:
        raise Refusal(400, "invalid", "Max run duration is not supported for legacy preemptible instances.")
    if "maxRunDuration" in scheduling:
        seconds = int(scheduling["maxRunDuration"].get("seconds", 0))
        if not _SHORTEST_S <= seconds <= _LONGEST_S:
            raise invalid(
                "resource.scheduling.maxRunDuration", seconds, "Must be between 30 seconds and 120 days (10368000 s)."
            )
    if "terminationTime" in scheduling and datetime.fromisoformat(scheduling["terminationTime"]) <= now:
        raise invalid("resource.scheduling.terminationTime", scheduling["terminationTime"], "Must be in the future.")


def check_disk_kind(kind: str, machine: MachineType) -> None:
    """Refuse a type of disk that the machine type does not take."""
    if kind not in machine.disks:
        raise Refusal(400, "invalid", f"[{kind}] features are not compatible for creating instance.")


def check_image(image: Image, machine: MachineType, size_gb: int) -> None:
    """Refuse an image for another processor, and a disk that is smaller than it."""
    if image.arch != machine.arch:
        raise invalid("resource.disks[0]", image.arch, f"The architecture must be compatible with {machine.name}.")
    if size_gb < image.size_gb:
        raise invalid(
            "resource.disks[0].initializeParams.diskSizeGb",
            size_gb,
            f"Requested disk size cannot be smaller than the image size ({image.size_gb} GB)",
        )
