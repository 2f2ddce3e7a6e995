"""What everything of one instance is called: all of it follows from the attempt's token alone."""

import re

from gpuctl.domain.tags import RECORD_ID

VIRTUAL_MACHINES = "Microsoft.Compute/virtualMachines"
SUBNET = "gpuctl"
NIC, ADDRESS = "nic", "address"
_GROUP = re.compile(rf"gpuctl-(?P<token>(?P<record>{RECORD_ID.pattern})(-[1-9]\d{{0,3}})?)", re.IGNORECASE)


def group_of(token: str) -> str:
    """The resource group that holds one attempt's instance and nothing else; it is the instance's cloud id."""
    return f"gpuctl-{token}"


def token_of(group: str) -> str | None:
    """The attempt's token in a group's name, which is also what its instance is called; None in a name of others."""
    match = _GROUP.fullmatch(group)
    return match["token"].lower() if match else None


def record_of(group: str) -> str | None:
    """The record's id in a group's name; None in a name of others."""
    match = _GROUP.fullmatch(group)
    return match["record"].lower() if match else None


def group_id(subscription: str, group: str) -> str:
    """The full id of a group."""
    return f"/subscriptions/{subscription}/resourceGroups/{group}"


def machine_id(subscription: str, group: str) -> str:
    """The full id of the instance in a group of ours."""
    return f"{group_id(subscription, group)}/providers/{VIRTUAL_MACHINES}/{token_of(group)}"


def group_in(resource_id: str) -> str:
    """The group's name in any resource's id; empty where there is none. Ids come back in any case."""
    parts = resource_id.split("/")
    return parts[4] if len(parts) > 4 and parts[3].casefold() == "resourcegroups" else ""
