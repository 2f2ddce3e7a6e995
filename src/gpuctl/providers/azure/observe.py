"""Translates Azure's view of a resource group and its instance into `Observed`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gpuctl.domain.instance import CloudState, LaunchRefusal, Market, Observed, ProviderName
from gpuctl.providers.azure.errors import refusal_of

NAME = "gpuctl-name"
_POWER = {
    "running": CloudState.RUNNING,
    "starting": CloudState.PENDING,
    "stopping": CloudState.STOPPED,
    "stopped": CloudState.STOPPED,
    "deallocating": CloudState.STOPPED,
    "deallocated": CloudState.STOPPED,
}
# Powered off from within it keeps its place in the cloud, and its price.
_OFF_AND_BILLED = frozenset({"stopping", "stopped"})


def observed(
    group: Mapping[str, Any],
    machine: Mapping[str, Any] | None,
    statuses: list[Mapping[str, Any]],
    account: str,
    *,
    is_readiness_queried: bool = False,
) -> Observed:
    """One group, its instance (None without one) and its instance view, all as ARM's JSON.

    KeyError, ValueError, TypeError or AttributeError if the reply has another shape.
    """
    properties = (machine or {}).get("properties", {})
    power = _status(statuses, "PowerState")
    state, refusal = _state(group, machine, statuses, power)
    location = region_of(group["location"])
    size = properties.get("hardwareProfile", {}).get("vmSize", "")
    zones = (machine or {}).get("zones") or [None]
    tags = dict(group.get("tags") or {})
    is_ready = state is CloudState.RUNNING and properties.get("provisioningState") == "Succeeded"
    return Observed(
        provider=ProviderName.AZURE,
        account=account,
        region=location,
        zone=f"{location}-{zones[0]}" if zones[0] else None,
        cloud_id=str(group["name"]).lower(),
        name=tags.get(NAME),
        state=state,
        ready=is_ready if is_readiness_queried else None,
        refusal=refusal,
        bills_when_stopped=power in _OFF_AND_BILLED,
        instance_type=size,
        market=Market.SPOT if properties.get("priority") in ("Spot", "Low") else Market.ON_DEMAND,
        # One that found no place has no hardware, and costs nothing.
        launched_at=None if state is CloudState.FAILED and not power else _instant(properties.get("timeCreated")),
        reports_addresses=False,
        metadata=_metadata(group, location, properties, size),
        tags=tags,
    )


def statuses_of(machine: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The statuses in the instance view of an instance; none where it has no instance view, or is None."""
    view = (machine or {}).get("properties", {}).get("instanceView", {})
    return list(view.get("statuses", ()))


def region_of(location: str) -> str:
    """`East US` and `eastus` are the same place, and ARM says either."""
    return location.replace(" ", "").casefold()


def _state(
    group: Mapping[str, Any], machine: Mapping[str, Any] | None, statuses: list[Mapping[str, Any]], power: str
) -> tuple[CloudState, LaunchRefusal | None]:
    if group.get("properties", {}).get("provisioningState") == "Deleting":
        return CloudState.ENDING, None
    if machine is None:
        return CloudState.REMNANT, None
    step = machine["properties"].get("provisioningState", "")
    if step == "Deleting":
        return CloudState.ENDING, None
    if step == "Failed":
        return CloudState.FAILED, _refusal(statuses)
    if power:
        # A word we do not know is no reason to think it off, nor to fail to see every other instance.
        return _POWER.get(power, CloudState.RUNNING), None
    return CloudState.PENDING, None


def _status(statuses: list[Mapping[str, Any]], kind: str) -> str:
    codes = [str(status["code"]).split("/", 1) for status in statuses]
    return next((code[1].casefold() for code in codes if code[0] == kind and len(code) == 2), "")


def _refusal(statuses: list[Mapping[str, Any]]) -> LaunchRefusal | None:
    for status in statuses:
        kind, _, code = str(status["code"]).partition("/")
        step, _, reason = code.partition("/")
        if kind == "ProvisioningState" and step.casefold() == "failed" and reason:
            return refusal_of(reason, str(status.get("message") or ""))
    return None


def _metadata(group: Mapping[str, Any], location: str, properties: Mapping[str, Any], size: str) -> dict[str, str]:
    image = properties.get("storageProfile", {}).get("imageReference", {})
    parts = [image.get(key, "") for key in ("publisher", "offer", "sku")]
    version = image.get("exactVersion") or image.get("version", "")
    image_id = image.get("id") or (":".join([*parts, version]) if all(parts) else "")
    known = {"resourceGroup": group["name"], "location": location, "vmSize": size, "imageId": image_id}
    return {key: str(value) for key, value in known.items() if value}


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC).replace(microsecond=0)
