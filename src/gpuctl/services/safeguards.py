"""Reads from the provider which safeguards an instance has, and saves them in its record."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.lifecycle import with_facts
from gpuctl.domain.money.cost import hourly_when_stopped, to_cents
from gpuctl.domain.safeguards import Safeguard
from gpuctl.errors import GpuctlError
from gpuctl.services.runtime import Runtime

if TYPE_CHECKING:
    from gpuctl.providers.base import Provider

_MONTH = timedelta(hours=730)
REPORTS_WITHIN = timedelta(minutes=5)


def read_back(runtime: Runtime, records: Sequence[Instance]) -> Mapping[str, GpuctlError]:
    """Query the safeguards of these instances and save them in their records.

    Returns the error of each that could not be queried; its record keeps the earlier result. Records without an
    instance, and those being terminated, are skipped.
    """
    replies: dict[str, Sequence[Safeguard]] = {}
    failures: dict[str, GpuctlError] = {}
    for record in records:
        if not record.is_active or record.status is Status.STOPPING or record.cloud_id is None:
            continue
        try:
            session = runtime.sessions.of(record)
            replies[record.id] = safeguards_of(session.provider, record, session.now)
        except GpuctlError as error:
            failures[record.id] = error

    def with_reply(fresh: Instance) -> Instance:
        return with_facts(fresh, runtime.clock.now(), safeguards=tuple(replies[fresh.id]))

    runtime.store.update_each(list(replies), with_reply)
    return failures


def safeguards_of(provider: "Provider", record: Instance, now: datetime) -> tuple[Safeguard, ...]:
    """What terminates the instance without us, read back from its provider now. Raises what the provider does.

    A timer that only stops the instance says what that leaves to be paid, and until when.
    """
    safeguards = provider.safeguards(record.region, record.cloud_id or "", now, record.ready_at)
    return tuple(_with_remaining_cost(safeguard, record) for safeguard in safeguards)


def _with_remaining_cost(safeguard: Safeguard, record: Instance) -> Safeguard:
    if safeguard.afterwards is None or safeguard.is_missing:
        return safeguard
    cost = hourly_when_stopped(record).for_span(_MONTH)
    known = None if cost.disk is None or cost.public_ip is None else to_cents(cost.disk + cost.public_ip)
    price = "an unknown amount" if known is None else f"${known}"
    what = "the disk still costs" if record.billing.releases_address else "disk and public IP still cost"
    remaining = f"after that, {what} {price} a month until the reaper deletes the instance"
    return safeguard.model_copy(
        update={"detail": "; ".join(filter(None, (safeguard.detail, remaining, safeguard.afterwards)))}
    )


def unconfirmed(records: Sequence[Instance], now: datetime) -> list[Instance]:
    """The instances whose timer was read back before they had been ready for 5 min, and not since.

    By then a guard has reported itself. An instance whose timer was never read back is not among them.
    """
    return [record for record in records if any(_is_early(record, each, now) for each in record.safeguards)]


def _is_early(record: Instance, safeguard: Safeguard, now: datetime) -> bool:
    if record.ready_at is None or not safeguard.is_timer or safeguard.is_missing:
        return False
    return safeguard.checked_at < record.ready_at + REPORTS_WITHIN <= now


def gaps(record: Instance) -> list[str]:
    """The safeguards of this instance that are missing, a line each."""
    return [
        f"{record.label} has no {safeguard.mechanism}: {safeguard.detail}"
        for safeguard in record.safeguards
        if safeguard.is_missing
    ]
