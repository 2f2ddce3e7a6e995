"""What exists: groups and resources by their ids, which ARM compares without regard to case."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from gpuctl_sandbox.azure.wire import Json, Refusal


@dataclass
class Group:
    """One resource group."""

    subscription: str
    name: str
    location: str
    created_at: datetime
    tags: dict[str, str] = field(default_factory=dict)
    state: str = "Succeeded"
    managed_by: str | None = None

    @property
    def id(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.name}"

    def shown(self) -> Json:
        """The group as ARM shows it."""
        body: Json = {
            "id": self.id,
            "name": self.name,
            "type": "Microsoft.Resources/resourceGroups",
            "location": self.location,
            "properties": {"provisioningState": self.state},
        }
        if self.tags:
            body["tags"] = dict(self.tags)
        if self.managed_by:
            body["managedBy"] = self.managed_by
        return body


@dataclass
class Resource:
    """One resource in a group. `properties` is what ARM shows of it; `hidden` what only the cloud knows."""

    group: Group
    type: str
    name: str
    location: str
    created_at: datetime
    tags: dict[str, str] = field(default_factory=dict)
    properties: Json = field(default_factory=dict)
    top: Json = field(default_factory=dict)
    hidden: Json = field(default_factory=dict)
    changed_at: datetime | None = None

    @property
    def id(self) -> str:
        return f"{self.group.id}/providers/{self.type}/{self.name}"

    @property
    def state(self) -> str:
        return str(self.properties.get("provisioningState", "Succeeded"))

    @state.setter
    def state(self, state: str) -> None:
        self.properties["provisioningState"] = state

    def shown(self) -> Json:
        """The resource as its own provider shows it."""
        body: Json = {"id": self.id, "name": self.name, "type": self.type, "location": self.location, **self.top}
        if self.tags:
            body["tags"] = dict(self.tags)
        return body | {"properties": self.properties}


class Books:
    """Every group and resource of every subscription."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}
        self._resources: dict[str, Resource] = {}

    def find_group(self, subscription: str, name: str) -> Group | None:
        return self._groups.get(f"{subscription}/{name}".lower())

    def group(self, subscription: str, name: str) -> Group:
        """That group. Refused as ARM does if there is none."""
        group = self.find_group(subscription, name)
        if group is None:
            raise Refusal(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")
        return group

    def groups(self, subscription: str | None = None) -> list[Group]:
        """All groups (of one subscription), by name."""
        groups = [group for group in self._groups.values() if subscription in (None, group.subscription)]
        return sorted(groups, key=lambda group: group.name.lower())

    def add_group(self, group: Group) -> None:
        self._groups[f"{group.subscription}/{group.name}".lower()] = group

    def remove_group(self, group: Group) -> None:
        self._groups.pop(f"{group.subscription}/{group.name}".lower(), None)

    def find(self, resource_id: str | None) -> Resource | None:
        return self._resources.get((resource_id or "").lower())

    def resource(self, group: Group, kind: str, name: str) -> Resource:
        """That resource. Refused as ARM does if there is none."""
        resource = self.find(f"{group.id}/providers/{kind}/{name}")
        if resource is None:
            raise no_resource(group, kind, name)
        return resource

    def add(self, resource: Resource) -> Resource:
        self._resources[resource.id.lower()] = resource
        return resource

    def remove(self, resource: Resource) -> None:
        self._resources.pop(resource.id.lower(), None)

    def resources(
        self, kind: str | None = None, *, group: Group | None = None, subscription: str | None = None
    ) -> list[Resource]:
        """The resources of one kind, group or subscription, by id."""
        return sorted(self._chosen(kind, group, subscription), key=lambda resource: resource.id.lower())

    def _chosen(self, kind: str | None, group: Group | None, subscription: str | None) -> Iterator[Resource]:
        for resource in self._resources.values():
            is_kind = kind is None or resource.type.lower() == kind.lower()
            is_here = group is None or resource.group is group
            if is_kind and is_here and subscription in (None, resource.group.subscription):
                yield resource


def no_resource(group: Group, kind: str, name: str) -> Refusal:
    """ARM's answer to the id of a resource that it does not find."""
    return Refusal(
        404,
        "ResourceNotFound",
        f"The Resource '{kind}/{name}' under resource group '{group.name}' was not found. "
        f"For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def rfc3339(at: datetime) -> str:
    """An instant as ARM writes it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"


def etag() -> str:
    """A version mark as the network provider writes it."""
    return f'W/"{uuid4()}"'


def same(item: Any, other: Any) -> bool:
    """Whether two ids mean one resource."""
    return str(item or "").lower() == str(other or "").lower()
