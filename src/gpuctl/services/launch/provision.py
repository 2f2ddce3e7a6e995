"""Starts instances: the record first, then their creates, then the wait until they can be used."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from gpuctl.clock import Clock
from gpuctl.domain.duration import exact
from gpuctl.domain.instance import Instance, Observed, Reason, Status
from gpuctl.domain.money.cost import hourly
from gpuctl.domain.reconcile.actions import Action, ActionKind
from gpuctl.domain.reconcile.evidence import launch_failure
from gpuctl.errors import (
    CloudError,
    GpuctlError,
    NotReadyError,
    StateLockedError,
    StateUnusableError,
    UnresolvedError,
    UsageError,
    refused,
)
from gpuctl.services.launch.attempts import Attempts
from gpuctl.services.launch.emergency import unwritten
from gpuctl.services.launch.launchable import Agree
from gpuctl.services.launch.prepare import Prepared, prepare_account
from gpuctl.services.launch.records import write_records
from gpuctl.services.polling import Poll
from gpuctl.services.query import current_records
from gpuctl.services.reconcile.reconcile import ReconcileResult, settle
from gpuctl.services.runtime import Runtime
from gpuctl.services.ssh_check import check_booted
from gpuctl.services.terminate import end
from gpuctl.services.wait import Goal, wait_for
from gpuctl.store.base import RecordStore

FIRST_POLL, POLL_EVERY = timedelta(seconds=1), timedelta(seconds=5)
POLL_UNKNOWN_FOR = timedelta(minutes=2)
_GO_ON = "gpuctl reap continues automatically"


@dataclass(slots=True)
class ProvisionResult:
    """The instances as their records are now, and what went wrong for which id; `attempts` by id, to go on with."""

    records: list[Instance]
    errors: dict[str, GpuctlError] = field(default_factory=dict)
    attempts: dict[str, Attempts] = field(default_factory=dict)


OnWritten = Callable[[Sequence[Instance]], None]


def start(
    prepared: Prepared,
    runtime: Runtime,
    on_written: OnWritten,
    patience: timedelta | None,
    *,
    agree: Agree,
    keep: bool = False,
    created: list[Instance] | None = None,
) -> ProvisionResult:
    """Start the instances and wait up to `patience` until they are ready; None only looks up those of unknown outcome.

    `agree` is called before another offer than the first is tried, and may refuse it. What was created, or may have
    been, is added to `made` at once, for a caller that is interrupted.

    StateUnusableError or StateLockedError if the state could not be written: then nothing of this call is left.
    """
    created = [] if created is None else created
    try:
        result = launch(prepared, runtime, on_written, created, agree)
        if patience is None:
            return poll_once(result, runtime)
        return wait_until_ready(result, runtime, patience, keep=keep)
    except (StateUnusableError, StateLockedError) as error:
        if not created:
            raise
        raise unwritten(error, created, runtime) from error


def launch(
    prepared: Prepared, runtime: Runtime, on_written: OnWritten, created: list[Instance], agree: Agree
) -> ProvisionResult:
    """Prepare the account, write the records, call `on_written`, then send the create requests, and the next attempt of
    each that is refused.

    What was created, or may have been, is added to `made` before anything else. Creates are sent one after the other,
    because a provider may allow only two per second. Raises if the account cannot be prepared or the records cannot be
    written; then nothing was created.
    """
    prepared = prepare_account(prepared, runtime, agree)
    records, state_id = write_records(prepared, runtime)
    on_written(records)
    result = ProvisionResult(list(records))
    for record in records:
        result.attempts[record.id] = attempts = Attempts(prepared, runtime, state_id, created, agree)
        error = attempts.send_attempts(record)
        if error is not None:
            result.errors[record.id] = error
    return _reread(result, runtime.store)


def wait_until_ready(result: ProvisionResult, runtime: Runtime, timeout: timedelta, *, keep: bool) -> ProvisionResult:
    """Wait until each instance that was not refused is READY, or terminate it when the time is out (unless `keep`).

    Where the provider cannot start an instance that it had accepted, the next attempt of its record is made. An attempt
    whose reply was lost is looked for by its tag for 2 min at most. An instance whose termination was accepted has a
    NotReadyError, one that may still exist an UnresolvedError.
    """
    poll = Poll(runtime.clock, FIRST_POLL, POLL_EVERY)
    resumed: dict[str, timedelta] = {}
    unchecked: Mapping[str, GpuctlError] = {}
    while True:
        result = _reread(result, runtime.store)
        now = runtime.clock.elapsed()
        waited = now - poll.started
        pending = [record for record in result.records if _is_starting(record)]
        overdue = [
            record
            for record in pending
            if waited >= timeout
            or (record.launched_at is None and now - resumed.get(record.id, poll.started) >= POLL_UNKNOWN_FOR)
            # No retry changes what is wrong on this computer, such as a missing `ssh`.
            or isinstance(unchecked.get(record.id), UsageError)
        ]
        if overdue:
            for text in dict.fromkeys(unchecked[record.id].message for record in overdue if record.id in unchecked):
                runtime.progress.warn(text)
            _terminate_late(overdue, result, runtime, waited, keep=keep)
            pending = [record for record in pending if record not in overdue]
        if not pending:
            return _with_errors(_reread(result, runtime.store))
        failed: dict[str, Observed] = {}
        settled = settle(runtime, [record.id for record in pending], _without_failed_launches(result, failed))
        for problem in settled.unasked.values():
            runtime.progress.step(problem.message)
        unchecked = check_booted(runtime, _reread(result, runtime.store).records)
        result = _reread(result, runtime.store)
        result.errors = _late_refusals(settled) | result.errors
        resumed |= _send_next_attempts(result, failed, runtime.clock)
        if any(_is_starting(record) for record in result.records):
            if not unchecked:
                runtime.progress.step(_progress(result.records))
            poll.pause(timeout)


def wait_for_active(records: Sequence[Instance], runtime: Runtime, timeout: timedelta) -> ProvisionResult:
    """Wait until each of these instances, which another call started, is READY. Terminates nothing.

    One that is not ready when the time is out has an UnresolvedError.
    """
    waited = wait_for(runtime, records, Goal.READY, timeout)
    starting = {record.id for record in waited.records if _is_starting(record)}
    overdue = {key: error for key, error in waited.errors.items() if key in starting}
    return _with_errors(ProvisionResult(waited.records, overdue))


def poll_once(result: ProvisionResult, runtime: Runtime) -> ProvisionResult:
    """Look up once the instances of unknown outcome; what is found is no longer an error."""
    unknown = [record.id for record in result.records if _is_starting(record) and record.id in result.errors]
    if unknown:
        settle(runtime, unknown)
    result = _reread(result, runtime.store)
    names = {
        record.id
        for record in result.records
        if record.is_active and record.cloud_id and record.reason is not Reason.REFUSED
    }
    errors = {key: error for key, error in result.errors.items() if key not in names}
    return replace(result, errors=errors | _leftover_errors(result))


def _without_failed_launches(result: ProvisionResult, failed: dict[str, Observed]) -> Callable[[Action], bool]:
    """Leaves out of a pass what it would do about an instance that could not be started, and adds that to `failed`."""

    def wanted(action: Action) -> bool:
        record, observed = action.record, action.observed
        if record is None or observed is None or action.kind not in (ActionKind.CLOSE, ActionKind.TERMINATE):
            return True
        if launch_failure(record, observed) is None or not result.attempts[record.id].may_go_on:
            return True
        failed[record.id] = observed
        return False

    return wanted


def _send_next_attempts(result: ProvisionResult, failed: Mapping[str, Observed], clock: Clock) -> dict[str, timedelta]:
    """Go on with the records whose instance could not be started; when each was."""
    resumed = {}
    for record in result.records:
        if (observed := failed.get(record.id)) is None or (refusal := launch_failure(record, observed)) is None:
            continue
        error = result.attempts[record.id].resume(record, observed, refused(refusal.code, refusal.text, refusal.hint))
        resumed[record.id] = clock.elapsed()
        if error is None:
            result.errors.pop(record.id, None)
        else:
            result.errors[record.id] = error
    return resumed


def _terminate_late(
    overdue: Sequence[Instance], result: ProvisionResult, runtime: Runtime, waited: timedelta, *, keep: bool
) -> None:
    if not keep:
        runtime.progress.step(
            f"not ready after {exact(waited)}: terminating {', '.join(record.label for record in overdue)}"
        )
        end(runtime, [record.id for record in overdue], Reason.TIMEOUT)
    for record in overdue:
        before = result.errors.get(record.id)
        text = before.message if before else f"{record.label} was not ready after {exact(waited)}"
        result.errors[record.id] = UnresolvedError(
            f"{text} and may still be running", hint=f"gpuctl get {record.id} --refresh"
        )


def _with_errors(result: ProvisionResult) -> ProvisionResult:
    """The result with an error for each instance that is not READY: refused, terminated again, or unresolved."""
    for record in result.records:
        if record.status in (Status.READY, Status.RUNNING):
            result.errors.pop(record.id, None)
        elif record.status is Status.FAILED:
            result.errors.setdefault(record.id, CloudError(record.last_error or f"{record.label} was never created"))
        elif record.status is Status.TERMINATED or record.deleted_by_us_at is not None:
            # A refusal is reported as a refusal, although parts were created and had to be deleted.
            if record.reason not in (Reason.REFUSED, Reason.INTERRUPTED) or record.id not in result.errors:
                result.errors[record.id] = _ended_early(record)
        elif record.id not in result.errors:
            result.errors[record.id] = UnresolvedError(
                f"{record.label} may be running", hint=f"gpuctl get {record.id} --refresh"
            )
    result.errors |= _leftover_errors(result)
    return result


def _late_refusals(settled: ReconcileResult) -> dict[str, GpuctlError]:
    """What the clouds refused after they had accepted the create, by record."""
    observed = {outcome.record.id: outcome.action.observed for outcome in settled.done if outcome.record}
    refusals = {key: instance.refusal for key, instance in observed.items() if instance and instance.refusal}
    return {key: refused(refusal.code, refusal.text, refusal.hint) for key, refusal in refusals.items()}


def _leftover_errors(result: ProvisionResult) -> dict[str, GpuctlError]:
    """The errors of refused records whose leftovers are not accepted for deletion yet."""
    return {
        record.id: UnresolvedError(
            f"{result.errors[record.id].message}; its leftovers are not removed yet", hint=_GO_ON
        )
        for record in result.records
        if record.status is Status.STOPPING
        and record.reason is Reason.REFUSED
        and record.deleted_by_us_at is None
        and record.id in result.errors
    }


def _ended_early(record: Instance) -> GpuctlError:
    if record.reason is Reason.TIMEOUT:
        return NotReadyError(f"{record.label} was not ready in time and was terminated", hint="add `--timeout 30m`")
    reason = record.status_message if record.reason is Reason.REFUSED and record.status_message else record.reason
    return NotReadyError(
        f"{record.label} was terminated before it was ready ({reason})", hint=f"gpuctl get {record.id}"
    )


def _is_starting(record: Instance) -> bool:
    return record.status in (Status.PROVISIONING, Status.CONFIGURING)


def _progress(records: Sequence[Instance]) -> str:
    ready = sum(not _is_starting(record) for record in records)
    where = records[0].label if len(records) == 1 else f"{ready} of {len(records)} ready"
    status = f" {records[0].status.lower()}" if len(records) == 1 else ""
    each = hourly(records[0]).counted
    return f"{where}{status}{f' at ${each:.3f}/h' if each is not None else ''}"


def _reread(result: ProvisionResult, store: RecordStore) -> ProvisionResult:
    return replace(result, records=current_records(store, result.records))
