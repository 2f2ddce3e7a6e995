"""Creates the record of an instance that has our tags and no record."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from gpuctl.domain.events import EventName
from gpuctl.domain.instance import Attempt, Instance, Observed, Outcome, Status
from gpuctl.domain.lifecycle import note, refreshed
from gpuctl.domain.tags import OWNER, PREFIX, RECORD_ID, ownership
from gpuctl.services.runtime import Runtime


def adopted(observed: Observed, profile: str | None, now: datetime, runtime: Runtime) -> Instance:
    """The record of that instance, from its tags alone; its deadline is the tag's, at most `max_ttl` from now.

    It goes by the name it has in the cloud, if that is one of ours. ValueError if its tags do not name an id and a
    deadline: such an instance is reported, never adopted.
    """
    from gpuctl.domain.market.request import DEFAULT_PURPOSE

    claims = ownership(observed.tags)
    if claims.record_id is None or claims.expires_at is None or observed.launched_at is None:
        raise ValueError(f"{observed.cloud_id} has no ID, deadline or launch time")
    extras = runtime.extras_of(observed.provider, observed.region, None)
    expires_at = min(claims.expires_at, now + runtime.max_ttl)
    record = Instance(
        id=claims.record_id,
        name=_name(observed),
        user=observed.tags.get(OWNER) or "unknown",
        purpose=DEFAULT_PURPOSE,
        provider=observed.provider,
        account=observed.account,
        profile=profile,
        region=observed.region,
        zone=observed.zone,
        instance_type=observed.instance_type,
        market=observed.market,
        image=observed.metadata.get("imageId", "unknown"),
        disk_gb=None,
        ttl=max(expires_at - observed.launched_at, timedelta(0)),
        max_ttl=runtime.max_ttl,
        expires_at=expires_at,
        tags={
            key: value
            for key, value in observed.tags.items()
            if not key.startswith(PREFIX) and not _is_name_tag(key, value, observed)
        },
        price=runtime.price_of(observed.provider, observed.instance_type, observed.region, observed.market),
        disk_price=extras.disk,
        address_price=extras.public_ip,
        billing=extras.billing,
        status=Status.PROVISIONING,
        attempts=(
            Attempt(
                number=1,
                token=claims.record_id,
                at=observed.launched_at,
                provider=observed.provider,
                region=observed.region,
                zone=observed.zone,
                instance_type=observed.instance_type,
                market=observed.market,
                outcome=Outcome.UNKNOWN,
            ),
        ),
        created_at=observed.launched_at,
        updated_at=now,
    )
    return refreshed(note(record, EventName.ADOPTED, now, detail=observed.cloud_id), observed, now)


def without_used_name(record: Instance, present: Iterable[Instance]) -> Instance:
    """The record, without its name if another active instance has it: a name identifies one instance."""
    is_taken = any(instance.is_active and instance.name == record.name for instance in present)
    return record.with_fields(name=None) if is_taken else record


def _name(observed: Observed) -> str | None:
    from gpuctl.domain.market.request import NAME

    name = observed.name or ""
    return name if NAME.fullmatch(name) and not RECORD_ID.fullmatch(name) else None


def _is_name_tag(key: str, value: str, observed: Observed) -> bool:
    return key.casefold() == "name" and value == observed.name
