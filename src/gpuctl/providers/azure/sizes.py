"""What this subscription may have of a size in a region, as ARM's list of SKUs tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpuctl.errors import CapacityError
from gpuctl.providers.azure.client import Clients


@dataclass(frozen=True, slots=True)
class Size:
    """One size in one region: the quota family it counts in, the image generations it boots, and its zones."""

    name: str
    family: str
    generations: Sequence[str]
    zones: Sequence[str]


def size_of(clients: Clients, region: str, name: str) -> Size:
    """The size as it is sold there.

    CapacityError where this subscription cannot have it in that region; raises what the SDK raises.
    """
    said = [one.as_dict() for one in clients.compute.resource_skus.list(filter=f"location eq '{region}'")]
    found = [one for one in said if one.get("resourceType") == "virtualMachines" and one["name"] == name]
    barred = [why for one in found for why in one.get("restrictions", ()) if why.get("type") == "Location"]
    if not found or barred:
        why = f" ({barred[0].get('reasonCode')})" if barred else ""
        raise CapacityError(
            f"this subscription cannot have `{name}` in `{region}`{why}",
            hint=f"gpuctl types --provider azure --region {region}, or another `--region`",
            cloud_code="SkuNotAvailable",
        )
    told: Mapping[str, str] = {one["name"]: one["value"] for one in found[0].get("capabilities", ())}
    places = [place for place in found[0].get("locationInfo", ()) if str(place["location"]).casefold() == region]
    return Size(
        name,
        str(found[0].get("family", "")),
        str(told.get("HyperVGenerations", "V1,V2")).split(","),
        sorted(zone for place in places for zone in place.get("zones", ())),
    )
