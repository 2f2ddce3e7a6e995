"""Runs one command on an instance over SSH, and terminates the instance even if the command fails."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import TypeVar

from gpuctl.domain.instance import Instance, Reason, Status
from gpuctl.domain.lifecycle import advance
from gpuctl.domain.reconcile.actions import ActionKind
from gpuctl.errors import (
    CapacityError,
    CloudError,
    GpuctlError,
    NotReadyError,
    StateLockedError,
    StateUnusableError,
    UnreachableError,
    UsageError,
)
from gpuctl.remote.access import Access
from gpuctl.remote.job import CommandLostError, RemoteJob
from gpuctl.remote.line import SshConnection
from gpuctl.remote.transfer import Transfer, download, upload
from gpuctl.services.launch.emergency import end_interrupted, unwritten
from gpuctl.services.query import current_record
from gpuctl.services.reconcile.reconcile import settle
from gpuctl.services.runtime import Runtime
from gpuctl.services.terminate import end, wait_until_terminated

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(seconds=30)
LOOK_EVERY = timedelta(seconds=10)
PROOF = timedelta(minutes=5)

OnOutput = Callable[[str, bytes], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done on an instance: files there, the command with its variables, files back.

    `token` is the name of the command on the instance: a command of the same name is not started again.
    """

    command: Sequence[str]
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    uploads: Sequence[Transfer] = ()
    downloads: Sequence[Transfer] = ()
    token: str | None = None


@dataclass(slots=True)
class TaskResult:
    """The result of a task. `code` is the exit code of the command, None where it is unknown or was never started.

    `error` is what failed on the side of gpuctl; `end_error` why the termination is not confirmed.
    """

    record: Instance
    code: int | None = None
    error: GpuctlError | None = None
    end_error: GpuctlError | None = None


# Releases the lease of the instance; whether the instance must not be used again.
Release = Callable[[TaskResult, bool], None]


class WorkMovesError(GpuctlError):
    """The work goes on on another instance, which is ready: this one is to be terminated."""


class _InstanceTerminated(Exception):
    """The instance is, or is about to be, no more."""

    def __init__(self, error: GpuctlError, reason: Reason) -> None:
        super().__init__(error.message)
        self.error = error
        self.reason = reason


def begin(runtime: Runtime, record: Instance, *, continues: bool = False) -> None:
    """Make the instance RUNNING. UsageError if another task runs on it, NotReadyError if it is not READY.

    With `continues` the task may run on it already.
    """
    now = runtime.clock.now()

    def running(fresh: Instance) -> Instance:
        if fresh.status is Status.RUNNING and continues:
            return fresh
        if fresh.status is Status.RUNNING:
            raise UsageError(f"a task is already running on {fresh.label}", hint=f"gpuctl get {fresh.label}")
        if fresh.status is not Status.READY:
            raise NotReadyError(f"{fresh.label} is {fresh.status}, not READY", hint=f"gpuctl wait {fresh.label}")
        return advance(fresh, Status.RUNNING, now)

    runtime.store.update(record.id, running)


def run_task(
    runtime: Runtime,
    access: Access,
    record: Instance,
    task: Task,
    on_output: OnOutput,
    *,
    keep: bool,
    watch: Callable[[Instance], None] = lambda record: None,
    release: Release | None = None,
    hurry: Callable[[], AbstractContextManager[None]] = nullcontext,
    survives: bool = False,
) -> TaskResult:
    """Run the task on that instance, after `begin`, and terminate the instance; with `keep` it is READY again instead.

    `on_output` gets the output as it comes, `O` or `E` and bytes. A connection that breaks is made again until the
    deadline: the command goes on meanwhile. The instance is terminated on every way out, a signal included (then
    without waiting for confirmation, and within `hurry`). `watch` gets the record as it is now, every ten seconds.
    With `release` the instance is leased, RUNNING and stays so: the lease is released at the end. With `survives` the
    command and the instance outlive a failure of this process, or a signal: another process can continue.
    """
    ran = TaskResult(record)
    run = _Run(runtime, access, record, watch)
    # Until it is known how it went, it was cut short: by a signal, or by a bug.
    reason, is_cut_short = Reason.CANCELLED, True
    try:
        try:
            ran.code = run.command(task, on_output)
            run.downloads(task)
            reason = Reason.USER
        except _InstanceTerminated as over:
            run.is_over = True
            ran.error, reason = over.error, over.reason
        except WorkMovesError as error:
            ran.code = run.ended(on_output)
            ran.error, reason = error if ran.code is None else None, Reason.USER
            run.is_over = True
            run.stop_command(ran.code)
            if ran.code is not None:
                run.downloads(task)
        except GpuctlError as error:
            ran.error = error
        is_cut_short = False
    finally:
        runtime.progress.clear()
        is_left = is_cut_short or (ran.error is not None and not isinstance(ran.error, CommandLostError))
        if survives and is_left and not run.is_over and ran.code is None:
            runtime.progress.info(f"the command continues on {record.label}")
        elif release is not None:
            with hurry() if is_cut_short else nullcontext():
                run.stop_command(ran.code)
                release(ran, is_cut_short or ran.error is not None)
        elif is_cut_short:
            with hurry():
                if keep:
                    run.mark_ready(ran.code)
                elif (unrecorded := end_interrupted(runtime, [record], reason=reason)) is not None:
                    runtime.progress.warn(unrecorded.message)
        elif keep:
            run.mark_ready(ran.code)
            ran.record = current_record(runtime.store, record)
        else:
            _terminate(runtime, ran, reason)
    return ran


def _terminate(runtime: Runtime, result: TaskResult, reason: Reason) -> None:
    """Terminate the instance and wait for the confirmation; a state that cannot be used prevents no request."""
    try:
        end(runtime, [result.record.id], reason)
        result.end_error = wait_until_terminated(runtime, [result.record.id], PROOF).errors.get(result.record.id)
        result.record = current_record(runtime.store, result.record)
    except (StateUnusableError, StateLockedError) as error:
        result.end_error = unwritten(error, [result.record], runtime)
        result.record = advance(result.record, Status.STOPPING, runtime.clock.now(), reason)


class _Run:
    """One command on one instance, through as many connections as it takes."""

    def __init__(self, runtime: Runtime, access: Access, record: Instance, watch: Callable[[Instance], None]) -> None:
        self._watch = watch
        self._runtime = runtime
        self._access = access
        self._record = record
        self._job: RemoteJob | None = None
        self.is_over = False
        self._looked_at: timedelta | None = None

    @cached_property
    def _line(self) -> SshConnection:
        # Not at the start of the run: it can fail, and from there on a failure terminates the instance.
        return SshConnection(self._access.target(self._record))

    def command(self, task: Task, on_output: OnOutput) -> int:
        """Files there, then the command, to its end; its exit code. Of a command that was started only the end."""
        job = RemoteJob(task.token or secrets.token_hex(8), task.command, task.variables)
        may_be_started = task.token is not None and bool(task.uploads)
        is_started = may_be_started and self._persist(lambda: job.is_started(self._line))
        for transfer in () if is_started else task.uploads:
            self._runtime.progress.step(f"uploading {transfer.source}")
            self._persist(lambda transfer=transfer: upload(self._line, transfer))  # type: ignore[misc]
        self._job = job
        self._runtime.progress.step("starting the command")
        self._persist(lambda: job.start(self._line))
        # From here on the terminal is the command's.
        self._runtime.progress.clear()
        return self._persist(lambda: job.follow(self._line, on_output, self._keep_on))

    def ended(self, on_output: OnOutput) -> int | None:
        """The exit code of the command, with the rest of its output; None if it has not ended, or that is unknown."""
        job = self._job
        try:
            if job is None or not job.has_ended(self._line):
                return None
            return job.follow(self._line, on_output, lambda: None)
        except GpuctlError as error:
            self._runtime.progress.warn(error.message)
            return None

    def downloads(self, task: Task) -> None:
        """Files back, whatever the command's exit code was."""
        for transfer in task.downloads:
            self._runtime.progress.step(f"downloading {transfer.source}")
            self._persist(lambda transfer=transfer: download(self._line, transfer))  # type: ignore[misc]

    def stop_command(self, code: int | None) -> None:
        """Kill the command if it has not ended, nor its instance."""
        if self._job is not None and code is None:
            try:
                fresh = current_record(self._runtime.store, self._record)
                if fresh.is_active and fresh.status is not Status.STOPPING:
                    self._job.kill(self._line)
            except GpuctlError as error:
                self._runtime.progress.warn(f"the command may still be running on the instance: {error.message}")

    def mark_ready(self, code: int | None) -> None:
        """Keep the instance: READY, without a command of ours running on it."""
        runtime, now = self._runtime, self._runtime.clock.now()
        self.stop_command(code)
        runtime.store.update(
            self._record.id,
            lambda fresh: advance(fresh, Status.READY, now) if fresh.status is Status.RUNNING else fresh,
        )

    def _persist(self, attempt: Callable[[], T]) -> T:
        """Try until there is an answer, or the instance is over."""
        pause, is_listed = FIRST_PAUSE, False
        while True:
            self._keep_on()
            try:
                return attempt()
            except UnreachableError as error:
                if not is_listed:
                    self._runtime.progress.warn(f"connection lost ({error.message}); reconnecting until the deadline")
                is_listed = True
            # Ask the cloud, too: an instance that is gone is not worth waiting for.
            settle(self._runtime, [self._record.id])
            self._looked_at = None
            self._keep_on()
            left = current_record(self._runtime.store, self._record).expires_at - self._runtime.clock.now()
            self._runtime.clock.sleep(min(pause, max(left, FIRST_PAUSE)))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _keep_on(self) -> None:
        """Raise _InstanceTerminated once the deadline has come, or somebody else ended the instance."""
        elapsed = self._runtime.clock.elapsed()
        if self._looked_at is not None and elapsed - self._looked_at < LOOK_EVERY:
            return
        self._looked_at = elapsed
        self._watch(current_record(self._runtime.store, self._record))
        fresh = current_record(self._runtime.store, self._record)
        if not fresh.is_active or fresh.status is Status.STOPPING:
            raise _InstanceTerminated(_ended(fresh), fresh.reason or Reason.USER)
        if fresh.is_due(self._runtime.clock.now()) and not self._is_extended():
            overdue = f"the deadline of {fresh.label} passed before the command finished"
            raise _InstanceTerminated(
                CloudError(overdue, hint="add `--ttl 120`, or run gpuctl extend in time"), Reason.EXPIRED
            )

    def _is_extended(self) -> bool:
        """Whether another copy of this state has extended the instance, as its tags say; the record has that then."""
        settle(self._runtime, [self._record.id], lambda action: action.kind is ActionKind.REFRESH)
        fresh = current_record(self._runtime.store, self._record)
        is_wanted = fresh.is_active and fresh.status is not Status.STOPPING
        return is_wanted and not fresh.is_due(self._runtime.clock.now())


def _ended(record: Instance) -> GpuctlError:
    text = f"{record.label} was terminated before the command finished ({record.reason or 'no reason given'})"
    if record.reason is Reason.INTERRUPTED:
        return CapacityError(text, hint="retry, or leave out `--spot`")
    return CloudError(text, hint=f"gpuctl get {record.id}")
