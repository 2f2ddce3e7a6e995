"""Microsoft.Compute/virtualMachines: made, looked at, tagged, powered and deleted."""

from datetime import datetime
from typing import Any

from werkzeug.wrappers import Response

from gpuctl_sandbox.azure import lives
from gpuctl_sandbox.azure.books import Group, Resource, same
from gpuctl_sandbox.azure.conditions import OF_THE_MACHINE
from gpuctl_sandbox.azure.launches import Launches
from gpuctl_sandbox.azure.limits import take_update
from gpuctl_sandbox.azure.links import MACHINE, NSG
from gpuctl_sandbox.azure.machine_shapes import MACHINE as SHAPE
from gpuctl_sandbox.azure.machine_shapes import MACHINE_UPDATE
from gpuctl_sandbox.azure.operations import Operation, accepted
from gpuctl_sandbox.azure.places import COMPUTE
from gpuctl_sandbox.azure.schema import checked, checked_tags
from gpuctl_sandbox.azure.wire import Call, Json, Refusal, reply
from gpuctl_sandbox.azure.world import World, region_of

_CODE = "BadRequest"
_PREEMPTED = ("OperationPreempted", "Operation execution has been preempted by a more recent operation.")


class Machines:
    """The calls about machines."""

    KIND = MACHINE

    def __init__(self, world: World, launches: Launches) -> None:
        self._world = world
        self._launches = launches

    def put(self, call: Call) -> Response:
        """Make a machine, or ask again for the one that is there: then only what may change may differ."""
        group = self._world.writable_group(call)
        body = checked(call.body, SHAPE, _CODE)
        region, tags = region_of(body["location"], MACHINE), checked_tags(body.get("tags", {}))
        present = self._world.books.find(f"{group.id}/providers/{MACHINE}/{call.names['name']}")
        if present is None:
            machine, status = self._launches.launch(call, group, region, tags, body), 201
        else:
            self._check_alive(present, "update")
            self._launches.check_repeat(present, region, body)
            machine, status = present, 200
            machine.tags = tags
            machine.changed_at = self._world.now()
        if present is not None and present.state != "Failed":
            operation = self._under_way(machine) or self._world.begin(call, MACHINE, lambda: None)
            return self._accepted(call, operation, machine, status, self._shown(machine))
        fault = self._world.conditions.take(call, MACHINE, OF_THE_MACHINE)
        self._to(machine, "Creating", "starting")
        for name in self._world.conditions.policy_makes:
            self._world.books.add(Resource(group, NSG, name, region, self._world.now()))
        machine.hidden["operation"] = self._world.begin(call, MACHINE, lambda: self._started(machine, fault))
        return self._accepted(call, machine.hidden["operation"], machine, status, self._shown(machine))

    def get(self, call: Call) -> Response:
        machine = self._find(call)
        expanded = call.query.get("$expand", "").lower()
        if expanded not in ("", "instanceview", "userdata"):
            raise Refusal(400, "InvalidParameter", f"The value '{expanded}' of '$expand' is not valid.", "$expand")
        return reply(self._shown(machine, with_view=expanded == "instanceview"))

    def every(self, call: Call) -> Response:
        """The machines of the subscription; `statusOnly` shows how they run."""
        resources = self._world.books.resources(MACHINE, subscription=call.subscription)
        is_status = call.query.get("statusOnly", "false").lower() == "true"
        with_view = is_status or call.query.get("$expand", "").lower() == "instanceview"
        shown = [self._shown(resource, with_view=with_view) for resource in resources]
        # As recorded: a listing that goes over groups writes their names in capitals.
        for machine, body in zip(resources, shown, strict=True):
            body["id"] = machine.id.replace(f"/{machine.group.name}/", f"/{machine.group.name.upper()}/", 1)
        return self._world.page(call, shown)

    def patch(self, call: Call) -> Response:
        """Change what the call names: tags as a whole, and what may change of the rest."""
        self._world.writable_group(call)
        machine, body = self._find(call), checked(call.body, MACHINE_UPDATE, _CODE)
        self._check_alive(machine, "update")
        take_update(machine, self._world.now())
        if machine.state == "Creating":
            self._updated_too_soon(machine)
        if body.get("properties"):
            self._launches.check_patch(machine, body["properties"])
        if "tags" in body:
            machine.tags = checked_tags(body["tags"])
        machine.changed_at = self._world.now()
        operation = self._world.begin(call, MACHINE, lambda: None)
        return self._accepted(call, operation, machine, 200, self._shown(machine))

    def delete(self, call: Call) -> Response:
        """Begin to delete; absent already is 204. What hangs on the machine goes only where `deleteOption` says so."""
        group = self._world.writable_group(call)
        machine = self._world.books.find(f"{group.id}/providers/{MACHINE}/{call.names['name']}")
        if machine is None:
            return reply(None, 204)
        self.mark_deleting(machine)
        operation = self._world.begin(call, MACHINE, lambda: self._gone(machine))
        return self._accepted(call, operation, machine, 202, None, location=True)

    def deallocate(self, call: Call) -> Response:
        """Begin to give the hardware back: the bill for it ends."""
        self._world.writable_group(call)
        machine = self._find(call)
        self._check_alive(machine, "deallocate")
        self._to(machine, "Updating", "deallocating")
        operation = self._world.begin(call, MACHINE, lambda: self.deallocated(machine, self._world.now()))
        return self._accepted(call, operation, machine, 202, None, location=True)

    def deallocated(self, machine: Resource, at: datetime) -> None:
        """Give its hardware back at that time, whoever wants it."""
        if self._world.books.find(machine.id) is machine and machine.state != "Deleting":
            machine.hidden["failure"] = None
            self._to(machine, "Succeeded", "deallocated", at)

    def end_bill(self, machine: Resource, at: datetime) -> None:
        """What a timer does at that time, though nobody looked until now: deallocate what holds hardware."""
        if machine.hidden["power"] in lives.BILLING:
            self.deallocated(machine, max(at, machine.hidden["launched_at"]))

    def shut_down(self, machine: Resource) -> None:
        """Power off from inside, as a guest does."""
        self._to(machine, machine.state, "stopped")

    def evict(self, machine: Resource) -> None:
        """Take a spot machine back as its policy says."""
        if machine.properties.get("evictionPolicy", "Deallocate") == "Delete":
            # Its interface and its address stay.
            lives.keep_network(self._world.books, machine)
            self._gone(machine)
        else:
            self.deallocated(machine, self._world.now())

    def mark_deleting(self, machine: Resource) -> None:
        """Show it as on its way out."""
        if machine.state != "Deleting":
            self._world.operations.cancel(
                machine.hidden.get("operation"),
                *_PREEMPTED,
                self._world.now(),
            )
            machine.state = "Deleting"
            machine.hidden["state_since"] = self._world.now()

    def forget(self, resource: Resource) -> None:
        """Close the books of whatever is about to be removed with its group."""
        if resource.type == MACHINE:
            lives.end(self._world.books, resource, self._world.now(), self._world.ended)

    def _gone(self, machine: Resource) -> None:
        if self._world.books.find(machine.id) is machine:
            lives.cascade(self._world.books, machine)
            lives.end(self._world.books, machine, self._world.now(), self._world.ended)

    def _updated_too_soon(self, machine: Resource) -> None:
        if self._world.conditions.update_while_creating == "refused":
            raise Refusal(
                409, "AnotherOperationInProgress", f"The virtual machine '{machine.name}' is still being created."
            )
        self._world.operations.cancel(machine.hidden.get("operation"), *_PREEMPTED, self._world.now())
        machine.hidden["failure"] = dict(zip(("code", "message"), _PREEMPTED, strict=True))
        self._to(machine, "Failed", None, failed=True)

    def _started(self, machine: Resource, fault: Any) -> None:
        if self._world.books.find(machine.id) is not machine or machine.state == "Deleting":
            raise Refusal(409, *_PREEMPTED)
        if fault is None:
            self._to(machine, "Succeeded", "running")
            return
        message = fault.message or OF_THE_MACHINE[fault.code]
        machine.hidden["failure"] = {"code": fault.code, "message": message}
        self._to(machine, "Failed", "running" if fault.code == "OSProvisioningTimedOut" else None, failed=True)
        raise Refusal(409, fault.code, message)

    def _to(
        self, machine: Resource, state: str, power: str | None, at: datetime | None = None, *, failed: bool = False
    ) -> None:
        now = at or self._world.now()
        if not failed and state != "Failed":
            machine.hidden["failure"] = None
        machine.state = state
        machine.hidden["state_since"] = now
        lives.set_power(self._world.books, machine, power, now)

    def _under_way(self, machine: Resource) -> Operation | None:
        operation: Operation | None = machine.hidden.get("operation")
        return operation if operation is not None and not operation.is_over else None

    def _check_alive(self, machine: Resource, doing: str) -> None:
        if machine.state == "Deleting":
            raise Refusal(
                409,
                "OperationNotAllowed",
                f"Operation '{doing}' is not allowed on VM '{machine.name}' since the VM is marked for deletion. You "
                f"can only retry the Delete operation (or wait for an ongoing one to complete).",
            )

    def _find(self, call: Call) -> Resource:
        group: Group = self._world.books.group(call.subscription, call.group)
        return self._world.known(self._world.books.resource(group, MACHINE, call.names["name"]))

    def _shown(self, machine: Resource, *, with_view: bool = False) -> Json:
        shown = machine.shown()
        if with_view:
            shown["properties"] = shown["properties"] | {"instanceView": lives.instance_view(machine)}
        return shown

    def _accepted(
        self,
        call: Call,
        operation: Operation,
        machine: Resource,
        status: int,
        shown: Json | None,
        *,
        location: bool = False,
    ) -> Response:
        place = f"/subscriptions/{call.subscription}/providers/{COMPUTE}/locations/{machine.location}"
        return accepted(call, operation, place, self._world.conditions.retry_after, shown, status, location=location)


def find_machine(world: World, machine_id: str) -> Resource | None:
    """The machine of that id or of that name alone, for the sandbox's own paths."""
    for machine in world.books.resources(MACHINE):
        if same(machine.id, machine_id) or same(machine.name, machine_id):
            return machine
    return None
