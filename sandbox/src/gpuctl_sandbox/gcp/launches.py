"""What an insert makes, and what is decided only in its operation: stock, quotas and organization policies."""

from typing import Any
from uuid import UUID

from gpuctl_sandbox.gcp import images, lives, rules
from gpuctl_sandbox.gcp.conditions import OF_THE_OPERATION
from gpuctl_sandbox.gcp.machinetypes import MachineType
from gpuctl_sandbox.gcp.network import Network
from gpuctl_sandbox.gcp.operations import Operation, OperationError
from gpuctl_sandbox.gcp.stock import Stock
from gpuctl_sandbox.gcp.wire import Call, Json, Refusal, invalid, last
from gpuctl_sandbox.gcp.world import Disk, Instance, World

_OS_LOGIN = "compute.requireOsLogin"


class Launches:
    """Makes instances with their disks. A request ID that was used gives back the operation that it began."""

    def __init__(self, world: World, stock: Stock, network: Network) -> None:
        self._world = world
        self._stock = stock
        self._network = network

    def insert(self, call: Call, body: Json) -> Operation:
        """Begin the creation. Everything that can be seen in the request itself is refused at once."""
        name = rules.check_name(body["name"])
        if (call.zone, name) in self._world.instances:
            path = f"projects/{call.project}/zones/{call.zone}/instances/{name}"
            raise Refusal(409, "alreadyExists", f"The resource '{path}' already exists")
        instance = self._built(call, name, body)
        self._check_os_login(instance)
        instance.request_id = call.query.get("requestId")
        fault = self._world.conditions.take(call, OF_THE_OPERATION)
        failure = fault.failure(call, self._stock.advice(instance)) if fault is not None else None
        self._world.instances[instance.zone, name] = instance
        for disk in instance.disks:
            self._world.disks[disk.zone, disk.name] = disk
        operation = self._world.begin(
            call, f"zones/{call.zone}", "insert", instance.target, lambda: self._finish(instance, failure)
        )
        instance.operation = operation
        return operation

    def _finish(self, instance: Instance, failure: OperationError | None) -> None:
        try:
            if failure is not None:
                raise failure
            self._check_policies(instance)
            self._stock.check(instance)
        except OperationError:
            # Nothing of it is left, the disk included.
            for disk in instance.disks:
                disk.auto_delete = True
            lives.remove(self._world, instance, self._world.now())
            self._world.ended.remove(instance)
            raise
        lives.start(instance, self._world.now())

    def _check_os_login(self, instance: Instance) -> None:
        is_off = instance.metadata.get("enable-oslogin", "").upper() == "FALSE"
        if is_off and _OS_LOGIN in self._world.conditions.constraints:
            project = instance.path.split("/")[1]
            raise Refusal(412, "conditionNotMet", f"Constraint constraints/{_OS_LOGIN} violated for project {project}.")

    def _check_policies(self, instance: Instance) -> None:
        constraint = "compute.vmExternalIpAccess"
        if instance.public_ip is not None and constraint in self._world.conditions.constraints:
            raise OperationError(
                "CONDITION_NOT_MET",
                f"Constraint constraints/{constraint} violated for project {instance.path.split('/')[1]}. Add instance "
                f"{instance.path} to the constraint to use external IP with it.",
                412,
            )

    def _built(self, call: Call, name: str, body: Json) -> Instance:
        machine = self._machine(call.zone, body["machineType"])
        gpu, gpus = rules.accelerators(body, machine, call.zone)
        scheduling = rules.check_scheduling(body.get("scheduling", {}), machine, gpu, self._world.now())
        image, disks = self._disks(call, name, body, machine)
        network, has_address = self._network.interface(body.get("networkInterfaces", []), call.zone)
        number = self._world.number()
        instance = Instance(
            zone=call.zone,
            name=name,
            id=number,
            made_at=self._world.now(),
            request=body,
            machine=machine,
            gpu=gpu,
            gpus=gpus,
            image=image,
            disks=disks,
            labels=rules.check_labels(body.get("labels", {})),
            metadata=rules.check_metadata(body.get("metadata")),
            tags=rules.check_tags(body.get("tags")),
            network=network,
            public_ip=f"34.42.{int(number) // 7 % 250}.{int(number) % 250}" if has_address else None,
            private_ip=f"10.128.{int(number) // 7 % 250}.{int(number) % 250}",
            scheduling=scheduling,
            protected=body.get("deletionProtection", False),
        )
        for disk in disks:
            disk.user = instance.path
        return instance

    def _machine(self, zone: str, address: str) -> MachineType:
        parts = address.split("/")
        if len(parts) < 4 or parts[-2] != "machineTypes" or parts[-4] != "zones" or parts[-3] != zone:
            raise invalid("resource.machineType", address, "The URL is malformed.")
        machine = self._stock.offered(zone).get(parts[-1])
        if machine is None:
            why = f"Machine type with name '{parts[-1]}' does not exist in zone '{zone}'."
            raise invalid("resource.machineType", address, why)
        return machine

    def _disks(self, call: Call, name: str, body: Json, machine: MachineType) -> tuple[images.Image, list[Disk]]:
        requested: list[Json] = body.get("disks", [])
        if not requested or not requested[0].get("boot"):
            raise invalid("resource.disks", len(requested), "Boot disk must be specified first.")
        if len(requested) > 1:
            raise invalid("resource.disks", len(requested), "The emulated cloud makes boot disks only.")
        (item,) = requested
        values = item.get("initializeParams", {})
        if "sourceImage" not in values:
            raise invalid("resource.disks[0].initializeParams", "", "A source image is needed.")
        image = images.find(values["sourceImage"])
        size_gb = int(values.get("diskSizeGb", item.get("diskSizeGb", image.size_gb)))
        kind = _kind(values.get("diskType"), call.zone)
        rules.check_disk_kind(kind, machine)
        rules.check_image(image, machine, size_gb)
        disk_name = rules.check_name(values.get("diskName", name), "resource.disks[0].initializeParams.diskName")
        if (call.zone, disk_name) in self._world.disks:
            path = f"projects/{call.project}/zones/{call.zone}/disks/{disk_name}"
            raise Refusal(409, "alreadyExists", f"The resource '{path}' already exists")
        labels = rules.check_labels(values.get("labels", {}), "resource.disks[0].initializeParams.labels")
        auto_delete = item.get("autoDelete", False)
        disk = Disk(
            call.zone,
            disk_name,
            self._world.number(),
            self._world.now(),
            size_gb,
            kind,
            image.path,
            labels,
            auto_delete=auto_delete,
        )
        return image, [disk]


class RequestIds:
    """What each request ID began, for as long as Compute Engine remembers it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._begun: dict[tuple[str, str], Operation] = {}

    def known(self, call: Call) -> Operation | None:
        """The operation that this call's request ID began before. Refused if it is no UUID, or the zero UUID."""
        request_id = call.query.get("requestId")
        if request_id is None:
            return None
        try:
            is_zero = UUID(request_id).int == 0
        except ValueError:
            is_zero = True
        if is_zero:
            raise invalid("requestId", request_id, "The request ID must be a valid UUID, and not the zero UUID.")
        operation = self._begun.get(_key(call))
        if operation is None:
            return None
        age = self._world.now() - operation.started_at
        return operation if age.total_seconds() < self._world.conditions.request_ids_kept_s else None

    def remember(self, call: Call, operation: Any) -> None:
        """Note what this call began."""
        if "requestId" in call.query:
            self._begun[_key(call)] = operation


def _key(call: Call) -> tuple[str, str]:
    return call.path.rpartition("/compute/v1/")[2].partition("/instances")[0], call.query["requestId"].lower()


def _kind(address: str | None, zone: str) -> str:
    if address is None:
        return "pd-standard"
    if f"zones/{zone}/diskTypes/" not in address:
        raise invalid("resource.disks[0].initializeParams.diskType", address, "The URL is malformed.")
    return last(address)
