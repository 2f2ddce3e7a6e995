"""Microsoft.Compute/disks: those that stand alone. gpuctl makes none, but must leave those of others alone."""

from uuid import uuid4

from werkzeug.wrappers import Response

from gpuctl_sandbox.azure.books import Resource, rfc3339
from gpuctl_sandbox.azure.links import DISK
from gpuctl_sandbox.azure.machine_shapes import DISK as SHAPE
from gpuctl_sandbox.azure.operations import accepted
from gpuctl_sandbox.azure.places import COMPUTE
from gpuctl_sandbox.azure.schema import checked, checked_tags
from gpuctl_sandbox.azure.wire import Call
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
        operation = self._world.begin(call, DISK, lambda: None)
        place = f"/subscriptions/{call.subscription}/providers/{COMPUTE}/locations/{disk.location}"
        patience = self._world.conditions.retry_after
        return accepted(call, operation, place, patience, disk.shown(), 202, location=True)
