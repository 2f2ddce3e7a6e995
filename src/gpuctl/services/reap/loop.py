"""The reaper as a process runs it: one run at a time, with a memory, and by tags alone where the state is unusable."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from gpuctl.clock import Clock
from gpuctl.domain.duration import approximate
from gpuctl.errors import GpuctlError, StateFault, StateLockedError, StateUnusableError, UnresolvedError
from gpuctl.services.events.deliver import DELIVER_WITHIN
from gpuctl.services.launch.emergency import Unwritable
from gpuctl.services.progress import is_report_due
from gpuctl.services.reap.by_tags import reap_by_tags
from gpuctl.services.reap.reaper import ReapOptions, ReapResult, reap, remembered
from gpuctl.services.runtime import Runtime
from gpuctl.services.terminate import wait_until_terminated
from gpuctl.store.base import State
from gpuctl.store.lease import Lease, LeaseName, leased
from gpuctl.store.reaper import ReapTimes

BUSY_FOR = timedelta(minutes=5)
_WAIT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class ReapReport:
    """One run of the reaper. `error` makes it fail; None if nothing is unresolved.

    `problems` are those to report now. `is_busy`: another run holds the lock, and nothing was done.
    """

    result: ReapResult = field(default_factory=ReapResult)
    problems: Sequence[str] = ()
    error: GpuctlError | None = None
    is_busy: bool = False


@dataclass(frozen=True, slots=True)
class ReapLoop:
    """Runs the reaper. Each run opens a new runtime: credentials expire and clocks are corrected.

    `require_state` raises StateUnusableError where a state was selected that does not exist. `holder`: this process
    in the leases. `is_attended`: a person reads the reports, so each names every problem; otherwise a problem is
    repeated once an hour. `place`: the service that runs this process; None on a computer.
    """

    open_runtime: Callable[[], Runtime]
    require_state: Callable[[], None]
    state: State
    holder: str
    clock: Clock
    options: ReapOptions
    is_attended: bool
    place: str | None = None

    def run(self, *, wait: bool = False) -> ReapReport:
        """One run; with `wait` it also waits until terminations are confirmed. Does nothing while another run works.

        Raises StateUnusableError or StateLockedError where neither the records nor the tags can be used.
        """
        runtime = self.open_runtime()
        if self.options.dry_run:
            result, unusable = self._reap(runtime, self.state.reaper.read())
            return ReapReport(result, result.unresolved, unusable)
        with leased(self.state.leases, LeaseName.REAP, self.holder, BUSY_FOR) as lease:
            if lease is None:
                return ReapReport(is_busy=True)
            if lease.unfinished_since is not None:
                age = approximate(self.clock.now() - lease.unfinished_since)
                runtime.progress.warn(f"another reap has been running for {age}; running in parallel")
            return self._run(runtime, lease, wait=wait)

    def watch(self, every: timedelta, notify: Callable[[timedelta], None], *, wait: bool) -> Iterator[ReapReport]:
        """One run after another, without end; `notify` delivers events in the pause, in the time it is given.

        Raises what `run` raises in the first run only: later a state that cannot be used is reported, because it may be
        usable again.
        """
        is_first = True
        while True:
            try:
                report = self.run(wait=wait)
            except (StateUnusableError, StateLockedError) as error:
                if is_first:
                    raise
                report = ReapReport(problems=[error.message], error=error)
            is_first = False
            yield report
            # Never longer than the pause: a hook delays no run.
            begun = self.clock.elapsed()
            notify(min(every, DELIVER_WITHIN))
            self.clock.sleep(every - (self.clock.elapsed() - begun))

    def _run(self, runtime: Runtime, lease: Lease, *, wait: bool) -> ReapReport:
        times = self.state.reaper.read()
        result, unusable = self._reap(runtime, times)
        if wait and unusable is None:
            unusable = self._wait(runtime, result)
        now, problems = self.clock.now(), result.unresolved
        due = [text for text in problems if self.is_attended or is_report_due(times.reported.get(text), now)]
        report = ReapReport(result, due, unusable or _unresolved(result))
        try:
            self._remember(times, report, lease, due, is_usable=unusable is None)
        except (StateUnusableError, StateLockedError) as error:
            # Without a state there is nothing that the next run would have to remember.
            if unusable is None and self.state.records.state_id is not None:
                # What was done is reported all the same, and `watch` goes on.
                return replace(report, problems=[*due, error.message], error=error)
        return report

    def _wait(self, runtime: Runtime, result: ReapResult) -> Unwritable | None:
        """Wait until the terminations of the run are confirmed, and add those that are not to its problems.

        Returns the error where the state cannot be written, else None.
        """
        active = [done.record.id for done in result.done if done.terminates and done.record and done.record.is_active]
        try:
            for key, error in wait_until_terminated(runtime, active, _WAIT).errors.items():
                result.problems.append(f"{key}: {error.message}")
        except (StateUnusableError, StateLockedError) as error:
            result.problems.append(error.message)
            return error
        return None

    def _remember(
        self, times: ReapTimes, report: ReapReport, lease: Lease, due: Sequence[str], *, is_usable: bool
    ) -> None:
        now, result = self.clock.now(), report.result
        memory = times
        if is_usable:
            memory = remembered(times, result, self.options, self.state.records.snapshot().records)
        memory = memory.model_copy(
            update={
                "last_reap_at": now,
                "last_reap_in": self.place,
                "last_reap_exit": report.error.exit_code if report.error else 0,
                "failing_since": (times.failing_since or now) if report.error else None,
                "reported": {text: now if text in due else times.reported[text] for text in result.unresolved},
            }
        )

        def with_others(fresh: ReapTimes) -> ReapTimes:
            # Events may have been delivered in the meantime, and pools scaled.
            others = {"hooks_reported": fresh.hooks_reported, "pools_reported": fresh.pools_reported}
            return memory.model_copy(update=others)

        self.state.reaper.update(with_others, lease)

    def _reap(self, runtime: Runtime, times: ReapTimes) -> tuple[ReapResult, Unwritable | None]:
        """By the records; where they cannot be used, or a process that hangs holds them, by tags, with the reason."""
        try:
            self.require_state()
            return reap(runtime, times, self.options), None
        except (StateUnusableError, StateLockedError) as error:
            # The records of another state, or of one that was moved, are another reaper's.
            is_anothers = isinstance(error, StateUnusableError) and error.fault in (StateFault.OTHER, StateFault.MOVED)
            state_id = None if is_anothers else self.state.records.state_id
            if state_id is None:
                raise
            result = reap_by_tags(runtime, state_id, times, self.options)
            result.problems.insert(0, f"{error.message}; its instances were processed by their tags only")
            return result, error


def _unresolved(result: ReapResult) -> UnresolvedError | None:
    problems = result.unresolved
    if not problems:
        return None
    more = " …" if len(problems) > 1 else ""
    hint = result.hint or "gpuctl list --refresh"
    return UnresolvedError(f"{len(problems)} unresolved: {problems[0]}{more}", hint=hint)
