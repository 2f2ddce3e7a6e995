"""Everything that exists in Azure for one record: the resource groups of its attempts and what is in them."""

from collections.abc import Iterator, Mapping
from typing import Any

from gpuctl.domain.resource import Resource
from gpuctl.domain.tags import ID
from gpuctl.providers.azure.client import AzureClients
from gpuctl.providers.azure.errors import SDK_ERRORS, is_absent
from gpuctl.providers.azure.names import machine_id


def list_resources(clients: AzureClients, record_id: str, group: str) -> list[Resource]:
    """The groups that carry the record's ID tag, the group of that name, and all resources in them.

    Complete, or it raises what the SDK raises.
    """
    groups = {str(item["name"]).lower(): item for item in _groups(clients, record_id, group)}
    resources = []
    for name, each in groups.items():
        resources.append(Resource("group", name, dict(each.get("tags") or {})))
        machine = machine_id(clients.subscription, name).casefold()
        try:
            inside = [item.as_dict() for item in clients.resource.resources.list_by_resource_group(name)]
        except SDK_ERRORS as error:
            # Deleted between the two calls.
            if not is_absent(error):
                raise
            resources.pop()
            continue
        resources += [_resource(item, machine) for item in inside]
    return resources


def _groups(clients: AzureClients, record_id: str, group: str) -> Iterator[Mapping[str, Any]]:
    operations = clients.resource.resource_groups
    yield from (item.as_dict() for item in operations.list(filter=f"tagName eq '{ID}' and tagValue eq '{record_id}'"))
    if not group:
        return
    try:
        yield operations.get(group).as_dict()
    except SDK_ERRORS as error:
        if not is_absent(error):
            raise


def _resource(item: Mapping[str, Any], machine: str) -> Resource:
    kind = str(item["type"]).rpartition("/")[2]
    # Azure creates the disk of the instance itself, and a policy may add an extension.
    is_part = str(item.get("managedBy") or "").casefold() == machine or str(item["id"]).casefold().startswith(
        f"{machine}/"
    )
    return Resource(kind, str(item["name"]), dict(item.get("tags") or {}), is_part=is_part)
