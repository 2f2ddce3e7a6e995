"""The calls about instances."""

from gpuctl_sandbox.gcp import lives, rules
from gpuctl_sandbox.gcp.console import console_text
from gpuctl_sandbox.gcp.launches import Launches
from gpuctl_sandbox.gcp.operations import Operation, OperationError
from gpuctl_sandbox.gcp.places import PROJECT
from gpuctl_sandbox.gcp.wire import Call, Json, Refusal, link, not_found, rfc3339
from gpuctl_sandbox.gcp.world import Instance, World, fingerprint


class Instances:
    """Instances by name or numeric id, and what may be changed of them."""

    def __init__(self, world: World, launches: Launches) -> None:
        self._world = world
        self._launches = launches

    def insert(self, call: Call, body: Json) -> Operation:
        return self._launches.insert(call, body)

    def get(self, call: Call) -> Json:
        instance = self._find(call)
        if not self._world.is_found(instance.made_at):
            raise not_found(instance.path)
        return shown(instance)

    def by_zone(self) -> dict[str, list[Json]]:
        """Every instance that lists contain, by zone."""
        fields: dict[str, list[Json]] = {}
        for instance in self._world.instances.values():
            if self._world.is_listed(instance.made_at):
                fields.setdefault(f"zones/{instance.zone}", []).append(shown(instance))
        return fields

    def delete(self, call: Call) -> Operation:
        """Begin the deletion. Refused for a protected instance, and, if set up so, for one that is being deleted."""
        instance = self._find(call)
        if instance.protected:
            raise Refusal(
                400,
                "invalidResourceUsage",
                "Invalid resource usage: 'Resource cannot be deleted if it's protected against deletion. To delete the "
                "resource, first set the deletionProtection field to false.'.",
            )
        if instance.status == "STOPPING" and self._world.conditions.delete_again == "refused":
            raise _not_ready(instance)
        lives.cancel_creation(self._world, instance)
        instance.status = "STOPPING"
        return self._world.begin(
            call, f"zones/{instance.zone}", "delete", instance.target, lambda: self._remove(instance)
        )

    def set_labels(self, call: Call, body: Json) -> Operation:
        """Replace all labels. Refused for a stale fingerprint."""
        instance = self._find(call)
        labels = rules.check_labels(body.get("labels", {}), "labels")
        if body.get("labelFingerprint") != fingerprint(instance.labels):
            raise Refusal(412, "conditionNotMet", "Labels fingerprint either invalid or resource labels have changed")
        return self._changed(call, instance, "setLabels", labels=labels)

    def set_metadata(self, call: Call, body: Json) -> Operation:
        """Replace all metadata. Refused for a stale fingerprint."""
        instance = self._find(call)
        metadata = rules.check_metadata(body)
        if body.get("fingerprint") != fingerprint(instance.metadata):
            raise Refusal(412, "conditionNotMet", "Supplied fingerprint does not match current metadata fingerprint.")
        return self._changed(call, instance, "setMetadata", metadata=metadata)

    def set_protection(self, call: Call) -> Operation:
        """Set the protection against deletion, as an owner does; on where the parameter is left out."""
        instance = self._find(call)
        wanted = call.query.get("deletionProtection", "true").lower() == "true"
        return self._changed(call, instance, "setDeletionProtection", protected=wanted)

    def serial_port(self, call: Call) -> Json:
        """The console output from `start` on."""
        instance = self._find(call)
        text = console_text(instance, self._world.now())
        start = min(int(call.query.get("start", 0)), len(text))
        return {
            "kind": "compute#serialPortOutput",
            "selfLink": link(f"{instance.path}/serialPort"),
            "contents": text[start:],
            "start": str(start),
            "next": str(len(text)),
        }

    def test_permissions(self, call: Call, body: Json) -> Json:
        """Those of the permissions that the caller holds; the field is absent where it holds none."""
        self._find(call)
        held = [name for name in body.get("permissions", []) if self._world.conditions.grants(name)]
        return {"permissions": held} if held else {}

    def _changed(self, call: Call, instance: Instance, kind: str, **facts: object) -> Operation:
        if instance.status == "STOPPING":
            raise _not_ready(instance)

        def apply() -> None:
            if instance.ended_at is not None:
                raise OperationError("RESOURCE_NOT_FOUND", f"The resource '{instance.path}' was not found", 404)
            for name, value in facts.items():
                setattr(instance, name, value)

        return self._world.begin(call, f"zones/{instance.zone}", kind, instance.target, apply)

    def _remove(self, instance: Instance) -> None:
        if instance.ended_at is None:
            lives.remove(self._world, instance, self._world.now())

    def _find(self, call: Call) -> Instance:
        name = call.names.get("instance") or call.names["resource"]
        for instance in self._world.instances.values():
            if instance.zone == call.zone and name in (instance.name, instance.id):
                return instance
        raise not_found(f"projects/{PROJECT}/zones/{call.zone}/instances/{name}")


def shown(instance: Instance) -> Json:
    """The instance as a reply has it."""
    zone = f"projects/{PROJECT}/zones/{instance.zone}"
    interface: Json = {
        "kind": "compute#networkInterface",
        "network": link(f"projects/{PROJECT}/global/networks/{instance.network}"),
        "subnetwork": link(f"projects/{PROJECT}/regions/{instance.region}/subnetworks/default"),
        "networkIP": instance.private_ip,
        "name": "nic0",
        "stackType": "IPV4_ONLY",
        "fingerprint": fingerprint(instance.private_ip),
    }
    if instance.public_ip is not None:
        config = {
            "kind": "compute#accessConfig",
            "type": "ONE_TO_ONE_NAT",
            "name": "External NAT",
            "networkTier": "PREMIUM",
        }
        # An ephemeral address is there while the instance runs.
        running = {"natIP": instance.public_ip} if instance.status == "RUNNING" else {}
        interface["accessConfigs"] = [config | running]
    entry: Json = {
        "kind": "compute#instance",
        "id": instance.id,
        "creationTimestamp": rfc3339(instance.made_at),
        "name": instance.name,
        "tags": {"fingerprint": fingerprint(instance.tags)} | ({"items": instance.tags} if instance.tags else {}),
        "machineType": link(f"{zone}/machineTypes/{instance.machine.name}"),
        "status": _status(instance),
        "zone": link(zone),
        "canIpForward": False,
        "networkInterfaces": [interface],
        "disks": [lives.attached(instance, disk, index) for index, disk in enumerate(instance.disks)],
        "metadata": {
            "kind": "compute#metadata",
            "fingerprint": fingerprint(instance.metadata),
            "items": [{"key": key, "value": value} for key, value in instance.metadata.items()],
        },
        "selfLink": link(instance.path),
        "scheduling": instance.scheduling,
        "cpuPlatform": "Intel Cascade Lake",
        "labelFingerprint": fingerprint(instance.labels),
        "startRestricted": False,
        "deletionProtection": instance.protected,
        "resourceStatus": lives.resource_status(instance),
        "fingerprint": fingerprint([instance.id, instance.status]),
    }
    if instance.labels:
        entry["labels"] = dict(instance.labels)
    if instance.gpu:
        kind = link(f"{zone}/acceleratorTypes/{instance.gpu}")
        entry["guestAccelerators"] = [{"acceleratorType": kind, "acceleratorCount": max(1, int(instance.gpus))}]
    if instance.running_since is not None:
        entry["lastStartTimestamp"] = rfc3339(instance.running_since)
    if instance.stopped_at is not None:
        entry["lastStopTimestamp"] = rfc3339(instance.stopped_at)
    return entry


def _status(instance: Instance) -> str:
    operation = instance.operation
    if instance.status == "PROVISIONING" and operation is not None and operation.looks > 0:
        return "STAGING"
    return instance.status


def _not_ready(instance: Instance) -> Refusal:
    return Refusal(400, "resourceNotReady", f"The resource '{instance.path}' is not ready")
