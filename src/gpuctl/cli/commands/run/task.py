"""What `gpuctl run` does around its command: the instance before it, the output during it, the account after it."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from gpuctl.cli.commands.provision.options import LaunchOptions
from gpuctl.cli.commands.provision.start import agreement, announce, confirm, with_safeguards
from gpuctl.cli.commands.provision.timed import candidates, choice_of
from gpuctl.cli.context import Context
from gpuctl.cli.interrupts import TERMINATE_WITHIN, terminating, time_limit
from gpuctl.cli.render.renderer import document, failure_lines
from gpuctl.cli.render.result import Result
from gpuctl.documents.instances import instance_shape
from gpuctl.domain.history import run_spans
from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.market.offers import READY_WITHIN
from gpuctl.domain.market.request import Request
from gpuctl.errors import (
    Failure,
    GpuctlError,
    Interrupted,
    NotFoundError,
    StateLockedError,
    StateUnusableError,
    UnresolvedError,
    UsageError,
)
from gpuctl.providers.registry import example
from gpuctl.remote.transfer import Transfer, check_upload
from gpuctl.services.launch.prepare import active_records, prepare
from gpuctl.services.launch.provision import start
from gpuctl.services.query import last_known_records, resolve
from gpuctl.services.run import Release, Task, TaskResult, begin, run_task
from gpuctl.services.wait import wait_for_ssh
from gpuctl.services.work_history import record_work
from gpuctl.store.base import Guard

OURS = 200
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class RunReport:
    """The state of a run, for the file that `--result` names. `is_new`: whether this run created the instance."""

    def __init__(self, context: Context, path: Path | None) -> None:
        self._context = context
        self._path = path
        self.record: Instance | None = None
        self.is_new = False
        if path is not None and not path.parent.is_dir():
            raise UsageError(
                f"the directory of `{path}` does not exist", hint="create the directory, or use another `--result`"
            )

    def task(
        self, rest: Sequence[str], uploads: Sequence[Transfer], downloads: Sequence[Transfer], env: Sequence[str]
    ) -> Task:
        """The task of the command line. UsageError for a missing command, file or variable."""
        if not rest:
            raise UsageError("no command given", hint=f"gpuctl run {example().example_type} -- nvidia-smi")
        for upload in uploads:
            check_upload(upload)
        return Task(rest, {name: self._value(name) for name in env}, uploads, downloads)

    def finish(self, result: TaskResult) -> int:
        """Print the errors of the run, write the report, and return the exit code."""
        self.record = result.record
        for failure in (result.error, result.end_error):
            if failure is not None:
                self._print(failure)
        code = exit_code(result)
        self._write(code, result.code, result.error or result.end_error)
        return code

    def failed(self, failure: Failure) -> None:
        """Write that the run failed; the caller reports the error."""
        if isinstance(failure, Interrupted):
            if self.record is not None:
                (record,) = last_known_records(self._context.wiring.store, [self.record])
                self._context.progress.info(f"{record.label} is {record.status}")
            self._write(failure.exit_code, None, failure)
        else:
            self._write(OURS + failure.exit_code, None, failure)

    def _value(self, name: str) -> str:
        if "=" in name:
            variable = name.partition("=")[0]
            shown = variable if _NAME.fullmatch(variable) else "NAME"
            raise UsageError(
                "--env takes a variable name, not NAME=VALUE: command lines are visible to other users",
                hint=f"export {shown}, then `--env {shown}`",
            )
        if not _NAME.fullmatch(name):
            raise UsageError("--env takes the name of a variable", hint="such as `--env HF_TOKEN`")
        if name not in self._context.environ:
            raise UsageError(f"environment variable {name} (from --env) is not set", hint=f"export {name}")
        return self._context.environ[name]

    def _print(self, failure: Failure) -> None:
        with suppress(OSError, ValueError):
            for line in failure_lines(self._context, failure):
                self._context.streams.err.write(f"{line}\n")
            self._context.streams.err.flush()

    def _write(self, code: int, own: int | None, failure: Failure | None) -> None:
        if self._path is None:
            return
        fields: dict[str, Any] = {"exitCode": code, "commandExitCode": own}
        if self.record is not None:
            (record,) = last_known_records(self._context.wiring.store, [self.record])
            fields["instance"] = instance_shape(record, self._context.clock.now())
        text = self._context.redactor.clean(document(self._context, Result(fields, error=failure)))
        try:
            self._path.write_text(text, "utf-8")
        except OSError as error:
            self._context.progress.warn(f"`{self._path}` could not be written: {error.strerror}")


def active_instance(context: Context, launch: LaunchOptions, on: str, report: RunReport) -> Instance:
    """The active instance that `--on` names, READY and reachable by SSH."""
    report.record = resolve(context.wiring.store, on, whole_only=not context.is_terminal)
    return wait_for_ssh(context.wiring.runtime, report.record, launch.timeout or READY_WITHIN)


def ready_instance(
    context: Context,
    launch: LaunchOptions,
    request: Request,
    report: RunReport,
    limit: timedelta | None = None,
    admit: Guard = lambda present: None,
) -> Instance:
    """The instance to run on, READY and reachable by SSH: an active one of the requested name, or a new one.

    A new instance that is not ready in time (`limit`, if that is shorter), or whose start was interrupted, is
    terminated. `admit`: see `Prepared`.
    """
    existing = active_records(candidates(context, request), context.wiring.store.snapshot().records)
    if existing:
        context.progress.info(f"using the active instance {existing[0].label}")
        report.record, report.is_new = existing[0], False
        return wait_for_ssh(context.wiring.runtime, existing[0], launch.timeout or READY_WITHIN)
    choice = choice_of(context, launch, request)
    prepared = replace(prepare(choice, context.wiring.runtime, launch.retry_policy), admit=admit)
    announce(context, prepared)
    confirm(context, prepared, yes=launch.yes)
    written: list[Instance] = []
    created: list[Instance] = []
    agree = agreement(context, prepared, yes=launch.yes)
    patience = launch.timeout or prepared.offer.type.ready_within
    patience = min(patience, limit) if limit is not None else patience
    try:
        with terminating(context, written, created, Interrupted):
            outcome = start(prepared, context.wiring.runtime, written.extend, patience, agree=agree, created=created)
            for error in outcome.errors.values():
                raise error
            (record,) = with_safeguards(context, outcome).records
    finally:
        report.record, report.is_new = written[0] if written else None, True
    report.record = record
    if record.status is not Status.READY:
        raise UnresolvedError(f"{record.label} is {record.status}", hint=f"gpuctl get {record.id}")
    return record


def run_command(
    context: Context,
    record: Instance,
    task: Task,
    *,
    keep: bool,
    watch: Callable[[Instance], None] = lambda record: None,
    release: Release | None = None,
    is_new: bool = False,
    survives: bool = False,
) -> TaskResult:
    """Run the task on the instance; its output goes to stdout and stderr as it arrives.

    An instance that is new is terminated also if the task cannot begin on it.
    A task with a token may run on the instance already. `watch`, `release` and `survives`: see `run_task`.
    """
    context.progress.clear()
    out, err = _sink(context.streams.out), _sink(context.streams.err)
    after = "it stays" if keep else "the instance is terminated afterwards"
    after = after if release is None else "the lease is released afterwards"
    if release is None:
        with terminating(context, [record], [], *((GpuctlError, Interrupted) if is_new else ())):
            begin(context.wiring.runtime, record, continues=task.token is not None)
    context.progress.info(f"{record.label} is ready; running the command ({after})")
    ran = run_task(
        context.wiring.runtime,
        context.wiring.access,
        record,
        task,
        lambda stream, some: (out if stream == "O" else err)(some),
        keep=keep,
        watch=watch,
        release=release,
        hurry=lambda: time_limit(TERMINATE_WITHIN),
        survives=survives,
    )
    now = context.clock.now()
    cost = instance_shape(ran.record, now)["totalCost"]
    spent = "" if cost is None else f"; ${cost:.2f} so far" if ran.record.is_active else f"; it cost ${cost:.2f}"
    context.progress.info(f"{ran.record.label} is {ran.record.status}{spent}")
    return ran


def save_work(context: Context, ran: TaskResult, amount: Decimal, unit: str) -> None:
    """Save how much the command has done, if it succeeded. A state that cannot be used is only a warning."""
    if ran.code != 0:
        return
    try:
        spans = run_spans(ran.record)
        ran.record = record_work(context.wiring.runtime, ran.record, amount, unit, spans[-1] if spans else None)
    except (NotFoundError, StateUnusableError, StateLockedError) as error:
        context.progress.warn(f"the amount of work could not be saved: {error.message}")


def exit_code(result: TaskResult) -> int:
    """The exit code of the command if it has one; 200 + N where gpuctl failed or the termination is not confirmed."""
    if result.code:
        return result.code
    if result.error is not None:
        return OURS + result.error.exit_code
    return OURS + result.end_error.exit_code if result.end_error is not None else 0


def _sink(stream: TextIO) -> Callable[[bytes], None]:
    """Writes bytes as they are. What nobody takes any more is let go: the task matters, not who listens."""
    binary: BinaryIO | None = getattr(stream, "buffer", None)

    def write(some: bytes) -> None:
        with suppress(OSError, ValueError):
            if binary is None:
                stream.write(some.decode(errors="replace"))
            else:
                stream.flush()
                binary.write(some)
                binary.flush()

    return write
