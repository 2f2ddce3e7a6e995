"""What attempts change in a record, as pure functions of the record and of the result of a create request."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from gpuctl.domain.duration import exact
from gpuctl.domain.events import EventName
from gpuctl.domain.instance import Attempt, Instance, Observed, Outcome, Reason, Status
from gpuctl.domain.lifecycle import advance, attempted, launch_failed, note, refreshed, with_facts
from gpuctl.domain.market.ssh_source import with_sources
from gpuctl.errors import GpuctlError
from gpuctl.providers.base import Order
from gpuctl.services.launch.create import CreateResult
from gpuctl.services.launch.launchable import Launchable

LEAST_LEFT = timedelta(minutes=5)
MOST_ATTEMPTS = 40


class NoMoreAttempts(GpuctlError):
    """No further attempt may be made: somebody gave the record up, or its deadline is too near."""


def with_result(fresh: Instance, result: CreateResult, launchable: Launchable) -> Instance:
    """The record with what became of its last attempt, after which there is none."""
    now = launchable.session.now
    if result.observed is not None:
        if fresh.status.is_ended:
            return with_facts(fresh, now, cloud_id=result.observed.cloud_id, id_is_from_create=True)
        return refreshed(fresh, result.observed, now, from_create=True)
    fresh = _with_outcome(fresh, result)
    detail = fresh.last_error
    if result.leftovers is not None and not fresh.status.is_ended:
        created = {"cloud_id": result.leftovers, "id_is_from_create": True}
        return advance(with_facts(fresh, now, **created), Status.STOPPING, now, Reason.REFUSED, detail=detail)
    if result.outcome is Outcome.UNKNOWN or fresh.status.is_ended:
        return note(fresh, EventName.ERROR, now, detail=detail)
    ended = Status.TERMINATED if fresh.status is Status.STOPPING else Status.FAILED
    return advance(fresh, ended, now, Reason.REFUSED, detail=detail, last_error=detail)


def start_failed(fresh: Instance, observed: Observed, error: GpuctlError, launchable: Launchable) -> Instance:
    """The record after its instance could not be started. NoMoreAttempts if that is not what it is doing any more."""
    if fresh.status is not Status.CONFIGURING or fresh.cloud_id != observed.cloud_id:
        raise NoMoreAttempts(f"{fresh.label} is {fresh.status} now: no further attempt is made")
    return launch_failed(fresh, observed, error.message, launchable.session.now)


def with_refusal(fresh: Instance, result: CreateResult, launchable: Launchable) -> Instance:
    """The record with a refusal after which another attempt may follow."""
    fresh = _with_outcome(fresh, result)
    return note(fresh, EventName.ERROR, launchable.session.now, detail=fresh.last_error)


def _with_outcome(fresh: Instance, result: CreateResult) -> Instance:
    detail = result.error.message if result.error else None
    shape = {"outcome": result.outcome, "detail": detail, "cloud_id": result.leftovers}
    last = fresh.attempts[-1].model_copy(update=shape)
    return fresh.with_fields(attempts=(*fresh.attempts[:-1], last), last_error=detail)


def reason_for_no_attempt(record: Instance, now: datetime) -> str | None:
    """Why no further attempt may be made for it; None if one may."""
    if record.status is not Status.PROVISIONING:
        return f"{record.label} is {record.status} now: no further attempt is made"
    if record.expires_at - now < LEAST_LEFT:
        return (
            f"less than {exact(LEAST_LEFT)} are left until the deadline of {record.label}: no further attempt is made"
        )
    if len(record.attempts) >= MOST_ATTEMPTS:
        return f"{record.label} had {MOST_ATTEMPTS} attempts: no further attempt is made"
    return None


def with_attempt(fresh: Instance, launchable: Launchable, sources: Sequence[str]) -> Instance:
    now = launchable.session.now
    if (reason := reason_for_no_attempt(fresh, now)) is not None:
        raise NoMoreAttempts(reason)
    number, offer = len(fresh.attempts) + 1, launchable.offer
    attempt = Attempt(
        number=number,
        token=f"{fresh.id}-{number}",
        at=now,
        provider=offer.type.provider,
        region=offer.region,
        zone=launchable.placement.zone,
        instance_type=offer.type.name,
        market=offer.market,
    )
    return attempted(
        fresh,
        attempt,
        now,
        account=launchable.session.account,
        profile=launchable.session.profile,
        price=offer.price,
        disk_price=launchable.extras.disk,
        address_price=launchable.extras.public_ip,
        billing=launchable.extras.billing,
        image=launchable.image.id,
        subnet=launchable.request.subnet,
        metadata=with_sources(fresh.metadata, sources),
    )


def order_of(record: Instance, launchable: Launchable, state_id: str) -> Order:
    """The order of the record's last attempt there: the same record always gives the same order."""
    attempt = record.attempts[-1]
    return Order(
        token=attempt.token,
        record_id=record.id,
        state_id=state_id,
        owner=record.user,
        name=record.name,
        expires_at=record.expires_at,
        max_ttl=record.max_ttl,
        region=attempt.region,
        zone=attempt.zone,
        subnet=record.subnet,
        instance_type=attempt.instance_type,
        market=attempt.market,
        image=launchable.image,
        disk_gb=launchable.request.disk_gb,
        created_at=attempt.at,
        ssh_key=record.ssh_key,
        ssh_from=record.ssh_from,
        max_price=launchable.request.max_price,
        idle=record.idle,
        tags=record.tags,
    )
