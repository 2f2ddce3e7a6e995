"""The only module that changes a record: the transition table, and the history that every change appends to.

PROVISIONING -> CONFIGURING -> READY <-> RUNNING -> STOPPING -> TERMINATED
      |               |          |          |           ^
      |               +----------+----------+-----------+   (any active status may change to STOPPING)
      +-> FAILED

CONFIGURING becomes PROVISIONING again only for the next attempt (`launch_failed`).
"""

from datetime import datetime
from typing import Any

from gpuctl.domain.events import EventName
from gpuctl.domain.instance import Attempt, HistoryEntry, Instance, Observed, Outcome, Reason, Status
from gpuctl.domain.instance import CloudState as Cloud

_NEXT: dict[Status, frozenset[Status]] = {
    Status.PROVISIONING: frozenset({Status.CONFIGURING, Status.STOPPING, Status.TERMINATED, Status.FAILED}),
    Status.CONFIGURING: frozenset({Status.READY, Status.STOPPING, Status.TERMINATED}),
    Status.READY: frozenset({Status.RUNNING, Status.STOPPING, Status.TERMINATED}),
    Status.RUNNING: frozenset({Status.READY, Status.STOPPING, Status.TERMINATED}),
    Status.STOPPING: frozenset({Status.TERMINATED}),
    Status.TERMINATED: frozenset(),
    Status.FAILED: frozenset(),
}

_EVENT = {
    Status.PROVISIONING: EventName.PROVISIONING,
    Status.CONFIGURING: EventName.PROVISIONED,
    Status.READY: EventName.READY,
    Status.RUNNING: EventName.RUNNING,
    Status.STOPPING: EventName.STOPPING,
    Status.TERMINATED: EventName.TERMINATED,
    Status.FAILED: EventName.ERROR,
}

# The second word of each is that of states written before.
_POWERED_OFF = frozenset({EventName.POWERED_OFF, "stopped"})
_POWERED_ON = frozenset({EventName.POWERED_ON, "started"})
STOPPED_IN_CLOUD = "stopped in the cloud"
STOPPED_AND_BILLING = "powered off, but still billed"


class IllegalTransition(ValueError):
    """A status was asked for that cannot follow the present one: a bug in the caller."""


def advance(
    instance: Instance,
    status: Status,
    at: datetime,
    reason: Reason | None = None,
    *,
    detail: str | None = None,
    **facts: Any,
) -> Instance:
    """The record in its next status, with that written into its history.

    The status it has already is no change: the record comes back as it is, so asking twice is harmless. Anything
    else that the table does not allow is an IllegalTransition. `facts` are further fields that change with it.
    """
    if status is instance.status:
        return instance
    if status not in _NEXT[instance.status]:
        raise IllegalTransition(f"{instance.id}: {instance.status} cannot become {status}")
    if status is Status.READY and instance.ready_at is None:
        facts.setdefault("ready_at", at)
    if status.is_ended:
        facts.setdefault("terminated_at", at)
        facts.setdefault("last_error", None)
        facts.setdefault("absent_since", None)
        facts.setdefault("attempts", tuple(_closed_attempt(attempt, instance) for attempt in instance.attempts))
    if reason is not None:
        # Why it is to end is said once: an instance asked to end because it expired did not end because of the proof.
        facts.setdefault("reason", instance.reason or reason)
    return _with_entry(instance, _EVENT[status], status, at, reason, detail, facts)


def note(
    instance: Instance,
    event: EventName,
    at: datetime,
    reason: Reason | None = None,
    *,
    detail: str | None = None,
    **facts: Any,
) -> Instance:
    """The record with an event that changes no status: a deadline moved, an attempt, an adoption."""
    return _with_entry(instance, event, instance.status, at, reason, detail, facts)


def with_facts(instance: Instance, at: datetime, **facts: Any) -> Instance:
    """The record with fields that are no event (an address, the last error); itself if none of them is new."""
    changed = {key: value for key, value in facts.items() if getattr(instance, key) != value}
    return instance.with_fields(**changed, updated_at=at) if changed else instance


def refreshed(instance: Instance, observed: Observed, at: datetime, *, from_create: bool = False) -> Instance:
    """The record with what a provider reports of its instance: ID, addresses, launch time and status.

    Never leaves STOPPING, terminates nothing and moves no deadline: those are decisions, not observations. Leaves
    PROVISIONING only for an instance, never for parts of one. `from_create`: the create request itself returned this
    instance.
    """
    if instance.status.is_ended:
        return instance
    if instance.status is Status.PROVISIONING and observed.state is Cloud.REMNANT:
        # What was made for an instance proves nothing about the instance: its outcome is as unknown as before.
        return with_facts(instance, at, absent_since=None)
    if instance.status is Status.PROVISIONING:
        instance = advance(
            instance,
            Status.CONFIGURING,
            at,
            detail=observed.cloud_id,
        )
    instance = with_facts(
        instance,
        at,
        cloud_id=instance.cloud_id or observed.cloud_id,
        id_is_from_create=instance.id_is_from_create or from_create,
        attempts=tuple(_created_attempt(attempt, observed) for attempt in instance.attempts),
        zone=observed.zone or instance.zone,
        public_ip=_address(observed.public_ip, instance.public_ip, observed),
        private_ip=_address(observed.private_ip, instance.private_ip, observed),
        metadata={**instance.metadata, **observed.metadata},
        launched_at=instance.launched_at or observed.launched_at,
        absent_since=None if observed.exists else instance.absent_since,
        status_message=_status_message(instance, observed),
    )
    instance = _with_power_event(instance, observed, at)
    if instance.status is Status.CONFIGURING and observed.ready:
        if instance.check is not None:
            # The command that waits runs the check, and then sets READY.
            return with_facts(instance, at, booted_at=instance.booted_at or at)
        instance = became_ready(instance, at)
    return instance


def became_ready(instance: Instance, at: datetime) -> Instance:
    """The record of an instance that can be used from now on: READY, or RUNNING if somebody has it on lease."""
    if instance.pool is None:
        return advance(instance, Status.READY, at)
    ready = advance(instance, Status.READY, at, pool=instance.pool.with_fields(idle_since=at))
    return ready if instance.pool.lease is None else advance(ready, Status.RUNNING, at, detail=instance.pool.lease.id)


def powered_off_since(instance: Instance) -> datetime | None:
    """When the instance was first seen powered off so that it costs nothing itself; None if it runs, or ran since.

    An instance that ended at rest was at rest until its end.
    """
    power_events = [entry for entry in instance.history if entry.event in _POWERED_OFF | _POWERED_ON]
    return power_events[-1].at if power_events and power_events[-1].event in _POWERED_OFF else None


def swept(instance: Instance, cloud_id: str, at: datetime) -> Instance:
    """The record once nothing is left of the attempt that left this behind; itself if there is no such attempt."""
    attempts = tuple(
        attempt.model_copy(update={"outcome": Outcome.ENDED})
        if attempt.outcome is Outcome.LEFTOVERS and attempt.cloud_id == cloud_id
        else attempt
        for attempt in instance.attempts
    )
    return with_facts(instance, at, attempts=attempts)


def provisioning(instance: Instance) -> Instance:
    """A new record with the first lines of its history: the record itself and its first attempt."""
    record = _with_entry(instance, EventName.PROVISIONING, Status.PROVISIONING, instance.created_at, None, None, {})
    if record.pool is not None and record.pool.lease is not None:
        record = note(record, EventName.LEASED, record.created_at, detail=record.pool.lease.summary)
    return note(record, EventName.ATTEMPT, record.created_at, detail=f"{record.attempts[-1].token} in {record.region}")


def was_refused(instance: Instance) -> bool:
    """Whether there is no instance, and can be none unless another attempt is made."""
    over = (Outcome.REFUSED, Outcome.LEFTOVERS, Outcome.ENDED)
    return instance.status is Status.PROVISIONING and all(attempt.outcome in over for attempt in instance.attempts)


def launch_failed(instance: Instance, observed: Observed, reason: str, at: datetime) -> Instance:
    """The record of an instance that its provider could not start, PROVISIONING again so that `attempted` may follow.

    The attempt is over: ENDED where the provider shows that instance as terminated, else LEFTOVERS, which are swept.
    IllegalTransition unless the record is CONFIGURING and `observed` is its instance.
    """
    if instance.status is not Status.CONFIGURING or instance.cloud_id != observed.cloud_id:
        raise IllegalTransition(f"{instance.id}: {observed.cloud_id} is not the instance that it is starting")
    outcome = Outcome.LEFTOVERS if observed.exists else Outcome.ENDED
    over = instance.attempts[-1].model_copy(
        update={"outcome": outcome, "cloud_id": observed.cloud_id, "detail": reason}
    )
    facts: dict[str, Any] = {
        "attempts": (*instance.attempts[:-1], over),
        "cloud_id": None,
        "id_is_from_create": False,
        "public_ip": None,
        "private_ip": None,
        "metadata": {},
        "launched_at": None,
        "absent_since": None,
        "safeguards": (),
        "status_message": None,
        "last_error": reason,
    }
    return _with_entry(instance, EventName.ERROR, Status.PROVISIONING, at, None, reason, facts)


def attempted(instance: Instance, attempt: Attempt, at: datetime, **facts: Any) -> Instance:
    """The record with one more attempt, which it follows from now on.

    IllegalTransition unless the record is active and every earlier attempt was definitely refused: an attempt that may
    have created an instance has no successor.
    """
    if not was_refused(instance):
        raise IllegalTransition(f"{instance.id}: {instance.status}: no further attempt is possible")
    follows = {
        "provider": attempt.provider,
        "region": attempt.region,
        "zone": attempt.zone,
        "instance_type": attempt.instance_type,
        "market": attempt.market,
        "attempts": (*instance.attempts, attempt),
        "absent_since": None,
    }
    where = attempt.zone or attempt.region
    return note(instance, EventName.ATTEMPT, at, detail=f"{attempt.token} in {where}", **{**follows, **facts})


def _with_entry(
    instance: Instance,
    event: EventName,
    status: Status,
    at: datetime,
    reason: Reason | None,
    detail: str | None,
    facts: dict[str, Any],
) -> Instance:
    entry = HistoryEntry(at=at, event=event.value, status=status, reason=reason, detail=detail)
    return instance.with_fields(**{"status": status, "updated_at": at, "history": (*instance.history, entry), **facts})


def _with_power_event(instance: Instance, observed: Observed, at: datetime) -> Instance:
    rests = observed.state is Cloud.STOPPED and not observed.bills_when_stopped
    runs = observed.state in (Cloud.PENDING, Cloud.RUNNING) or (
        observed.state is Cloud.STOPPED and observed.bills_when_stopped
    )
    if rests and powered_off_since(instance) is None:
        billed = "only the disk is" if instance.billing.releases_address else "only disk and public IP are"
        return note(instance, EventName.POWERED_OFF, at, detail=f"powered off: {billed} billed")
    if runs and powered_off_since(instance) is not None:
        return note(
            instance,
            EventName.POWERED_ON,
            at,
            detail="the whole lifetime is counted, because the time of the restart is unknown",
        )
    return instance


def _created_attempt(attempt: Attempt, observed: Observed) -> Attempt:
    if attempt.outcome not in (Outcome.PENDING, Outcome.UNKNOWN) or observed.state is Cloud.REMNANT:
        return attempt
    return attempt.model_copy(update={"outcome": Outcome.CREATED, "cloud_id": observed.cloud_id, "detail": None})


def _closed_attempt(attempt: Attempt, instance: Instance) -> Attempt:
    # What an earlier attempt left behind is elsewhere, and is gone only when it was looked for there.
    is_elsewhere = attempt.outcome is Outcome.LEFTOVERS and attempt.cloud_id != instance.cloud_id
    if attempt.outcome is Outcome.REFUSED or is_elsewhere:
        return attempt
    return attempt.model_copy(update={"outcome": Outcome.ENDED})


def _address(reported: str | None, known: str | None, observed: Observed) -> str | None:
    return reported if observed.exists and observed.reports_addresses else known


def _status_message(instance: Instance, observed: Observed) -> str | None:
    if observed.state is Cloud.STOPPED:
        return STOPPED_AND_BILLING if observed.bills_when_stopped else STOPPED_IN_CLOUD
    if observed.refusal is not None:
        return observed.refusal.text
    message = instance.status_message
    return None if message in (STOPPED_IN_CLOUD, STOPPED_AND_BILLING) else message
