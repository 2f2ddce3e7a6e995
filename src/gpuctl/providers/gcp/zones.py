"""The zones in which an instance type is sold, and those that had no room a moment ago."""

from collections.abc import Iterator, Sequence
from typing import overload

from gpuctl.providers.gcp.client import Api, region_of
from gpuctl.providers.gcp.failures import ApiError, PartialList
from gpuctl.providers.gcp.names import machine_type

# Zones, and why others may be missing: None where the list is complete.
_Offered = tuple[frozenset[str], PartialList | None]


class ZoneOrder(Sequence[str]):
    """The zones of a region in the order in which they are worth trying.

    While they are tried, a stockout may name zones that have room: those come next. Each zone is named once.
    """

    def __init__(self, zones: Sequence[str], advised: Sequence[str] = ()) -> None:
        self._zones = list(zones)
        self.advised = list(advised)

    def __iter__(self) -> Iterator[str]:
        visited: set[str] = set()
        while (zone := next((each for each in self._in_order() if each not in visited), None)) is not None:
            visited.add(zone)
            yield zone

    def __len__(self) -> int:
        return len(self._zones)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._in_order()[index]

    def _in_order(self) -> list[str]:
        first = [zone for zone in self.advised if zone in self._zones]
        return [*dict.fromkeys((*first, *self._zones))]


class Zones:
    """Compute Engine picks no zone, so gpuctl does. Each list is read once."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._offered: dict[str, _Offered] = {}
        self._orders: dict[tuple[str, str], ZoneOrder] = {}

    def of(self, region: str, instance_type: str) -> ZoneOrder:
        """The zones of the region that sell the type. Raises what a call raises."""
        key = (region, instance_type)
        if key not in self._orders:
            self._orders[key] = ZoneOrder(self._zones_in(region, instance_type))
        return self._orders[key]

    def refused(self, instance_type: str, advised: Sequence[str]) -> None:
        """Note which zones Google named where another one had no room for the type."""
        for zone in reversed(advised):
            order = self._orders.get((region_of(zone), instance_type))
            if order is not None:
                order.advised.insert(0, zone)

    def _zones_in(self, region: str, instance_type: str) -> list[str]:
        if instance_type not in self._offered:
            self._offered[instance_type] = self._offering(region, instance_type)
        offered, incomplete = self._offered[instance_type]
        zones = sorted(zone for zone in offered if region_of(zone) == region)
        if not zones and incomplete is not None:
            raise incomplete
        return zones

    def _offering(self, region: str, instance_type: str) -> _Offered:
        machine = machine_type(instance_type)
        try:
            zones, incomplete = self._names_of("machineTypes", machine.name)
        except ApiError as error:
            if not _is_not_listed(error):
                raise
            # Without the permission every zone of the region is tried: the insert tells.
            return self._all_in(region), None
        if machine.gpu is None:
            return zones, incomplete
        try:
            with_gpu, also_incomplete = self._names_of("acceleratorTypes", machine.gpu)
        except ApiError as error:
            if not _is_not_listed(error):
                raise
            return zones, incomplete
        return zones & with_gpu, incomplete or also_incomplete

    def _names_of(self, kind: str, name: str) -> _Offered:
        """The zones with a machine type or accelerator of that name, and why the list of them is not complete."""
        zones = set()
        try:
            for zone, item in self._api.aggregated(kind, filter=f"name={name}"):
                if item.get("name") == name:
                    zones.add(zone)
        except PartialList as incomplete:
            return frozenset(zones), incomplete
        return frozenset(zones), None

    def _all_in(self, region: str) -> frozenset[str]:
        listed = (zone for page in self._api.pages("zones") for zone in page.get("items") or ())
        names = (str(zone["name"]) for zone in listed if zone.get("status", "UP") == "UP")
        return frozenset(name for name in names if region_of(name) == region)


def _is_not_listed(error: ApiError) -> bool:
    return error.status in (403, 404) or error.is_unsupported
