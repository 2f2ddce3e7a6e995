"""The calls about disks."""

from gpuctl_sandbox.gcp.wire import Call, Json, not_found
from gpuctl_sandbox.gcp.world import Disk, World


class Disks:
    """Disks by name or numeric id; they come and go with instances."""

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

    def _find(self, call: Call) -> Disk:
        name = call.names.get("disk") or call.names["resource"]
        for disk in self._world.disks.values():
            if disk.zone == call.zone and name in (disk.name, disk.id):
                return disk
        raise not_found(f"projects/{call.project}/zones/{call.zone}/disks/{name}")
