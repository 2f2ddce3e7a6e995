"""Resource groups: put, tagged, listed, and deleted with everything in them."""

import re

from werkzeug.wrappers import Response

from gpuctl_sandbox.azure.books import Group, Resource, rfc3339
from gpuctl_sandbox.azure.conditions import OF_THE_GROUP
from gpuctl_sandbox.azure.filters import matching
from gpuctl_sandbox.azure.links import holders
from gpuctl_sandbox.azure.machines import Machines
from gpuctl_sandbox.azure.operations import result
from gpuctl_sandbox.azure.schema import READ_ONLY, TAGS, Object, checked, checked_tags
from gpuctl_sandbox.azure.wire import Call, Json, Refusal, reply
from gpuctl_sandbox.azure.world import World, region_of

KIND = "Microsoft.Resources/resourceGroups"
_GROUP = {
    "id": READ_ONLY,
    "name": READ_ONLY,
    "type": READ_ONLY,
    "location": str,
    "tags": TAGS,
    "managedBy": str,
    "properties": Object("ResourceGroupProperties", {"provisioningState": READ_ONLY}),
}
_PUT = Object("ResourceGroup", _GROUP, required=("location",))
_PATCH = Object("ResourceGroupPatchable", _GROUP)
_NAME = re.compile(r"[\w.()-]{1,90}")
_FORCED = {"microsoft.compute/virtualmachines", "microsoft.compute/virtualmachinescalesets"}


class Groups:
    """The calls about resource groups."""

    def __init__(self, world: World, machines: Machines) -> None:
        self._world = world
        self._machines = machines

    def put(self, call: Call) -> Response:
        """Make a group, or write an existing one's tags anew: those that the call does not name are gone then."""
        if not _NAME.fullmatch(call.group) or call.group.endswith("."):
            raise Refusal(400, "InvalidResourceGroup", f"The resource group name '{call.group}' is not valid.")
        body = checked(call.body, _PUT)
        region = region_of(body["location"], KIND)
        tags = checked_tags(body.get("tags", {}))
        group = self._world.books.find_group(call.subscription, call.group)
        if group is None:
            group = Group(
                call.subscription, call.group, region, self._world.now(), tags, managed_by=body.get("managedBy")
            )
            self._world.books.add_group(group)
            return reply(group.shown(), 201)
        self._world.writable_group(call, is_known=True)
        if region != group.location:
            raise Refusal(
                409,
                "InvalidResourceGroupLocation",
                f"Invalid resource group location '{region}'. The Resource group already exists in location "
                f"'{group.location}'.",
            )
        group.tags = tags
        return reply(group.shown())

    def get(self, call: Call) -> Response:
        return reply(self._world.group(call).shown())

    def patch(self, call: Call) -> Response:
        """Change what the call names; tags as a whole."""
        body = checked(call.body, _PATCH)
        group = self._world.writable_group(call)
        if "location" in body and region_of(body["location"], KIND) != group.location:
            raise Refusal(409, "InvalidResourceGroupLocation", "The location of a resource group cannot be changed.")
        if "tags" in body:
            group.tags = checked_tags(body["tags"])
        return reply(group.shown())

    def every(self, call: Call) -> Response:
        groups = [group for group in self._world.books.groups(call.subscription) if self._is_listed(group)]
        return self._world.page(call, [item.shown() for item in matching(call.query.get("$filter"), groups)])

    def resources(self, call: Call) -> Response:
        """What lies in one group."""
        group = self._world.books.group(call.subscription, call.group)
        resources = [resource for resource in self._world.books.resources(group=group) if self._is_listed(resource)]
        expanded = set(call.query.get("$expand", "").split(",")) - {""}
        shown = [_as_listed(item, expanded) for item in resources]
        return self._world.page(call, shown)

    def delete(self, call: Call) -> Response:
        """Begin to delete a group and all that is in it."""
        forced = {part.strip().lower() for part in call.query.get("forceDeletionTypes", "").split(",")} - {""}
        if forced - _FORCED:
            raise Refusal(
                400, "InvalidForceDeletionTypes", f"Force deletion is not supported for '{sorted(forced)[0]}'."
            )
        group = self._world.books.group(call.subscription, call.group)
        fault = self._world.conditions.take(call, KIND, OF_THE_GROUP)
        group.state = "Deleting"
        for machine in self._world.books.resources(self._machines.KIND, group=group):
            self._machines.mark_deleting(machine)
        operation = self._world.begin(call, KIND, lambda: self._empty(group, is_blocked=fault is not None))
        place = f"/subscriptions/{call.subscription}/operationresults/{operation.name}"
        patience = str(self._world.conditions.retry_after)
        return reply(None, 202, {"Location": call.url(place), "Retry-After": patience})

    def operation_result(self, call: Call) -> Response:
        operation = self._world.operations.find(call.names["operation"])
        return result(call, operation, self._world.conditions.retry_after)

    def _is_listed(self, group: Group | Resource) -> bool:
        return (self._world.now() - group.created_at).total_seconds() >= self._world.conditions.listing_lag_s

    def _empty(self, group: Group, *, is_blocked: bool) -> None:
        if self._world.books.find_group(group.subscription, group.name) is not group:
            return
        books = self._world.books
        staying = [
            resource
            for resource in books.resources(group=group)
            if any(h.group is not group for h in holders(books, resource))
        ]
        for resource in books.resources(group=group):
            if resource not in staying and not (is_blocked and resource.type.startswith("Microsoft.Network")):
                self._machines.forget(resource)
                books.remove(resource)
        left = books.resources(group=group)
        if left or is_blocked:
            group.state = "Succeeded"
            names = ", ".join(f"{resource.type}/{resource.name}" for resource in left)
            raise Refusal(
                409,
                "ResourceGroupDeletionBlocked",
                f"Deletion of resource group '{group.name}' failed as resources with identifiers '{names}' could not "
                f"be deleted. The provisioning state of the resource group will be rolled back.",
            )
        books.remove_group(group)


def _as_listed(resource: Resource, expanded: set[str]) -> Json:
    body: Json = {"id": resource.id, "name": resource.name, "type": resource.type, "location": resource.location}
    body |= {name: value for name, value in resource.top.items() if name in ("sku", "managedBy", "zones", "kind")}
    if resource.tags:
        body["tags"] = dict(resource.tags)
    if "createdTime" in expanded:
        body["createdTime"] = rfc3339(resource.created_at)
    if "changedTime" in expanded:
        body["changedTime"] = rfc3339(resource.changed_at or resource.created_at)
    if "provisioningState" in expanded:
        body["provisioningState"] = resource.state
    return body
