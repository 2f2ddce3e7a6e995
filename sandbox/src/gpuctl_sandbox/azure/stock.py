"""What the subscription may have: sizes with their restrictions, quotas with their use, refusals before a create."""

from collections.abc import Iterable

from werkzeug.wrappers import Response

from gpuctl_sandbox.azure.books import Resource
from gpuctl_sandbox.azure.links import ADDRESS, MACHINE
from gpuctl_sandbox.azure.places import COMPUTE, REGIONS
from gpuctl_sandbox.azure.sizes import SIZES, Size
from gpuctl_sandbox.azure.wire import Call, Json, Refusal, reply
from gpuctl_sandbox.azure.world import World, region_of

_LIMITS = {"cores": 10_000, "virtualMachines": 25_000, "lowPriorityCores": 10_000}
_FAMILY_LIMIT = 2_000
_SHOWN = {
    "cores": "Total Regional vCPUs",
    "virtualMachines": "Virtual Machines",
    "lowPriorityCores": "Total Regional Low-priority vCPUs",
}


class Stock:
    """The calls about sizes and quotas, and the checks that machines go through."""

    def __init__(self, world: World) -> None:
        self._world = world

    def skus(self, call: Call) -> Response:
        """Every size of the regions asked for: all of them without a filter by location."""
        requested = call.query.get("$filter", "")
        regions: Iterable[str] = REGIONS
        if requested:
            name, _, value = requested.partition(" eq ")
            if name.strip() != "location":
                raise Refusal(400, "InvalidFilter", f"The filter '{requested}' is not supported: filter by location.")
            regions = [region_of(value.strip().strip("'"), COMPUTE)]
        shown = [size.shown(region, self._restrictions(size, region)) for region in regions for size in SIZES.values()]
        return reply({"value": shown})

    def usages(self, call: Call) -> Response:
        """The quotas of one region and what of them is used."""
        region = region_of(call.names["location"], COMPUTE)
        used = self._used(call.subscription, region)
        names = [*_LIMITS, *sorted({size.family for size in SIZES.values()})]
        return reply({"value": [_usage(name, used.get(name, 0), self._limit(region, name)) for name in names]})

    def check(self, subscription: str, region: str, size: Size, *, is_spot: bool) -> None:
        """Refuse a machine that the region has no place for, or that would exceed a quota."""
        sold_out = self._world.conditions.in_region(self._world.conditions.sold_out, region, [])
        if self._restrictions(size, region) or size.name in sold_out:
            raise Refusal(
                409,
                "SkuNotAvailable",
                f"The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: "
                f"{size.name}' is currently not available in location '{region}'. Please try another size or deploy to "
                f"a different location or different zone. See https://aka.ms/azureskunotavailable for details.",
            )
        used = self._used(subscription, region)
        names = ("lowPriorityCores",) if is_spot else (size.family, "cores")
        for name in names:
            limit, present = self._limit(region, name), used.get(name, 0)
            if present + size.vcpus > limit:
                raise _exceeded(name, region, limit, present, size.vcpus)

    def check_addresses(self, subscription: str, region: str, count: int) -> None:
        """Refuse more public addresses than the quota allows."""
        limit = self._limit(region, "PublicIPAddresses")
        addresses = self._world.books.resources(ADDRESS, subscription=subscription)
        if sum(resource.location == region for resource in addresses) + count > limit:
            raise Refusal(
                400,
                "PublicIPCountLimitReached",
                f"Cannot create more than {limit} public IP addresses for this subscription in this region.",
            )

    def _restrictions(self, size: Size, region: str) -> list[Json]:
        reasons = self._world.conditions.in_region(self._world.conditions.restrictions, region, {})
        if size.name not in reasons:
            return []
        return [
            {
                "type": "Location",
                "values": [region],
                "restrictionInfo": {"locations": [region]},
                "reasonCode": reasons[size.name],
            }
        ]

    def _limit(self, region: str, name: str) -> int:
        quotas: dict[str, int] = self._world.conditions.in_region(self._world.conditions.quotas, region, {})
        default = 1_000 if name == "PublicIPAddresses" else _LIMITS.get(name, _FAMILY_LIMIT)
        return quotas.get(name, default)

    def _used(self, subscription: str, region: str) -> dict[str, int]:
        used: dict[str, int] = {}
        for machine in self._world.books.resources(MACHINE, subscription=subscription):
            if machine.location == region:
                size = _size(machine)
                is_spot = machine.properties.get("priority") == "Spot"
                for name in ("lowPriorityCores",) if is_spot else ("cores", size.family):
                    used[name] = used.get(name, 0) + size.vcpus
                used["virtualMachines"] = used.get("virtualMachines", 0) + 1
        return used


def _size(machine: Resource) -> Size:
    return SIZES[machine.properties["hardwareProfile"]["vmSize"].lower()]


def _usage(name: str, used: int, limit: int) -> Json:
    shown = _SHOWN.get(name, f"{name} vCPUs")
    return {"unit": "Count", "currentValue": used, "limit": limit, "name": {"value": name, "localizedValue": shown}}


def _exceeded(name: str, region: str, limit: int, present: int, more: int) -> Refusal:
    quota = {"cores": "Total Regional Cores", "lowPriorityCores": "LowPriorityCores"}.get(name, f"{name} Cores")
    return Refusal(
        409,
        "OperationNotAllowed",
        f"Operation could not be completed as it results in exceeding approved {quota} quota. Additional details - "
        f"Deployment Model: Resource Manager, Location: {region}, Current Limit: {limit}, Current Usage: {present}, "
        f"Additional Required: {more}, (Minimum) New Limit Required: {present + more}. Setup Alerts when Quota reaches "
        f"threshold. Learn more at https://aka.ms/quotamonitoringalerting . Submit a request for Quota increase by "
        f"specifying parameters listed in the 'Details' section for deployment to succeed.",
    )
