"""Compute Engine as one WSGI application, one call at a time: its methods, and what every call goes through first."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from werkzeug.wrappers import Response

from gpuctl_sandbox.gcp import lives, projects
from gpuctl_sandbox.gcp.disks import Disks
from gpuctl_sandbox.gcp.guests import guest_of
from gpuctl_sandbox.gcp.images import IMAGES, Images
from gpuctl_sandbox.gcp.instances import Instances
from gpuctl_sandbox.gcp.launches import Launches, RequestIds
from gpuctl_sandbox.gcp.lists import aggregated, listed
from gpuctl_sandbox.gcp.network import Network
from gpuctl_sandbox.gcp.operations import Operation
from gpuctl_sandbox.gcp.permissions import needed
from gpuctl_sandbox.gcp.places import NUMBER, PROJECT, ZONES
from gpuctl_sandbox.gcp.schema import Discovery
from gpuctl_sandbox.gcp.stock import Stock, check_zone
from gpuctl_sandbox.gcp.wire import Call, Json, Refusal, not_found, read_call, reply
from gpuctl_sandbox.gcp.world import Instance, World
from gpuctl_sandbox.guests.guest import Guest
from gpuctl_sandbox.operated import OperatedCloud


class ComputeCloud(OperatedCloud):
    """Google Cloud with one project and every region."""

    _world: World
    incidents = (*OperatedCloud.incidents, "host-error")

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._discovery = Discovery()
        super().__init__(now)

    @staticmethod
    def owns(path: str) -> bool:
        """Whether a path is one of Compute Engine's, the Resource Manager's or Cloud Billing's."""
        return path.startswith("/compute/") or projects.owns(path)

    def instances(self) -> list[Json]:
        """Every instance since the last reset, ended ones too, oldest first."""
        with self._lock:
            self._settle(is_look=False)
            every = [*self._world.ended, *self._world.instances.values()]
            shown = [lives.entry(instance, self._now(), self._network.ssh_from(instance)) for instance in every]
            return sorted(shown, key=lambda item: (item["launched_at"], item["id"]))

    def guests(self) -> list[Guest]:
        """Every instance that exists, as those who log in find it."""
        with self._lock:
            self._settle(is_look=False)
            return [guest_of(instance, self._network) for instance in self._world.instances.values()]

    def resources(self) -> list[Json]:
        """Every instance, disk and firewall rule that exists now: id, type, labels, state, and whether it bills."""
        with self._lock:
            self._settle(is_look=False)
            instances = [
                {"id": instance.path, "type": "instance", "tags": dict(instance.labels), "state": instance.status}
                | {"bills": instance.status != "PROVISIONING"}
                for instance in self._world.instances.values()
            ]
            disks = [
                {"id": disk.path, "type": "disk", "tags": dict(disk.labels), "state": "READY", "bills": True}
                for disk in self._world.disks.values()
            ]
            rules = [
                {"id": f"projects/{PROJECT}/global/firewalls/{name}", "type": "firewall", "tags": {}, "state": "READY"}
                | {"bills": False}
                for name in self._world.firewalls
            ]
            return [*instances, *disks, *rules]

    def interrupt(self, instance_id: str) -> bool:
        """Take one spot instance back. False if no spot instance has that id (`zone/name`)."""
        return self._with(instance_id, lives.preempt, lambda instance: instance.is_spot)

    def power_off(self, instance_id: str) -> bool:
        """Power an instance off from inside. False if none that runs has that id."""
        return self._with(instance_id, lives.power_off, lambda instance: instance.status == "RUNNING")

    def host_error(self, instance_id: str) -> bool:
        """Let the host of an instance fail. False if none that runs has that id."""
        return self._with(instance_id, lives.host_error, lambda instance: instance.status == "RUNNING")

    def _forget(self) -> None:
        world = self._world = World(self._now)
        self._stock, self._network, self._disks = Stock(world), Network(world), Disks(world)
        self._instances = Instances(world, Launches(world, self._stock, self._network))
        self._requests = RequestIds(world)
        self._images = Images()

    def _with(
        self, instance_id: str, act: Callable[[World, Instance], None], is_fit: Callable[[Instance], bool]
    ) -> bool:
        with self._lock:
            self._settle(is_look=False)
            zone, _, name = instance_id.partition("/")
            instance = self._world.instances.get((zone, name))
            if instance is None or not is_fit(instance):
                return False
            act(self._world, instance)
            return True

    def _settle(self, *, is_look: bool) -> None:
        self._world.operations.settle(self._now(), is_look=is_look)
        lives.fire_limits(self._world)

    def _read(self, environ: dict[str, Any]) -> Call:
        return read_call(environ)

    def _answer(self, call: Call) -> Response:
        self._settle(is_look=True)
        entry: Json = {"service": "gcp", "action": "", "region": "", "method": call.http, "path": call.path}
        self._calls.append(entry)
        if projects.owns(call.path):
            entry["action"], reply = projects.performed(call, self._world.conditions)
            return reply
        call = self._discovery.find(call)
        entry |= {"action": call.method, "region": ZONES.get(call.names.get("zone", ""), call.names.get("region", ""))}
        own = call.names.get("project") in (PROJECT, NUMBER)
        if not own and not (call.method.startswith("images.") and call.project in {i.project for i in IMAGES}):
            raise not_found(f"projects/{call.project}")
        self._check_account(call)
        self._world.conditions.refuse(call)
        if "zone" in call.names:
            check_zone(call)
        body = self._discovery.check(call)
        for permission in needed(call, body, own):
            if not self._world.conditions.grants(permission):
                where = call.path.removeprefix("/compute/v1/")
                raise Refusal(403, "forbidden", f"Required '{permission}' permission for '{where}'")
        return self._performed(call, body)

    def _performed(self, call: Call, body: Any) -> Response:
        begun = self._requests.known(call)
        if begun is not None:
            return reply(begun.shown(PROJECT))
        result = self._methods(call, body)[call.method]()
        if isinstance(result, Response):
            return result
        if isinstance(result, Operation):
            self._requests.remember(call, result)
            return reply(result.shown(PROJECT))
        if isinstance(result, list):
            resource = call.method.partition(".")[0]
            return listed(self._world, call, f"compute#{resource[:-1]}List", result)
        return reply(result)

    def _check_account(self, call: Call) -> None:
        conditions = self._world.conditions
        if conditions.api == "off":
            raise Refusal(
                403,
                "accessNotConfigured",
                f"Compute Engine API has not been used in project {NUMBER} before or it is disabled. Enable it by "
                f"visiting https://console.developers.google.com/apis/api/compute.googleapis.com/overview?project="
                f"{NUMBER} then retry.",
                [_info("SERVICE_DISABLED")],
            )
        if conditions.billing == "off" and call.http == "POST":
            raise Refusal(
                403,
                "forbidden",
                f"This API method requires billing to be enabled. Please enable billing on project #{NUMBER} by "
                f"visiting https://console.developers.google.com/billing/enable?project={NUMBER} then retry.",
                [_info("BILLING_DISABLED")],
            )

    def _operation(self, call: Call) -> Json:
        scope = f"zones/{call.zone}" if "zone" in call.names else "global"
        return self._world.operations.find(PROJECT, scope, call.names["operation"]).shown(PROJECT)

    def _operations(self, call: Call) -> list[Json]:
        return [operation.shown(PROJECT) for operation in self._world.operations.of_scope(f"zones/{call.zone}")]

    def _methods(self, call: Call, body: Any) -> dict[str, Callable[[], Any]]:
        instances, disks, network, stock = self._instances, self._disks, self._network, self._stock
        world = self._world
        return {
            "instances.insert": lambda: instances.insert(call, body),
            "instances.get": lambda: instances.get(call),
            "instances.aggregatedList": lambda: aggregated(
                world, call, "compute#instanceAggregatedList", "instances", instances.by_zone()
            ),
            "instances.delete": lambda: instances.delete(call),
            "instances.setLabels": lambda: instances.set_labels(call, body),
            "instances.setMetadata": lambda: instances.set_metadata(call, body),
            "instances.setDeletionProtection": lambda: instances.set_protection(call),
            "instances.getSerialPortOutput": lambda: instances.serial_port(call),
            "instances.testIamPermissions": lambda: instances.test_permissions(call, body),
            "disks.get": lambda: disks.get(call),
            "disks.aggregatedList": lambda: aggregated(
                world, call, "compute#diskAggregatedList", "disks", disks.by_zone()
            ),
            "zoneOperations.get": lambda: self._operation(call),
            "zoneOperations.list": lambda: self._operations(call),
            "globalOperations.get": lambda: self._operation(call),
            "firewalls.insert": lambda: network.insert_rule(call, body),
            "firewalls.get": lambda: network.rule(call),
            "firewalls.list": lambda: network.rules(call),
            "firewalls.delete": lambda: network.delete_rule(call),
            "subnetworks.get": lambda: network.subnet(call),
            "images.get": lambda: self._images.get(call),
            "images.getFromFamily": lambda: self._images.from_family(call),
            "machineTypes.aggregatedList": lambda: aggregated(
                world, call, "compute#machineTypeAggregatedList", "machineTypes", stock.machine_types_by_zone()
            ),
            "acceleratorTypes.aggregatedList": lambda: aggregated(
                world,
                call,
                "compute#acceleratorTypeAggregatedList",
                "acceleratorTypes",
                stock.accelerator_types_by_zone(),
            ),
            "zones.list": lambda: stock.zones(call),
            "regions.get": lambda: stock.region(call),
            "regions.list": lambda: stock.regions(call),
            "projects.get": lambda: stock.project(call),
        }


def _info(reason: str) -> Json:
    metadata = {"service": "compute.googleapis.com", "consumer": f"projects/{NUMBER}"}
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": metadata,
    }
