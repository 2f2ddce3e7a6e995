"""Creates the instance under test, runs every check, and terminates the instance whatever happened before."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

from gpuctl.domain.instance import Instance, Outcome, Reason, Status
from gpuctl.domain.reconcile.actions import scope_of
from gpuctl.domain.selftest import Check, CheckStatus, Figure, check_leftovers
from gpuctl.errors import CloudError, GpuctlError, StateLockedError, StateUnusableError, UnresolvedError
from gpuctl.services.launch.emergency import end_interrupted, unwritten
from gpuctl.services.launch.launchable import Agree
from gpuctl.services.launch.prepare import Prepared
from gpuctl.services.launch.provision import ProvisionResult, start, wait_until_ready
from gpuctl.services.runtime import Runtime
from gpuctl.services.selftest import checks
from gpuctl.services.selftest.subject import SelftestTools, Subject
from gpuctl.services.terminate import end, wait_until_terminated

GONE_WITHIN = timedelta(minutes=10)
LEFT_WITHIN, LEFT_EVERY = timedelta(minutes=3), timedelta(seconds=20)
_OK, _BAD = CheckStatus.OK, (CheckStatus.FAILED, CheckStatus.UNKNOWN)
_STARTED = (Status.CONFIGURING, Status.READY, Status.RUNNING)
_HINT = "attach the report to an issue: --report FILE"
NAMES = ("create", "listing", "ready", *(name for name, _ in checks.ON_INSTANCE), "end", "nothing-left")


@dataclass(slots=True)
class SelftestReport:
    """The checks in order, filled as they run, and the record once it is written.

    `refusal` is what kept the instance from being created.
    """

    checks: list[Check] = field(default_factory=list)
    record: Instance | None = None
    refusal: GpuctlError | None = None

    @property
    def error(self) -> GpuctlError | None:
        """What the checks mean for the exit code: None where all are ok or skipped.

        UnresolvedError where something may still exist, else what refused the create, else CloudError.
        """
        checks = {check.name: check for check in self.checks}
        for name in ("end", "nothing-left"):
            if name in checks and checks[name].status in _BAD:
                hint = "gpuctl reap --sweep" if name == "end" else "delete it in the provider's console"
                return UnresolvedError(f"something may still exist: {checks[name].detail}", hint=hint)
        if self.refusal is not None:
            return self.refusal
        bad = [check.name for check in self.checks if check.status in _BAD]
        if not bad:
            return None
        return CloudError(f"{len(bad)} of {len(self.checks)} checks are not ok: {', '.join(bad)}", hint=_HINT)


def run(
    prepared: Prepared,
    runtime: Runtime,
    means: SelftestTools,
    report: SelftestReport,
    ready_within: timedelta,
    *,
    agree: Agree,
    hurry: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Run the self-test and fill the report as it goes. No check that fails keeps the instance from being terminated.

    `agree` is asked before another offer than the first is tried, and may refuse it. On a signal or a bug, termination
    is requested within `hurry`, and the exception raised again; the reaper confirms the termination.
    """
    runner = _Runner(prepared, runtime, means, report, agree)
    try:
        runner.run_checks(ready_within)
        runner.terminate()
    except BaseException:
        runner.request_termination(hurry)
        raise
    finally:
        runner.fill_in()


class _Runner:
    def __init__(
        self, prepared: Prepared, runtime: Runtime, means: SelftestTools, report: SelftestReport, agree: Agree
    ) -> None:
        self._prepared = prepared
        self._runtime = runtime
        self._means = means
        self._report = report
        self._agree = agree
        self._made: list[Instance] = []
        self._record_id: str | None = None
        self._known: Subject | None = None

    def run_checks(self, ready_within: timedelta) -> None:
        """Create the instance, then run the checks on it. Returns early where it was not created."""
        try:
            result, subject = self._create()
        except GpuctlError as error:
            if self._record_id is None:
                raise
            self._refused(error, {}, None)
            return
        if subject is None:
            return
        self._run("listing", lambda: checks.listing(subject))
        self._run("ready", lambda: self._wait(result, subject, ready_within))
        for name, check in checks.ON_INSTANCE:
            self._run(name, partial(_if_active, subject, name, check))

    def terminate(self) -> None:
        """Terminate the instance, wait for the confirmation, and look for what is left of it."""
        if self._record_id is None:
            return
        self._run("end", partial(self._end, self._record_id))
        self._run("nothing-left", partial(self._check_leftovers, self._subject(self._runtime.clock.elapsed())))

    def request_termination(self, hurry: Callable[[], AbstractContextManager[None]]) -> None:
        """Request the termination, unless it is confirmed, without waiting for the confirmation.

        The provider is requested although the state cannot be used. Raises nothing that would replace a signal.
        """
        if self._record_id is None or any(check.name == "end" and check.status is _OK for check in self._report.checks):
            return
        self._refresh()
        record, unrecorded = self._report.record, None
        if record is None:
            return
        with hurry():
            unrecorded = end_interrupted(self._runtime, [record], [] if record.cloud_id else self._made)
        self._refresh()
        if unrecorded is not None:
            self._runtime.progress.warn(unrecorded.message)
        text = unrecorded.message if unrecorded else _request_state(self._report.record or record)
        self._report.checks = [check for check in self._report.checks if check.name != "end"]
        self._report.checks.append(Check("end", CheckStatus.UNKNOWN, text))

    def fill_in(self) -> None:
        """Put the checks in order; those that did not run are skipped."""
        checks = {check.name: check for check in self._report.checks}
        skipped = (Check(name, CheckStatus.SKIPPED, "not reached") for name in NAMES)
        self._report.checks = [checks.get(check.name, check) for check in skipped]

    def _create(self) -> tuple[ProvisionResult, Subject | None]:
        self._runtime.progress.step("selftest: create")
        started = self._runtime.clock.elapsed()
        result = start(self._prepared, self._runtime, self._on_written, None, agree=self._agree, created=self._made)
        duration = self._runtime.clock.elapsed() - started
        record = result.records[0]
        self._report.record = record
        observed = _create_figures(record)
        if record.cloud_id is None or record.status not in _STARTED:
            error = result.errors.get(record.id) or UnresolvedError(f"{record.id} is {record.status}")
            self._refused(error, observed, duration)
            return result, None
        text = f"accepted for {record.instance_type} in {record.region}"
        self._report.checks.append(Check("create", _OK, text, observed, _seconds(duration)))
        return result, self._subject(self._runtime.clock.elapsed())

    def _refused(self, error: GpuctlError, observed: Mapping[str, Figure], duration: timedelta | None) -> None:
        self._report.refusal = error
        figures = {**observed, **_codes(error)}
        seconds = None if duration is None else _seconds(duration)
        self._report.checks.append(Check("create", CheckStatus.FAILED, error.message, figures, seconds))

    def _subject(self, created_at: timedelta) -> Subject:
        if self._known is None:
            self._known = Subject(self._prepared, self._runtime, self._means, self._record_id or "", created_at)
        return self._known

    def _on_written(self, records: Sequence[Instance]) -> None:
        self._record_id = records[0].id
        self._report.record = records[0]

    def _wait(self, result: ProvisionResult, subject: Subject, ready_within: timedelta) -> Check:
        done = wait_until_ready(result, self._runtime, ready_within, keep=True)
        error = done.errors.get(subject.record_id)
        if error is not None:
            return Check("ready", CheckStatus.FAILED, error.message, _codes(error))
        observed: dict[str, Figure] = {"afterCreate": _seconds(subject.elapsed)}
        return Check("ready", _OK, "the provider reports it as ready", observed)

    def _end(self, record_id: str) -> Check:
        started = self._runtime.clock.elapsed()
        before = self._report.record
        try:
            ended = end(self._runtime, [record_id], Reason.USER)
            if any(record.is_active for record in ended.records):
                ended = wait_until_terminated(self._runtime, [record_id], GONE_WITHIN)
        except (StateUnusableError, StateLockedError) as error:
            # Without the state, only the provider can still be requested to terminate it.
            raise unwritten(error, [before] if before else [], self._runtime) from error
        observed: dict[str, Figure] = {"confirmedAfter": _seconds(self._runtime.clock.elapsed() - started)}
        for problem in ended.errors.values():
            return Check("end", CheckStatus.FAILED, problem.message, observed)
        closed = ended.records[0]
        observed |= {"status": closed.status.value, "endIsEstimate": closed.end_is_estimate}
        return Check("end", _OK, f"confirmed: {closed.status}", observed)

    def _check_leftovers(self, subject: Subject) -> Check:
        started = self._runtime.clock.elapsed()
        while True:
            is_group_needed = self._close_ingress(subject)
            check = check_leftovers(subject.resources(), is_group_needed=is_group_needed)
            if check.status is _OK or self._runtime.clock.elapsed() - started >= LEFT_WITHIN:
                return check
            self._runtime.clock.sleep(LEFT_EVERY)

    def _close_ingress(self, subject: Subject) -> bool:
        """Delete what opened port 22 for this instance alone; whether another active instance needs the same."""
        record, snapshot = subject.record, self._runtime.store.snapshot()
        needed = {
            instance.ssh_from
            for instance in snapshot.records
            if instance.is_active and scope_of(instance) == scope_of(record) and instance.ssh_from is not None
        }
        subject.provider.close_ingress(record.region, snapshot.state_id or "", needed)
        return record.ssh_from in needed

    def _run(self, name: str, check: Callable[[], Check]) -> None:
        self._runtime.progress.step(f"selftest: {name}")
        started = self._runtime.clock.elapsed()
        try:
            matching = check()
        except GpuctlError as error:
            matching = Check(name, CheckStatus.UNKNOWN, error.message, _codes(error))
        self._report.checks.append(replace(matching, seconds=_seconds(self._runtime.clock.elapsed() - started)))
        self._refresh()

    def _refresh(self) -> None:
        """Keep the record as it is now, where the state can be read."""
        try:
            records = self._runtime.store.snapshot().records
        except GpuctlError:
            return
        before = self._report.record
        self._report.record = next((record for record in records if before and record.id == before.id), before)


def _if_active(subject: Subject, name: str, check: Callable[[Subject], Check]) -> Check:
    record = subject.record
    if record.status in _STARTED:
        return check(subject)
    reason = f" ({record.reason})" if record.reason else ""
    return Check(name, CheckStatus.UNKNOWN, f"the instance is {record.status}{reason}")


def _request_state(record: Instance) -> str:
    if record.status.is_ended or record.deleted_by_us_at is not None:
        return "requested, and not confirmed yet"
    return "not accepted by the provider yet; gpuctl reap retries automatically"


def _create_figures(record: Instance) -> dict[str, Figure]:
    refused = [
        attempt.detail or attempt.outcome.value for attempt in record.attempts if attempt.outcome is Outcome.REFUSED
    ]
    return {
        "instanceType": record.instance_type,
        "region": record.region,
        "zone": record.zone,
        "market": record.market.value,
        "attempts": len(record.attempts),
        "refusals": refused,
    }


def _codes(error: GpuctlError) -> dict[str, Figure]:
    """gpuctl's code for the failure, and the provider's own where it gave one."""
    return {"code": error.code.value, "cloudCode": getattr(error, "cloud_code", "") or None}


def _seconds(span: timedelta) -> float:
    return round(span.total_seconds(), 1)
