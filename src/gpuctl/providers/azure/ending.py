"""Ending a machine: its whole group goes, once it was seen to be ours and to hold nothing of others'."""

from collections.abc import Mapping
from typing import Any

from gpuctl.domain.tags import ID
from gpuctl.errors import CloudError
from gpuctl.providers.azure.client import Clients
from gpuctl.providers.azure.errors import SDK_ERRORS, is_absent
from gpuctl.providers.azure.names import VIRTUAL_MACHINES, machine_id, record_of

FORCED = VIRTUAL_MACHINES
_SHOWN = 3


def end_group(clients: Clients, group: str, *, force: bool) -> str | None:
    """Ask for the end of a group and return the address that tells how far its deletion is; None where it is gone, or
    was on its way already.

    Its tags and what is in it are read again first: CloudError, and nothing is ended, where it is not ours, or holds
    what is not ours (unless `force`). Raises what the SDK raises.
    """
    try:
        said = clients.resource.resource_groups.get(group).as_dict()
    except SDK_ERRORS as error:
        if is_absent(error):
            return None
        raise
    if said.get("properties", {}).get("provisioningState") == "Deleting":
        return None
    inside = [one.as_dict() for one in clients.resource.resources.list_by_resource_group(group)]
    _refuse_foreign(clients, group, said.get("tags") or {}, inside, force=force)
    found: list[str] = []
    clients.resource.resource_groups.begin_delete(
        group,
        force_deletion_types=FORCED,
        polling=False,
        raw_response_hook=lambda answer: found.append(answer.http_response.headers.get("Location", "")),
    )
    return next((one for one in found if one), None)


def is_deleted(clients: Clients, address: str) -> bool:
    """Whether Azure reports that deletion as completed. Raises what the SDK raises."""
    return clients.ask("GET", address, "").status_code != 202


def _refuse_foreign(
    clients: Clients, group: str, tags: Mapping[str, str], inside: list[Mapping[str, Any]], *, force: bool
) -> None:
    record, machine = record_of(group), machine_id(clients.subscription, group).casefold()
    by_id = {str(one["id"]).casefold(): one for one in inside}
    claimed = tags.get(ID) or (by_id.get(machine, {}).get("tags") or {}).get(ID)
    if record is None or claimed != record:
        raise CloudError(f"the group `{group}` does not carry our tags any more: not ended", hint="az group show")
    foreign = [str(one["id"]) for one in inside if not _is_ours(one, record, machine)]
    if foreign and not force:
        names = ", ".join(f"`{_short(one)}`" for one in foreign[:_SHOWN])
        raise CloudError(
            f"the group `{group}` also holds {names}{' …' if len(foreign) > _SHOWN else ''}, which gpuctl did not "
            f"make: `gpuctl terminate {record} --force` ends that too",
        )


def _is_ours(one: Mapping[str, Any], record: str, machine: str) -> bool:
    # A policy may hang an extension on the machine, and Azure makes its disk: both belong to it and end with it.
    belongs = str(one.get("managedBy") or "").casefold() == machine
    is_part = str(one["id"]).casefold().startswith(f"{machine}/")
    return belongs or is_part or (one.get("tags") or {}).get(ID) == record


def _short(resource_id: str) -> str:
    return "/".join(resource_id.split("/")[-2:])
