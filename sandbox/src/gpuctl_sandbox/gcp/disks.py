"""The calls about disks."""

from gpuctl_sandbox.gcp import rules
from gpuctl_sandbox.gcp.operations import Operation, Target
from gpuctl_sandbox.gcp.wire import Call, Json, Refusal, last, not_found
from gpuctl_sandbox.gcp.world import Disk, World, fingerprint


class Disks:
    """Disks by name or numeric id."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, call: Call) -> Json:
        return self._find(call).shown()

    def by_zone(self) -> dict[str, list[Json]]:
        """Every disk that lists contain, by zone."""
        fields: dict[str, list[Json]] = {}
        for disk in self._world.disks.values():
            if self._world.is_listed(disk.made_at):
                fields.setdefault(f"zones/{disk.zone}", []).append(disk.shown())
        return fields

    def insert(self, call: Call, body: Json) -> Operation:
        name = rules.check_name(body["name"])
        disk = Disk(
            call.zone,
            name,
            self._world.number(),
            self._world.now(),
            int(body.get("sizeGb", 500)),
            last(body.get("type", "pd-standard")),
            "",
            rules.check_labels(body.get("labels", {})),
        )
        if (call.zone, name) in self._world.disks:
            raise Refusal(409, "alreadyExists", f"The resource '{disk.path}' already exists")
        self._world.disks[call.zone, name] = disk
        return self._world.begin(call, f"zones/{call.zone}", "insert", Target(disk.id, disk.path), lambda: None)

    def delete(self, call: Call) -> Operation:
        """Delete a disk. Refused while it is attached."""
        disk = self._find(call)
        if disk.user is not None:
            raise Refusal(
                400,
                "resourceInUseByAnotherResource",
                f"The disk resource '{disk.path}' is already being used by '{disk.user}'",
            )
        return self._world.begin(
            call,
            f"zones/{call.zone}",
            "delete",
            Target(disk.id, disk.path),
            lambda: _forget(self._world, disk),
        )

    def set_labels(self, call: Call, body: Json) -> Operation:
        disk = self._find(call)
        labels = rules.check_labels(body.get("labels", {}), "labels")
        if body.get("labelFingerprint") != fingerprint(disk.labels):
            raise Refusal(412, "conditionNotMet", "Labels fingerprint either invalid or resource labels have changed")

        def apply() -> None:
            disk.labels = labels

        return self._world.begin(call, f"zones/{call.zone}", "setLabels", Target(disk.id, disk.path), apply)

    def _find(self, call: Call) -> Disk:
        name = call.names.get("disk") or call.names["resource"]
        for disk in self._world.disks.values():
            if disk.zone == call.zone and name in (disk.name, disk.id):
                return disk
        raise not_found(f"projects/{call.project}/zones/{call.zone}/disks/{name}")


def _forget(world: World, disk: Disk) -> None:
    world.disks.pop((disk.zone, disk.name), None)
