"""Starts machines: the record first, then one create each, then the wait until they can be used."""

import secrets
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gpuctl.domain.duration import spelled
from gpuctl.domain.instance import Attempt, Instance, Outcome, Reason, Status
from gpuctl.domain.lifecycle import advance, note, provisioning, refreshed, with_facts
from gpuctl.errors import (
    CloudError,
    GpuctlError,
    NotReadyError,
    StateLockedError,
    StateUnusableError,
    UnresolvedError,
    refused,
)
from gpuctl.providers.base import Order
from gpuctl.services.ending import end
from gpuctl.services.entry import Entry, entry
from gpuctl.services.lastresort import unwritten
from gpuctl.services.launching import Answer, send_create
from gpuctl.services.parts import Parts
from gpuctl.services.preparing import Prepared, standing
from gpuctl.services.reconciler import Settled, settle

FIRST_POLL, POLL_EVERY = timedelta(seconds=1), timedelta(seconds=5)
LOOK_FOR_UNKNOWN = timedelta(minutes=2)
_GO_ON = "gpuctl reap goes on until it is"


@dataclass(slots=True)
class Provisioned:
    """The machines as their records stand now, and what went wrong for which id."""

    records: list[Instance]
    errors: dict[str, GpuctlError] = field(default_factory=dict)


OnWritten = Callable[[Sequence[Instance]], None]


def start(
    prepared: Prepared,
    parts: Parts,
    on_written: OnWritten,
    patience: timedelta | None,
    *,
    keep: bool = False,
    rate: str = "",
) -> Provisioned:
    """Start the machines, and wait that long until they are ready; None only looks for those that nobody answered for.

    StateUnusableError or StateLockedError where the state could not take them down: then nothing of this call is left.
    """
    made: list[Instance] = []
    try:
        result = launch(prepared, parts, on_written, made)
        if patience is None:
            return look_once(result, parts)
        return wait_until_ready(result, parts, patience, keep=keep, rate=rate)
    except (StateUnusableError, StateLockedError) as error:
        if not made:
            raise
        raise unwritten(error, made, prepared.session.provider, parts) from error


def launch(prepared: Prepared, parts: Parts, on_written: OnWritten, made: list[Instance]) -> Provisioned:
    """Write the records, tell `on_written`, then send each one's create.

    What was made, or may have been, is added to `made` before anything else is done. Creates go one after the other:
    EC2 refills its budget of RunInstances calls at two a second, so more at once only means being throttled. Raises if
    the records cannot be written; then nothing was created.
    """
    records = _records(prepared, entry(parts, prepared.session.provider, prepared.request.ssh_from))
    state = parts.store.add(records, lambda present: _refuse_standing(prepared, present))
    on_written(records)
    result = Provisioned(records)
    for record in records:
        parts.talk.step(f"{record.label}: asking {record.provider} for {record.instance_type} in {record.region}")
        order = _order(record, prepared, state.state_id or "")
        answer = send_create(
            prepared.session.provider,
            order,
            parts.clock,
            lambda error: parts.talk.say(f"{error.message}; trying again"),
        )
        if answer.error is not None:
            result.errors[record.id] = answer.error
        if answer.outcome is not Outcome.REFUSED:
            made.append(_answered(record, answer, prepared.session.now))
        _write_answer(record, answer, prepared, parts)
    return _reread(result, parts)


def wait_until_ready(
    result: Provisioned, parts: Parts, timeout: timedelta, *, keep: bool, rate: str = ""
) -> Provisioned:
    """Wait until each machine that was not refused is READY, or end it when the time is out (unless `keep`).

    An attempt whose reply was lost is looked for by its tag for 2 min at most. A machine whose end was accepted has a
    NotReadyError, one that may live an UnresolvedError.
    """
    started, pause = parts.clock.elapsed(), FIRST_POLL
    while True:
        result = _reread(result, parts)
        waited = parts.clock.elapsed() - started
        pending = [one for one in result.records if _is_starting(one)]
        late = [one for one in pending if waited >= _patience(one, timeout)]
        if late:
            _give_up(late, result, parts, waited, keep=keep)
            pending = [one for one in pending if one not in late]
        if not pending:
            return _judged(_reread(result, parts), parts)
        settled = settle(parts, [one.id for one in pending])
        for problem in settled.unasked.values():
            parts.talk.step(problem.message)
        result = _reread(result, parts)
        result.errors |= _late_refusals(settled)
        if any(_is_starting(one) for one in result.records):
            parts.talk.step(_progress(result.records, rate))
            parts.clock.sleep(min(pause, timeout))
            pause = min(pause * 2, POLL_EVERY)


def look_once(result: Provisioned, parts: Parts) -> Provisioned:
    """Look for the machines whose create was answered by nobody, once; what is found is an error no more."""
    unknown = [one.id for one in result.records if _is_starting(one) and one.id in result.errors]
    if unknown:
        settle(parts, unknown)
    result = _reread(result, parts)
    found = {one.id for one in result.records if one.is_live and one.cloud_id and one.reason is not Reason.REFUSED}
    errors = {key: error for key, error in result.errors.items() if key not in found}
    return Provisioned(result.records, errors | _still_there(result))


def _records(prepared: Prepared, way_in: Entry) -> list[Instance]:
    now = prepared.session.now
    return [_record(prepared, way_in, number + 1, now) for number in range(prepared.request.count)]


def _record(prepared: Prepared, way_in: Entry, number: int, now: datetime) -> Instance:
    request, offer = prepared.request.named(number), prepared.offer
    record_id = "inst-" + "".join(secrets.choice(string.digits + string.ascii_lowercase) for _ in range(12))
    attempt = Attempt(
        number=1,
        token=record_id,
        at=now,
        provider=offer.type.provider,
        region=offer.region,
        instance_type=offer.type.name,
        market=offer.market,
    )
    return provisioning(
        Instance(
            id=record_id,
            name=request.name,
            user=request.user,
            task=request.task,
            purpose=request.purpose,
            provider=offer.type.provider,
            account=prepared.session.account,
            profile=prepared.session.profile,
            region=offer.region,
            instance_type=offer.type.name,
            market=offer.market,
            image=prepared.image.id,
            subnet=request.subnet,
            ssh_key=way_in.key,
            ssh_from=way_in.cidr,
            disk_gb=request.disk_gb,
            ttl=request.ttl,
            max_ttl=prepared.max_ttl,
            expires_at=(now + request.ttl).replace(microsecond=0),
            tags=dict(request.tags),
            price=offer.price,
            disk_price=prepared.extras.disk,
            address_price=prepared.extras.address,
            attempts=(attempt,),
            created_at=now,
            updated_at=now,
        )
    )


def _order(record: Instance, prepared: Prepared, state_id: str) -> Order:
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
        image=prepared.image,
        disk_gb=prepared.request.disk_gb,
        created_at=attempt.at,
        ssh_key=record.ssh_key,
        ssh_from=record.ssh_from,
        tags=record.tags,
    )


def _refuse_standing(prepared: Prepared, present: Sequence[Instance]) -> None:
    taken = standing(prepared.request, present)
    if taken:
        raise NotReadyError(f"`{taken[0].name}` was started by another gpuctl just now", hint="run the command again")


def _write_answer(record: Instance, answer: Answer, prepared: Prepared, parts: Parts) -> None:
    fresh = parts.store.update(record.id, lambda one: _answered(one, answer, prepared.session.now))
    if answer.leftovers is not None:
        end(parts, [record.id], Reason.REFUSED)
    if answer.seen is None:
        return
    # Somebody gave the record up while the create was under way: its machine must not outlive that.
    if fresh.status is Status.STOPPING:
        end(parts, [record.id], fresh.reason or Reason.CANCELLED)
    elif fresh.status.is_ended:
        for error in prepared.session.provider.terminate(record.region, [answer.seen.cloud_id]).values():
            parts.talk.warn(f"{answer.seen.cloud_id} of {record.label} is not ended yet: {error.message}")


def _answered(fresh: Instance, answer: Answer, now: datetime) -> Instance:
    if answer.seen is not None:
        if fresh.status.is_ended:
            return with_facts(fresh, now, cloud_id=answer.seen.cloud_id, id_is_from_create=True)
        return refreshed(fresh, answer.seen, now, from_create=True)
    detail = answer.error.message if answer.error else None
    told = {"outcome": answer.outcome, "detail": detail, "cloud_id": answer.leftovers}
    fresh = fresh.having(attempts=(*fresh.attempts[:-1], fresh.attempts[-1].model_copy(update=told)), last_error=detail)
    if answer.leftovers is not None and not fresh.status.is_ended:
        made = {"cloud_id": answer.leftovers, "id_is_from_create": True}
        return advance(with_facts(fresh, now, **made), Status.STOPPING, now, Reason.REFUSED, detail=detail)
    if answer.outcome is Outcome.UNKNOWN or fresh.status.is_ended:
        return note(fresh, "error", now, detail=detail)
    ended = Status.TERMINATED if fresh.status is Status.STOPPING else Status.FAILED
    return advance(fresh, ended, now, Reason.REFUSED, detail=detail, last_error=detail)


def _patience(record: Instance, timeout: timedelta) -> timedelta:
    return timeout if record.cloud_id else min(timeout, LOOK_FOR_UNKNOWN)


def _give_up(late: Sequence[Instance], result: Provisioned, parts: Parts, waited: timedelta, *, keep: bool) -> None:
    if not keep:
        parts.talk.step(f"not ready after {spelled(waited)}: ending {', '.join(one.label for one in late)}")
        end(parts, [one.id for one in late], Reason.TIMEOUT)
    for one in late:
        before = result.errors.get(one.id)
        told = before.message if before else f"{one.label} was not ready after {spelled(waited)}"
        result.errors[one.id] = UnresolvedError(f"{told}; it may live", hint=f"gpuctl get {one.id} --refresh")


def _judged(result: Provisioned, parts: Parts) -> Provisioned:
    """Say of every machine that is not READY what that means: refused, ended again, or open."""
    for one in result.records:
        if one.status in (Status.READY, Status.RUNNING):
            result.errors.pop(one.id, None)
        elif one.status is Status.FAILED:
            result.errors.setdefault(one.id, CloudError(one.last_error or f"{one.label} was never created"))
        elif one.status is Status.TERMINATED or one.deleted_by_us_at is not None:
            # A refusal is told as what it is, though parts were made and had to be ended.
            if one.reason is not Reason.REFUSED or one.id not in result.errors:
                result.errors[one.id] = _ended_early(one)
        elif one.id not in result.errors:
            result.errors[one.id] = UnresolvedError(f"{one.label} may live", hint=f"gpuctl get {one.id} --refresh")
    result.errors |= _still_there(result)
    return result


def _late_refusals(settled: Settled) -> dict[str, GpuctlError]:
    """What the clouds refused after they had accepted the create, by record."""
    seen = {one.record.id: one.action.seen for one in settled.done if one.record}
    return {key: refused(one.refusal.code, one.refusal.text) for key, one in seen.items() if one and one.refusal}


def _still_there(result: Provisioned) -> dict[str, GpuctlError]:
    """The refused ones of which parts were made that nobody agreed to end yet."""
    return {
        one.id: UnresolvedError(f"{result.errors[one.id].message}; what was made of it is not ended yet", hint=_GO_ON)
        for one in result.records
        if one.status is Status.STOPPING
        and one.reason is Reason.REFUSED
        and one.deleted_by_us_at is None
        and one.id in result.errors
    }


def _ended_early(one: Instance) -> GpuctlError:
    if one.reason is Reason.TIMEOUT:
        return NotReadyError(f"{one.label} was not ready in time and was ended", hint="add `--timeout 30m`")
    return NotReadyError(f"{one.label} was ended before it was ready ({one.reason})", hint=f"gpuctl get {one.id}")


def _is_starting(one: Instance) -> bool:
    return one.status in (Status.PROVISIONING, Status.CONFIGURING)


def _progress(records: Sequence[Instance], rate: str) -> str:
    ready = sum(not _is_starting(one) for one in records)
    where = records[0].label if len(records) == 1 else f"{ready} of {len(records)} ready"
    status = f" {records[0].status.lower()}" if len(records) == 1 else ""
    return f"{where}{status}{rate}"


def _reread(result: Provisioned, parts: Parts) -> Provisioned:
    present = {one.id: one for one in parts.store.snapshot().records}
    return Provisioned([present.get(one.id, one) for one in result.records], result.errors)
