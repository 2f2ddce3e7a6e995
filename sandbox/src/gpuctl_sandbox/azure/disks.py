"""Microsoft.Compute/disks: those that machines were made with, and those that stand alone."""

from uuid import uuid4

from werkzeug.wrappers import Response

from gpuctl_sandbox.azure.books import Resource, rfc3339
from gpuctl_sandbox.azure.links import DISK
from gpuctl_sandbox.azure.machine_shapes import DISK as SHAPE
from gpuctl_sandbox.azure.operations import accepted
from gpuctl_sandbox.azure.places import COMPUTE
from gpuctl_sandbox.azure.schema import checked, checked_tags
from gpuctl_sandbox.azure.wire import Call, Json, Refusal, reply
from gpuctl_sandbox.azure.world import World, region_of


class Disks:
    """The calls about disks."""

    def __init__(self, world: World) -> None:
        self._world = world

    def put(self, call: Call) -> Response:
        """Make an empty disk, or write its tags and size anew."""
        group, body = self._world.writable_group(call), checked(call.body, SHAPE, "BadRequest")
        region = region_of(body["location"], DISK)
        present = self._world.books.find(f"{group.id}/providers/{DISK}/{call.names['name']}")
        disk = present or Resource(group, DISK, call.names["name"], region, self._world.now())
        kind = body.get("sku", {}).get("name", "Standard_LRS")
        disk.top["sku"] = {"name": kind, "tier": kind.partition("_")[0]}
        disk.tags = checked_tags(body.get("tags", {}))
        disk.properties |= {
            "creationData": {"createOption": "Empty"},
            "diskSizeGB": body["properties"]["diskSizeGB"],
            "provisioningState": "Succeeded",
        }
        disk.properties.setdefault("diskState", "Unattached")
        disk.properties.setdefault("timeCreated", rfc3339(self._world.now()))
        disk.properties.setdefault("uniqueId", str(uuid4()))
        self._world.books.add(disk)
        return self._begun(call, disk, 202, shown=disk.shown())

    def get(self, call: Call) -> Response:
        group = self._world.books.group(call.subscription, call.group)
        return reply(self._world.books.resource(group, DISK, call.names["name"]).shown())

    def every(self, call: Call) -> Response:
        group = self._world.books.group(call.subscription, call.group) if "group" in call.names else None
        resources = self._world.books.resources(DISK, group=group, subscription=call.subscription)
        return self._world.page(call, [resource.shown() for resource in resources])

    def delete(self, call: Call) -> Response:
        """Begin to delete; absent already is 204, attached is refused."""
        group = self._world.writable_group(call)
        disk = self._world.books.find(f"{group.id}/providers/{DISK}/{call.names['name']}")
        if disk is None:
            return reply(None, 204)
        if "managedBy" in disk.top:
            raise Refusal(
                409, "OperationNotAllowed", f"Disk {disk.name} is attached to VM {disk.top['managedBy']}.", "disk"
            )
        return self._begun(call, disk, 202, shown=None)

    def _begun(self, call: Call, disk: Resource, status: int, shown: Json | None) -> Response:
        finish = (lambda: None) if shown is not None else (lambda: self._world.books.remove(disk))
        operation = self._world.begin(call, DISK, finish)
        place = f"/subscriptions/{call.subscription}/providers/{COMPUTE}/locations/{disk.location}"
        patience = self._world.conditions.retry_after
        return accepted(call, operation, place, patience, shown, status, location=True)
