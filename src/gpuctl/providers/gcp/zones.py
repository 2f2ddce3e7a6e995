"""The zones in which an instance type is sold, and those that had no room a moment ago."""

from collections.abc import Iterator, Sequence
from typing import overload

from gpuctl.providers.gcp.client import Api, region_of
from gpuctl.providers.gcp.failures import ApiError
from gpuctl.providers.gcp.names import machine_type

_NOT_LISTED = (403, 404)


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
    """Compute Engine picks no zone, so gpuctl does. Each question is asked once."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._offered: dict[str, frozenset[str]] = {}
        self._orders: dict[tuple[str, str], ZoneOrder] = {}

    def of(self, region: str, instance_type: str) -> ZoneOrder:
        """The zones of the region that sell the type. Raises what a call raises."""
        key = (region, instance_type)
        if key not in self._orders:
            self._orders[key] = ZoneOrder(self._in(region, instance_type))
        return self._orders[key]

    def refused(self, instance_type: str, advised: Sequence[str]) -> None:
        """Note which zones Google named where another one had no room for the type."""
        for zone in reversed(advised):
            order = self._orders.get((region_of(zone), instance_type))
            if order is not None:
                order.advised.insert(0, zone)

    def _in(self, region: str, instance_type: str) -> list[str]:
        if instance_type not in self._offered:
            self._offered[instance_type] = self._selling(instance_type)
        return sorted(zone for zone in self._offered[instance_type] if region_of(zone) == region)

    def _selling(self, instance_type: str) -> frozenset[str]:
        machine = machine_type(instance_type)
        zones = self._named("machineTypes", machine.name)
        if machine.gpu is None:
            return frozenset(zones)
        try:
            return frozenset(zones & self._named("acceleratorTypes", machine.gpu))
        except ApiError as error:
            if error.status not in _NOT_LISTED:
                raise
            # Without the permission every zone with the instance type is tried: the insert tells.
            return frozenset(zones)

    def _named(self, kind: str, name: str) -> set[str]:
        matching = self._api.everywhere(kind, filter=f"name={name}")
        return {zone for zone, item in matching if item.get("name") == name}
