"""Ends instances: the intention first, durably, then the asking, then the wait for proof."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from gpuctl.domain.instance import Instance, Reason, Status
from gpuctl.domain.lifecycle import advance, was_refused
from gpuctl.domain.reconcile.actions import Action, ActionKind, scope_of
from gpuctl.domain.reconcile.evidence import is_the_same_instance
from gpuctl.errors import GpuctlError, UnresolvedError
from gpuctl.services.polling import Poll
from gpuctl.services.query import records_of
from gpuctl.services.reconcile.apply import Applier
from gpuctl.services.reconcile.observe import Survey
from gpuctl.services.reconcile.reconcile import ReconcileResult, by_login, settle
from gpuctl.services.runtime import Runtime
from gpuctl.store.base import RecordStore

if TYPE_CHECKING:
    from gpuctl.providers.base import Provider

FIRST_POLL, POLL_EVERY = timedelta(milliseconds=500), timedelta(seconds=4)


@dataclass(slots=True)
class TerminateResult:
    """The present records, and by ID the error of each termination that is not confirmed."""

    records: list[Instance]
    errors: dict[str, GpuctlError] = field(default_factory=dict)


def end(runtime: Runtime, record_ids: Sequence[str], reason: Reason, *, force: bool = False) -> TerminateResult:
    """Write STOPPING into these records, then request the termination of their instances; returns without confirmation.

    Terminated instances are no error. Once STOPPING is written, the reaper retries whatever failed. Returns the error
    of each termination that was not accepted. `force` also deletes resources that others added to those of an instance;
    without it they are spared, and that termination is unconfirmed.
    """
    refused = _write_stopping(runtime.store, runtime.clock.now(), record_ids, reason)
    settled = settle(runtime, [text for text in record_ids if text not in refused], force=force)
    records = records_of(runtime.store, record_ids)
    return TerminateResult(records, {**refused, **_unconfirmed_errors(records, settled)})


def end_at_once(runtime: Runtime, record_ids: Sequence[str], reason: Reason) -> TerminateResult:
    """As `end`, for a process with little time left: the most important requests are sent first.

    An instance whose ID our own create returned is terminated by that ID before any listing; the others are looked up
    afterwards.
    """
    refused = _write_stopping(runtime.store, runtime.clock.now(), record_ids, reason)
    active = [record for record in records_of(runtime.store, record_ids) if record.is_active]
    for (name, account, profile), group in by_login(record for record in active if record.id_is_from_create).items():
        try:
            survey = Survey(runtime.sessions.of_account(name, account, profile))
        except GpuctlError:
            # The look below meets the same failure, and reports it.
            continue
        Applier(runtime, survey).apply(
            [Action(ActionKind.TERMINATE, scope_of(record), record, reason=record.reason) for record in group]
        )
    active = [record for record in records_of(runtime.store, record_ids) if record.is_active]
    is_open = [record.id for record in active if record.deleted_by_us_at is None and record.id not in refused]
    settled = settle(runtime, is_open)
    records = records_of(runtime.store, record_ids)
    return TerminateResult(records, {**refused, **_unconfirmed_errors(records, settled)})


def end_unsaved(runtime: Runtime, records: Sequence[Instance], *, force: bool = False) -> dict[str, GpuctlError]:
    """Request the termination of these instances although the state takes no change now; already terminated is success.

    Returns by ID the error of each that was not accepted. The reaper closes the records later. Only an ID that our own
    create returned is used, or an instance whose tags name the record.
    """
    errors: dict[str, GpuctlError] = {}
    state_id = runtime.store.state_id or ""
    for (name, account, profile), group in by_login(records).items():
        for record in group:
            try:
                provider = runtime.sessions.of_account(name, account, profile).provider
                _terminate_instance(provider, record, state_id, force=force)
            except GpuctlError as error:
                errors[record.id] = error
    return errors


def _terminate_instance(provider: "Provider", record: Instance, state_id: str, *, force: bool) -> None:
    if record.cloud_id is None:
        raise UnresolvedError("the ID of its instance is not known yet", hint=f"gpuctl terminate {record.label}")
    if not record.id_is_from_create:
        observed = provider.get(record.region, record.cloud_id)
        if observed is not None and not is_the_same_instance(record, observed, state_id):
            raise UnresolvedError(f"the gpuctl tags of {record.cloud_id} were changed")
    for error in provider.terminate(record.region, [record.cloud_id], force=force).values():
        raise error


def wait_until_terminated(runtime: Runtime, record_ids: Sequence[str], timeout: timedelta) -> TerminateResult:
    """Wait until all of these are confirmed terminated or the time is up; then the record stays STOPPING for the
    reaper.
    """
    poll = Poll(runtime.clock, FIRST_POLL, POLL_EVERY)
    settled = ReconcileResult()
    while True:
        records = records_of(runtime.store, record_ids)
        pending = [record for record in records if record.is_active]
        if not pending:
            return TerminateResult(records)
        if poll.waited >= timeout:
            return TerminateResult(records, _timeout_errors(pending, settled))
        runtime.progress.step(f"waiting for {_labels_of(pending)} to terminate")
        poll.pause(timeout)
        settled = settle(runtime, [record.id for record in pending], wanted=_is_news)


def _write_stopping(
    store: RecordStore, now: datetime, record_ids: Sequence[str], reason: Reason
) -> dict[str, GpuctlError]:
    """Write STOPPING into the records that have not ended; the error of each for which that failed."""

    def stopping(fresh: Instance) -> Instance:
        if was_refused(fresh):
            # Every attempt was refused, and a further one would find the record closed: nothing is to be terminated.
            return advance(fresh, Status.FAILED, now, reason)
        return fresh if fresh.status.is_ended else advance(fresh, Status.STOPPING, now, reason)

    written = store.update_each(record_ids, stopping)
    return {key: error for key, error in written.items() if isinstance(error, GpuctlError)}


def _is_news(action: Action) -> bool:
    # An end the cloud accepted need not be asked for at every poll.
    is_requested = action.record is not None and action.record.deleted_by_us_at is not None
    return not (action.kind is ActionKind.TERMINATE and is_requested)


def _unconfirmed_errors(records: Sequence[Instance], settled: ReconcileResult) -> dict[str, GpuctlError]:
    failed = {done.record.id: done for done in settled.done if done.record and done.error}
    errors: dict[str, GpuctlError] = {}
    for record in records:
        if not record.is_active or record.deleted_by_us_at is not None:
            continue
        unasked = settled.unasked.get(record.id)
        done = failed.get(record.id)
        reason = unasked.message if unasked else (done and done.error) or "its instance is not visible yet"
        hint = unasked.hint if unasked else done and done.hint
        errors[record.id] = UnresolvedError(
            f"could not terminate {record.label}: {reason}", hint=hint or "gpuctl reap retries automatically"
        )
    return errors


def _timeout_errors(pending: Sequence[Instance], settled: ReconcileResult) -> dict[str, GpuctlError]:
    errors = _unconfirmed_errors(pending, settled)
    for record in pending:
        errors.setdefault(
            record.id,
            UnresolvedError(
                f"termination of {record.label} is not confirmed yet", hint="gpuctl reap continues automatically"
            ),
        )
    return errors


def _labels_of(records: Sequence[Instance]) -> str:
    if len(records) <= 3:
        return ", ".join(record.label for record in records)
    return f"{len(records)} instances"
