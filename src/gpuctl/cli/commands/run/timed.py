"""`gpuctl run --finish-by`: one command on as many instances as it takes, in the market that is cheapest in time."""

from dataclasses import replace
from datetime import timedelta

from gpuctl.cli.commands.provision.options import LaunchOptions
from gpuctl.cli.commands.provision.timed import market_rule, work_of
from gpuctl.cli.commands.run.task import RunReport, ready_instance, run_command, terminating
from gpuctl.cli.context import Context
from gpuctl.domain.history import is_lost
from gpuctl.domain.instance import Instance, Market, Reason
from gpuctl.domain.market.deadline_rule import TICK, Action
from gpuctl.domain.market.request import Request
from gpuctl.domain.work import GRACE, TimedWork
from gpuctl.errors import GpuctlError, Interrupted, UsageError
from gpuctl.services.extend import extend
from gpuctl.services.launch.timed import Decided, after_loss, noted
from gpuctl.services.run import Task, TaskResult
from gpuctl.services.terminate import end

CHECKPOINT = "GPUCTL_CHECKPOINT"
_EXTEND_BEFORE = timedelta(minutes=10)


def run_timed(
    context: Context, launch: LaunchOptions, request: Request, task: Task, report: RunReport, *, keep: bool
) -> TaskResult:
    """Run the task until its command has ended, on another instance after each interruption.

    Raises the error of the last attempt when the work was due and no instance could be started.
    """
    checkpoint = context.environ.get(CHECKPOINT) if launch.checkpointed else None
    work = work_of(context, launch, checkpoint)
    if launch.checkpointed and checkpoint is None:
        context.progress.info(f"{CHECKPOINT} is not set: the command must know by itself where its checkpoints are")
    if checkpoint is not None:
        task = replace(task, variables={**task.variables, CHECKPOINT: checkpoint})
    return _Timed(context, launch, request, task, report, work, keep=keep).run()


class _Timed:
    """One task on its way to its end."""

    def __init__(
        self,
        context: Context,
        launch: LaunchOptions,
        request: Request,
        task: Task,
        report: RunReport,
        work: TimedWork,
        *,
        keep: bool,
    ) -> None:
        self._context, self._launch, self._task, self._report, self._keep = context, launch, task, report, keep
        self._rule = market_rule(context, request)
        self._work = work
        self._said = ""
        self._is_fixed = False

    def run(self) -> TaskResult:
        """The result of the task on the instance on which it ended."""
        clock = self._context.clock
        while True:
            decided = self._rule.decide(self._work)
            self._say(decided)
            if decided.request is None:
                clock.sleep(TICK)
                continue
            try:
                record = self._instance(decided)
            except GpuctlError as error:
                if not error.retryable or clock.now() >= self._work.finish_by:
                    raise
                self._context.progress.warn(error.message)
                self._not_started(decided)
                continue
            with terminating(self._context, [record], [], GpuctlError, Interrupted):
                is_too_late = self._is_too_late_for_spot(record)
            if is_too_late:
                continue
            is_new = self._report.is_new
            result = run_command(self._context, record, self._task, keep=self._keep, watch=self._extend, is_new=is_new)
            if result.code is not None or not is_lost(result.record):
                return result
            self._lost(result.record)

    def _instance(self, decided: Decided) -> Instance:
        now, longest = self._context.clock.now(), self._context.wiring.runtime.max_ttl
        assert decided.request is not None
        request = replace(decided.request, ttl=self._launch.ttl or self._work.ttl(now, longest))
        limit = decided.patience if decided.decision.action is Action.SPOT else None
        record = ready_instance(self._context, self._launch, request, self._report, limit)
        # Agreed to once: a restart asks nobody.
        self._launch = replace(self._launch, yes=True)
        return record

    def _not_started(self, decided: Decided) -> None:
        """Make the next decision one without spot after spot was refused; pause after a failure of on-demand."""
        clock = self._context.clock
        if decided.decision.action is Action.SPOT:
            self._rule.refused_at = clock.now()
        else:
            clock.sleep(TICK)

    def _is_too_late_for_spot(self, record: Instance) -> bool:
        """Whether spot took so long to become ready that only on-demand is in time: then it is terminated."""
        if record.market is not Market.SPOT:
            return False
        decided = self._rule.decide(self._work, record)
        if decided.decision.action is not Action.ON_DEMAND:
            return False
        end(self._context.wiring.runtime, [record.id], Reason.USER)
        return True

    def _lost(self, record: Instance) -> None:
        self._work = after_loss(self._work, record)
        self._context.progress.warn(f"{record.label} was interrupted; the work continues on another instance")

    def _say(self, decided: Decided) -> None:
        """Report a decision if it is another one than before; one that creates no record goes into the last record."""
        what = f"{decided.decision.action}{decided.decision.why}{self._work.losses}"
        if what == self._said:
            return
        self._said = what
        self._context.progress.info(decided.line)
        if decided.request is None and self._report.record is not None:
            noted(self._context.wiring.runtime, self._report.record, decided)

    def _extend(self, record: Instance) -> None:
        """Move the deadline of the instance while its work is not due yet, where the TTL could not reach that far."""
        clock, runtime = self._context.clock, self._context.wiring.runtime
        now, until = clock.now(), self._work.finish_by + GRACE
        is_near = now < record.expires_at <= now + _EXTEND_BEFORE
        if self._launch.ttl is not None or self._is_fixed or not is_near or record.expires_at >= until:
            return
        try:
            extend(runtime, record, by=None, ttl=min(until - now, runtime.max_ttl))
        except UsageError as error:
            self._is_fixed = True
            self._context.progress.warn(error.message)
        except GpuctlError as error:
            self._context.progress.warn(f"{error.message}; trying again")
