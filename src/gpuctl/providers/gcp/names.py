"""How things are called: an instance's cloud id, its labels, and its instance type taken apart."""

import re
from dataclasses import dataclass

from gpuctl.domain.tags import EXPIRES_AT, ID, OWNER, RECORD_ID, STATE, deadline_tag
from gpuctl.providers.base import Order

NAME = "gpuctl-name"
OURS = 5
MOST_LABELS = 64
LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")

_NAME = re.compile(rf"(?P<record>{RECORD_ID.pattern})(-[1-9]\d{{0,3}})?")
_OTHER = re.compile(r"[^a-z0-9_-]")


@dataclass(frozen=True, slots=True)
class MachineType:
    """An instance type as Compute Engine takes it: an instance type, and the GPUs that are attached to it."""

    name: str
    gpu: str | None = None
    gpus: int = 0


def machine_type(instance_type: str) -> MachineType:
    """`n1-standard-4+1xnvidia-tesla-t4` taken apart; the other families bring their GPUs."""
    name, _, attached = instance_type.partition("+")
    count, _, gpu = attached.partition("x")
    return MachineType(name, gpu, int(count)) if gpu and count.isdigit() else MachineType(name)


def cloud_id(zone: str, name: str) -> str:
    """`us-central1-a/inst-...`: where an instance is and what it is called."""
    return f"{zone}/{name}"


def parts(instance_id: str) -> tuple[str, str]:
    """Zone and name of a cloud id."""
    zone, _, name = instance_id.partition("/")
    return zone, name


def record_of(name: str) -> str | None:
    """The record's id in an instance's name; None in a name of others."""
    match = _NAME.fullmatch(name)
    return match["record"] if match else None


def labels_of(order: Order) -> dict[str, str]:
    """The labels of an attempt's instance and of its disk."""
    named = {NAME: order.name} if order.name else {}
    return {
        **order.tags,
        **named,
        ID: order.record_id,
        STATE: order.state_id,
        OWNER: folded(order.owner),
        EXPIRES_AT: deadline_tag(order.expires_at),
    }


def other_types_hint(region: str) -> str:
    """What to type where a type is not offered in that region."""
    return f"gpuctl types --provider gcp --region {region}, or another `--region`"


def folded(text: str) -> str:
    """A text as a label's value takes it: lower case, other characters as `-`, 63 at most."""
    return _OTHER.sub("-", text.lower())[:63]
