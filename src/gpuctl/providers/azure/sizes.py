"""What this subscription may have of a size in a region, as ARM's list of SKUs tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpuctl.errors import CapacityError
from gpuctl.providers.azure.client import AzureClients


@dataclass(frozen=True, slots=True)
class VmSize:
    """One size in one region: the quota family it counts in, what it boots, and its zones.

    `arch` and `generations` are those of the images that it boots, `controllers` those of the disks that it takes.
    """

    name: str
    family: str
    generations: Sequence[str]
    zones: Sequence[str]
    arch: str = "x64"
    controllers: Sequence[str] = ("SCSI",)
    is_confidential: bool = False
    has_trusted_launch: bool = False
    has_fast_network: bool = False
    is_sold_as_spot: bool = True


def size_of(clients: AzureClients, region: str, name: str) -> VmSize:
    """The size as it is sold there.

    CapacityError where this subscription cannot have it in that region; raises what the SDK raises.
    """
    skus = [sku.as_dict() for sku in clients.compute.resource_skus.list(filter=f"location eq '{region}'")]
    matching = [
        sku
        for sku in skus
        if sku.get("resourceType") == "virtualMachines" and str(sku["name"]).casefold() == name.casefold()
    ]
    barred = [reason for sku in matching for reason in sku.get("restrictions", ()) if reason.get("type") == "Location"]
    if not matching or barred:
        reason = f" ({barred[0].get('reasonCode')})" if barred else ""
        raise CapacityError(
            f"this subscription cannot have `{name}` in `{region}`{reason}",
            hint=f"gpuctl types --provider azure --region {region}, or another `--region`",
            cloud_code="SkuNotAvailable",
        )
    can: Mapping[str, str] = {
        capability["name"]: str(capability["value"]) for capability in matching[0].get("capabilities", ())
    }
    places = [place for place in matching[0].get("locationInfo", ()) if _region(place["location"]) == _region(region)]
    generations = can.get("HyperVGenerations", "V1,V2").split(",")
    return VmSize(
        name,
        str(matching[0].get("family", "")),
        generations,
        sorted(zone for place in places for zone in place.get("zones", ())),
        arch=can.get("CpuArchitectureType", "x64"),
        controllers=[part.strip() for part in can.get("DiskControllerTypes", "SCSI").split(",")],
        is_confidential=bool(can.get("ConfidentialComputingType")),
        # https://learn.microsoft.com/azure/virtual-machines/trusted-launch-faq: named where it is lacking.
        has_trusted_launch="V2" in generations and not _states(can, "TrustedLaunchDisabled"),
        has_fast_network=_states(can, "AcceleratedNetworkingEnabled"),
        is_sold_as_spot=_states(can, "LowPriorityCapable", by_default=True),
    )


def _states(capabilities: Mapping[str, str], name: str, *, by_default: bool = False) -> bool:
    return capabilities.get(name, str(by_default)).casefold() == "true"


def _region(location: object) -> str:
    # ARM writes `East US` as well as `eastus`.
    return str(location).replace(" ", "").casefold()
