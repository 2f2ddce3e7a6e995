"""Waits until instances are ready or confirmed terminated; queries only, and terminates nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from gpuctl.domain.duration import exact
from gpuctl.domain.instance import Instance, Status
from gpuctl.errors import (
    CloudError,
    CredentialsError,
    GpuctlError,
    NotReadyError,
    UnreachableError,
    UnresolvedError,
)
from gpuctl.services.polling import Poll
from gpuctl.services.query import current_records
from gpuctl.services.reconcile.reconcile import refresh
from gpuctl.services.runtime import Runtime
from gpuctl.services.ssh_check import check_booted
from gpuctl.services.ssh_targets import SSH, failing

FIRST_POLL, POLL_EVERY = timedelta(seconds=1), timedelta(seconds=5)


class Goal(StrEnum):
    """The status to wait for."""

    READY = "ready"
    TERMINATED = "terminated"


@dataclass(slots=True)
class WaitResult:
    """The present records in the requested order, and by ID the error of each wait that failed."""

    records: list[Instance]
    errors: dict[str, GpuctlError] = field(default_factory=dict)


def wait_for(runtime: Runtime, requested: Sequence[Instance], goal: Goal, timeout: timedelta) -> WaitResult:
    """Wait until all of these have reached the goal. Archived records count as terminated.

    An instance that can no longer become ready is a CloudError at once, which stops the wait for the others; a timeout
    is an UnresolvedError, with the error of the last query if that was the reason.
    """
    poll = Poll(runtime.clock, FIRST_POLL, POLL_EVERY)
    while True:
        records = current_records(runtime.store, requested)
        errors = {
            record.id: _cannot_be_ready_error(record) for record in records if goal is Goal.READY and _is_over(record)
        }
        pending = [record for record in records if not _is_reached(record, goal) and record.id not in errors]
        if errors or not pending:
            return WaitResult(records, errors)
        runtime.progress.step(f"waiting until {_labels_of(pending)} {'is' if len(pending) == 1 else 'are'} {goal}")
        unasked = refresh(runtime, [record.id for record in pending])
        reason = {key: f"the provider could not be queried: {error.message}" for key, error in unasked.items()}
        if goal is Goal.READY:
            reason |= {
                key: error.message
                for key, error in check_booted(runtime, current_records(runtime.store, pending)).items()
            }
        # Only for READY is STOPPING hopeless, which the next pass reports; an instance is awaited until it is gone.
        pending = [
            record
            for record in current_records(runtime.store, pending)
            if not _is_reached(record, goal) and not (goal is Goal.READY and _is_over(record))
        ]
        waited = poll.waited
        if pending and waited >= timeout:
            return WaitResult(
                current_records(runtime.store, requested),
                {record.id: _timeout_error(record, goal, waited, reason.get(record.id)) for record in pending},
            )
        if pending:
            poll.pause(timeout - waited)


def wait_for_ssh(runtime: Runtime, record: Instance, patience: timedelta) -> Instance:
    """The instance once it is READY and a connection over SSH succeeds. Terminates nothing.

    NotReadyError after `patience`, or if another command runs on it; CloudError if it can no longer become ready.
    """
    if runtime.access is None:
        raise NotReadyError(f"{record.label} is not reachable by SSH")
    waited = wait_for(runtime, [record], Goal.READY, patience)
    for error in waited.errors.values():
        if isinstance(error, UnresolvedError):
            raise NotReadyError(error.message, hint=error.hint)
        raise error
    (record,) = waited.records
    started = runtime.clock.elapsed()
    while (problem := failing(runtime.access, record, SSH)) is not None:
        if not isinstance(problem, UnreachableError | CredentialsError):
            raise problem
        if runtime.clock.elapsed() - started >= patience:
            raise NotReadyError(f"{problem.message}; {record.label} keeps running", hint=problem.hint) from problem
        runtime.progress.step(f"waiting for SSH on {record.label}")
        runtime.clock.sleep(POLL_EVERY)
    return record


def _is_reached(record: Instance, goal: Goal) -> bool:
    return record.status.is_ended if goal is Goal.TERMINATED else record.status in (Status.READY, Status.RUNNING)


def _is_over(record: Instance) -> bool:
    return record.status.is_ended or record.status is Status.STOPPING


def _cannot_be_ready_error(record: Instance) -> GpuctlError:
    reason = f" ({record.reason})" if record.reason else ""
    return CloudError(
        f"{record.label} is {record.status}{reason}: it can no longer become ready", hint=f"gpuctl get {record.id}"
    )


def _timeout_error(record: Instance, goal: Goal, waited: timedelta, problem: str | None) -> GpuctlError:
    reason = f"; {problem}" if problem else ""
    return UnresolvedError(
        f"{record.label} is {record.status} and not {goal} after {exact(waited)}{reason}",
        hint=f"gpuctl get {record.id} --refresh",
    )


def _labels_of(records: Sequence[Instance]) -> str:
    return records[0].label if len(records) == 1 else f"{len(records)} instances"
