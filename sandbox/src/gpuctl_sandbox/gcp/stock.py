"""What the project may have: machine types by zone, quotas with their use, and what is sold out."""

from collections.abc import Iterator
from typing import Any

from gpuctl_sandbox.gcp.machinetypes import ACCELERATORS, TYPES, MachineType
from gpuctl_sandbox.gcp.operations import OperationError
from gpuctl_sandbox.gcp.places import NUMBER, PROJECT, REGIONS, ZONES
from gpuctl_sandbox.gcp.wire import Call, Json, invalid, link, not_found
from gpuctl_sandbox.gcp.world import Instance, World

_GPU_METRICS = sorted(
    {machine.metric for machine in TYPES.values() if machine.metric} | {item.metric for item in ACCELERATORS.values()}
)
# Limits of a project that was granted some of everything; a new one has GPUS_ALL_REGIONS 0.
_GPU_LIMIT, _CPU_LIMIT, _DISK_LIMIT = 64.0, 5_000.0, 500_000.0


class Stock:
    """The calls about types, quotas and places, and the checks that instances go through."""

    def __init__(self, world: World) -> None:
        self._world = world

    def project(self, call: Call) -> Json:
        return {
            "kind": "compute#project",
            "id": NUMBER,
            "creationTimestamp": "2025-02-01T01:02:03.004-08:00",
            "name": PROJECT,
            "selfLink": link(f"projects/{PROJECT}"),
            "quotas": self._quotas("project"),
            "defaultServiceAccount": f"{NUMBER}-compute@developer.gserviceaccount.com",
            "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS",
            "defaultNetworkTier": "PREMIUM",
            "vmDnsSetting": "ZONAL_ONLY",
        }

    def region(self, call: Call) -> Json:
        if call.names["region"] not in REGIONS:
            raise not_found(f"projects/{call.project}/regions/{call.names['region']}")
        return self._region(call.names["region"])

    def regions(self, call: Call) -> list[Json]:
        return [self._region(region) for region in REGIONS]

    def zones(self, call: Call) -> list[Json]:
        return [_zone(zone) for zone in ZONES]

    def machine_types_by_zone(self) -> dict[str, list[Json]]:
        return {
            f"zones/{zone}": [machine.shown(PROJECT, zone) for machine in self.offered(zone).values()] for zone in ZONES
        }

    def accelerator_types_by_zone(self) -> dict[str, list[Json]]:
        lacking = {zone: self._named(self._world.conditions.unoffered, zone) for zone in ZONES}
        return {
            f"zones/{zone}": [
                item.shown(PROJECT, zone) for item in ACCELERATORS.values() if item.name not in lacking[zone]
            ]
            for zone in ZONES
        }

    def offered(self, zone: str) -> dict[str, MachineType]:
        """The types that a zone sells."""
        lacking = self._named(self._world.conditions.unoffered, zone)
        return {name: machine for name, machine in TYPES.items() if name not in lacking}

    def check(self, instance: Instance) -> None:
        """Fail the operation of an instance that the zone has no room for, or that would exceed a quota."""
        if {instance.machine.name, instance.gpu} & self._named(self._world.conditions.unoffered, instance.zone):
            raise OperationError("INVALID_USAGE", f"{instance.gpu} is not available in {instance.zone}.")
        for scope, metric, amount in _needs(instance):
            self._check_quota(instance, scope, metric, amount)
        if {instance.machine.name, instance.gpu} & self._named(self._world.conditions.sold_out, instance.zone):
            advised = self.advice(instance)
            raise OperationError(
                "ZONE_RESOURCE_POOL_EXHAUSTED" + ("_WITH_DETAILS" if advised else ""),
                f"The zone 'projects/{PROJECT}/zones/{instance.zone}' does not have enough resources available to "
                f"fulfill the request.  '(resource type:compute)'.",
                503,
                advised,
            )

    def advice(self, instance: Instance) -> list[Json] | None:
        """The details of a stockout that names other zones; None where none is advised."""
        if not self._world.conditions.advised:
            return None
        named = {
            "vmType": instance.machine.name,
            "zone": instance.zone,
            "zonesAvailable": ",".join(self._world.conditions.advised),
        }
        info = {"domain": "compute.googleapis.com", "reason": "resource_availability", "metadatas": named}
        return [{"errorInfo": info}]

    def _check_quota(self, instance: Instance, scope: str, metric: str, amount: float) -> None:
        limit, used = self._limit(scope, metric), self._used(scope).get(metric, 0.0)
        # The instance itself is in the books already.
        if used > limit and amount:
            where = "globally" if scope == "project" else f"in region {scope}"
            raise OperationError(
                "QUOTA_EXCEEDED",
                f"Quota '{metric}' exceeded.  Limit: {limit} {where}.",
                403,
                [{"quotaInfo": {"metricName": f"compute.googleapis.com/{metric.lower()}", "limitName": metric}}],
            )

    def _region(self, region: str) -> Json:
        return {
            "kind": "compute#region",
            "id": str(1_000 + list(REGIONS).index(region)),
            "creationTimestamp": "1969-12-31T16:00:00.000-08:00",
            "name": region,
            "description": region,
            "status": "UP",
            "zones": [link(f"projects/{PROJECT}/zones/{zone}") for zone in REGIONS[region]],
            "quotas": self._quotas(region),
            "selfLink": link(f"projects/{PROJECT}/regions/{region}"),
        }

    def _quotas(self, scope: str) -> list[Json]:
        used = self._used(scope)
        return [
            {"metric": metric, "limit": self._limit(scope, metric), "usage": used.get(metric, 0.0)}
            for metric in _metrics(scope)
        ]

    def _limit(self, scope: str, metric: str) -> float:
        settings = self._world.conditions.quotas
        own: dict[str, Any] = settings.get(scope, {})
        if scope != "project":
            own = {**settings.get("*", {}), **own}
        default = _CPU_LIMIT if "CPUS" in metric else _DISK_LIMIT if metric == "SSD_TOTAL_GB" else _GPU_LIMIT
        return float(own.get(metric, default))

    def _used(self, scope: str) -> dict[str, float]:
        used: dict[str, float] = {}
        for instance in self._world.instances.values():
            if instance.status == "TERMINATED":
                continue
            for where, metric, amount in _needs(instance):
                if where == scope:
                    used[metric] = used.get(metric, 0.0) + amount
        return used

    @staticmethod
    def _named(places: dict[str, list[str]], zone: str) -> set[str]:
        return {*places.get("*", ()), *places.get(zone, ())}


def check_zone(call: Call) -> None:
    """Refuse a call to a zone that does not exist."""
    if call.zone not in ZONES:
        raise invalid("zone", call.zone, "Unknown zone.")


def _zone(zone: str) -> Json:
    return {
        "kind": "compute#zone",
        "id": str(2_000 + list(ZONES).index(zone)),
        "creationTimestamp": "1969-12-31T16:00:00.000-08:00",
        "name": zone,
        "description": zone,
        "status": "UP",
        "region": link(f"projects/{PROJECT}/regions/{ZONES[zone]}"),
        "selfLink": link(f"projects/{PROJECT}/zones/{zone}"),
    }


def _metrics(scope: str) -> list[str]:
    if scope == "project":
        return ["GPUS_ALL_REGIONS", "CPUS_ALL_REGIONS"]
    return ["CPUS", "SSD_TOTAL_GB", *_GPU_METRICS, *(f"PREEMPTIBLE_{metric}" for metric in _GPU_METRICS)]


def _needs(instance: Instance) -> Iterator[tuple[str, str, float]]:
    """Scope, metric and amount of every quota that the instance draws on."""
    yield "project", "CPUS_ALL_REGIONS", instance.machine.vcpus
    yield instance.region, "CPUS", instance.machine.vcpus
    yield instance.region, "SSD_TOTAL_GB", sum(disk.size_gb for disk in instance.disks if disk.kind != "pd-standard")
    if instance.gpus:
        yield "project", "GPUS_ALL_REGIONS", instance.gpus
    metric = instance.machine.metric or (ACCELERATORS[instance.gpu].metric if instance.gpu in ACCELERATORS else "")
    if metric:
        yield instance.region, f"PREEMPTIBLE_{metric}" if instance.is_spot else metric, instance.gpus
