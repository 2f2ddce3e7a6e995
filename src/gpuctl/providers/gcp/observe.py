"""What Compute Engine says about an instance, in our words."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from gpuctl.domain.instance import CloudState, LaunchRefusal, Market, Observed, ProviderName, Reason
from gpuctl.domain.tags import ID
from gpuctl.providers.gcp.client import last_part, region_of
from gpuctl.providers.gcp.names import NAME, cloud_id

_STATES = {
    "PROVISIONING": CloudState.PENDING,
    "STAGING": CloudState.PENDING,
    "PENDING": CloudState.PENDING,
    "RUNNING": CloudState.RUNNING,
    "REPAIRING": CloudState.RUNNING,
    "STOPPING": CloudState.ENDING,
    "PENDING_STOP": CloudState.ENDING,
    "DEPROVISIONING": CloudState.ENDING,
    # Stopped, not deleted: its disk bills.
    "TERMINATED": CloudState.STOPPED,
    "STOPPED": CloudState.STOPPED,
    "SUSPENDING": CloudState.STOPPED,
    "SUSPENDED": CloudState.STOPPED,
}


def observed(instance: Mapping[str, Any], account: str, *, is_readiness_queried: bool) -> Observed:
    """One instance as the API shows it. KeyError, ValueError, TypeError or AttributeError for an odd answer."""
    zone, name = last_part(instance["zone"]), str(instance["name"])
    # A status we do not know is no reason to think it stopped, nor to fail to see every other instance.
    state = _STATES.get(str(instance.get("status")), CloudState.RUNNING)
    interface = (instance.get("networkInterfaces") or [{}])[0]
    config = (interface.get("accessConfigs") or [{}])[0]
    labels = {str(key): str(value) for key, value in (instance.get("labels") or {}).items()}
    kind = last_part(instance.get("machineType"))
    return Observed(
        provider=ProviderName.GCP,
        account=account,
        region=region_of(zone),
        zone=zone,
        cloud_id=cloud_id(zone, name),
        name=labels.get(NAME) or (None if labels.get(ID) else name),
        state=state,
        ready=instance.get("status") == "RUNNING" if is_readiness_queried else None,
        instance_type=_type_of(instance, kind),
        market=_market(instance.get("scheduling") or {}),
        launched_at=instant(instance.get("creationTimestamp")),
        public_ip=config.get("natIP"),
        private_ip=interface.get("networkIP"),
        metadata={"zone": zone, "machineType": kind, "instanceId": str(instance.get("id") or "")},
        tags=labels,
    )


def ended(
    instance_id: str, account: str, *, at: datetime | None, reason: Reason | None, refusal: LaunchRefusal | None = None
) -> Observed:
    """An instance of which only its operations are left."""
    zone, _, _ = instance_id.partition("/")
    return Observed(
        provider=ProviderName.GCP,
        account=account,
        region=region_of(zone),
        zone=zone,
        cloud_id=instance_id,
        state=CloudState.ENDED,
        ready=False,
        refusal=refusal,
        reports_addresses=False,
        instance_type="",
        ended_at=None if at is None else at.astimezone(UTC).replace(microsecond=0),
        end_reason=reason,
    )


def limit_of(instance: Mapping[str, Any]) -> datetime | None:
    """When Google itself deletes the instance; None where it shows no such limit."""
    shown = ((instance.get("resourceStatus") or {}).get("scheduling") or {}).get("terminationTimestamp")
    if shown:
        return instant(shown)
    scheduling = instance.get("scheduling") or {}
    duration = scheduling.get("maxRunDuration") or {}
    # Not shown before it runs. It was created before it ran: the limit is never later than this.
    started = instant(instance.get("lastStartTimestamp") or instance.get("creationTimestamp"))
    if started is None or not duration.get("seconds") or instance.get("status") in ("TERMINATED", "STOPPED"):
        return instant(scheduling.get("terminationTime"))
    return started + timedelta(seconds=int(duration["seconds"]))


def instant(text: str | None) -> datetime | None:
    """The instant of a time as Google writes it, to the second."""
    return None if not text else datetime.fromisoformat(text).astimezone(UTC).replace(microsecond=0)


def metadata_of(instance: Mapping[str, Any]) -> dict[str, str]:
    """The metadata entries of an instance."""
    items = (instance.get("metadata") or {}).get("items") or ()
    return {str(item["key"]): str(item.get("value") or "") for item in items}


def _market(scheduling: Mapping[str, Any]) -> Market:
    is_spot = scheduling.get("provisioningModel") == "SPOT" or scheduling.get("preemptible") is True
    return Market.SPOT if is_spot else Market.ON_DEMAND


def _type_of(instance: Mapping[str, Any], kind: str) -> str:
    attached = instance.get("guestAccelerators") or ()
    if not attached or not kind.startswith("n1-"):
        return kind
    return f"{kind}+{attached[0]['acceleratorCount']}x{last_part(attached[0]['acceleratorType'])}"
