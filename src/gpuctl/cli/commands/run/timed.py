"""`gpuctl run --finish-by`: one command on as many instances as it takes, in the market that is cheapest in time."""

import secrets
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from gpuctl.cli.commands.provision.options import LaunchOptions
from gpuctl.cli.commands.provision.timed import market_rule, work_of
from gpuctl.cli.commands.run.extending import Extending
from gpuctl.cli.commands.run.moving import Moving
from gpuctl.cli.commands.run.plan import CHECKPOINT, plan_for, with_checkpoint
from gpuctl.cli.commands.run.task import RunReport, ready_instance, run_command
from gpuctl.cli.context import Context
from gpuctl.cli.interrupts import terminating
from gpuctl.domain.history import is_lost
from gpuctl.domain.instance import Instance, Market, Reason, Status
from gpuctl.domain.market.deadline_rule import TICK, MarketAction
from gpuctl.domain.market.offers import READY_WITHIN
from gpuctl.domain.market.request import Request
from gpuctl.domain.tags import RECORD_ID_PREFIX
from gpuctl.domain.unfinished import (
    LEASE,
    PAUSE_AFTER_FAILURE,
    TakenOverError,
    is_cut_short,
    is_usable,
    may_still_run,
)
from gpuctl.domain.work import GRACE, TimedWork
from gpuctl.errors import CloudError, GpuctlError, Interrupted, NotFoundError, UnresolvedError
from gpuctl.services.launch.timed import Decided, after_loss, noted
from gpuctl.services.query import current_record
from gpuctl.services.reconcile.reconcile import settle
from gpuctl.services.run import PROOF, Task, TaskResult, WorkMovesError
from gpuctl.services.terminate import end, wait_until_terminated
from gpuctl.services.wait import wait_for_ssh
from gpuctl.wiring.work import open_claims


def run_timed(
    context: Context,
    launch: LaunchOptions,
    request: Request,
    task: Task,
    report: RunReport,
    unit: str | None,
    *,
    keep: bool,
) -> TaskResult:
    """Run the task until its command has ended, on another instance after each interruption.

    Raises the error of the last attempt when the work was due and no instance could be started.
    """
    checkpoint = context.environ.get(CHECKPOINT) if launch.checkpointed else None
    work = work_of(context, launch, checkpoint)
    if launch.checkpointed and checkpoint is None:
        context.progress.info(f"{CHECKPOINT} is not set: the command must know by itself where its checkpoints are")
    task = with_checkpoint(task, checkpoint)
    plan = plan_for(context, launch, request, task, unit, keep=keep)
    work = work.model_copy(update={"id": secrets.token_hex(8), "plan": plan})
    return TimedRun(context, launch, request, task, report, work, keep=keep).run()


class TimedRun:
    """One task on its way to its end, from its newest record on.

    With `survives` a failure or a signal leaves the task to the next process that continues it.
    """

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
        survives: bool = False,
    ) -> None:
        self._context, self._launch, self._task, self._report, self._keep = context, launch, task, report, keep
        self._rule = market_rule(context, request)
        self._claims = open_claims(context.wiring)
        self._work, self._id = work, work.id or ""
        self._survives = survives
        self._said = ""
        self._extending = Extending(context, work.finish_by + GRACE, is_fixed=launch.ttl is not None)
        self._moving = Moving(context, self._rule, report, self._started_for_move)
        self._late: list[str] = []

    def run(self) -> TaskResult:
        """The result of the task on the instance on which it ended."""
        result: TaskResult | None = None
        failure: BaseException | None = None
        try:
            result = self._drive()
            return self._with_late(result)
        except BaseException as error:
            failure = error
            raise
        finally:
            if not self._survives:
                self._moving.end_unused(result)
            # A state that cannot be written changes nothing about the result.
            with suppress(GpuctlError):
                self._give_up(result, failure)

    def _drive(self) -> TaskResult:
        while True:
            latest = self._claims.latest(self._id)
            if latest is not None and latest.timed_work is not None and latest.timed_work.is_over:
                return _ended_elsewhere(latest)
            if latest is not None and is_usable(latest):
                record = self._joined(latest)
            elif latest is not None and may_still_run(latest):
                self._wait_for_end(latest)
                continue
            else:
                record = self._started(latest)
            if record is None:
                continue
            result = self._ran(record)
            if result is not None:
                return result

    def _joined(self, latest: Instance) -> Instance | None:
        """The instance on which this work goes on, claimed; None if it is lost meanwhile, or is another process's."""
        try:
            self._claims.claim(latest, READY_WITHIN + LEASE)
            self._report.record, self._report.is_new = latest, False
            self._end_others(latest)
            return wait_for_ssh(self._context.wiring.runtime, latest, READY_WITHIN)
        except TakenOverError:
            if self._survives:
                raise
            self._wait_for_end(latest)
        except UnresolvedError as error:
            # The command may still run on the instance before this one.
            self._context.progress.warn(error.message)
        except GpuctlError:
            fresh = self._claims.latest(self._id)
            if fresh is None or is_usable(fresh):
                raise
        return None

    def _end_others(self, record: Instance) -> None:
        """Terminate the instances from which the work moves to that one. UnresolvedError if that is not confirmed."""
        runtime, others = self._context.wiring.runtime, [other.id for other in self._claims.others(record)]
        end(runtime, others, Reason.USER)
        for error in wait_until_terminated(runtime, others, PROOF).errors.values():
            raise error

    def _wait_for_end(self, latest: Instance) -> None:
        """Let a tick pass, and bring the record up to date."""
        self._context.clock.sleep(TICK)
        settle(self._context.wiring.runtime, [latest.id])

    def _started(self, latest: Instance | None) -> Instance | None:
        """The next instance; None where there is none yet."""
        clock = self._context.clock
        if latest is not None:
            self._work = _work_left(latest, self._work)
            if self._rule.refused_at is None and latest.reason is Reason.REFUSED and latest.market is Market.SPOT:
                self._rule.refused_at = latest.terminated_at
        decided = self._rule.decide(self._work)
        self._say(decided)
        if decided.request is None:
            clock.sleep(TICK)
            return None
        try:
            if latest is not None:
                self._claims.claim(latest, READY_WITHIN + LEASE)
            return self._instance(decided, latest)
        except TakenOverError:
            if self._survives:
                raise
            clock.sleep(TICK)
        except GpuctlError as error:
            if not error.retryable or clock.now() >= self._work.finish_by:
                raise
            self._context.progress.warn(error.message)
            self._not_started(decided)
        return None

    def _instance(self, decided: Decided, latest: Instance | None, *, moves: bool = False) -> Instance:
        now, longest = self._context.clock.now(), self._context.wiring.runtime.max_ttl
        assert decided.request is not None
        driver = self._claims.driver((self._launch.timeout or READY_WITHIN) + LEASE)
        work = (decided.request.timed_work or self._work).model_copy(update={"driver": driver})
        request = replace(decided.request, ttl=self._launch.ttl or self._work.ttl(now, longest), timed_work=work)
        limit = decided.patience if decided.decision.action is MarketAction.SPOT else None
        admit = self._claims.admission(self._id, latest, moves=moves)
        record = ready_instance(self._context, self._launch, request, self._report, limit, admit)
        # Agreed to once: a restart asks nobody.
        self._launch = replace(self._launch, yes=True)
        return record

    def _ran(self, record: Instance) -> TaskResult | None:
        """The result of the task on that instance; None if it is to go on on another one."""
        with terminating(self._context, [record], [], *(() if self._survives else (GpuctlError, Interrupted))):
            is_too_late = self._is_too_late_for_spot(record)
        if is_too_late:
            return None
        self._moving.target = None
        result = run_command(
            self._context,
            record,
            replace(self._task, token=record.id.removeprefix(RECORD_ID_PREFIX)),
            keep=self._keep,
            watch=self._watch,
            is_new=self._report.is_new and not self._survives,
            survives=self._survives,
        )
        if isinstance(result.error, WorkMovesError):
            return None
        if result.code is not None or not (is_lost(result.record) or is_cut_short(result.record)):
            return result
        self._work = _work_left(result.record, self._work)
        reason = "was interrupted" if is_lost(result.record) else "expired before the work was done"
        self._context.progress.warn(f"{result.record.label} {reason}; the work continues on another instance")
        return None

    def _not_started(self, decided: Decided) -> None:
        """Make the next decision one without spot after spot was refused; pause after a failure of on-demand."""
        if decided.decision.action is MarketAction.SPOT:
            self._rule.refused_at = self._context.clock.now()
        else:
            self._context.clock.sleep(TICK)

    def _is_too_late_for_spot(self, record: Instance) -> bool:
        """Whether spot took so long to become ready that only on-demand is in time: then it is terminated.

        Its termination is confirmed when the work is done: a wait now would make the work late.
        """
        if record.market is not Market.SPOT or record.status is Status.RUNNING:
            return False
        decided = self._rule.decide(self._work, record)
        if decided.decision.action is not MarketAction.ON_DEMAND:
            return False
        end(self._context.wiring.runtime, [record.id], Reason.TIMEOUT)
        self._late.append(record.id)
        return True

    def _with_late(self, result: TaskResult) -> TaskResult:
        """The result once the terminations of instances that were ready too late are confirmed, or with the error."""
        waited = wait_until_terminated(self._context.wiring.runtime, self._late, PROOF)
        result.end_error = result.end_error or next(iter(waited.errors.values()), None)
        return result

    def _give_up(self, result: TaskResult | None, failure: BaseException | None) -> None:
        """Write that the work is over, or leave it to another process."""
        if isinstance(failure, TakenOverError):
            return
        if result is not None and (result.code is not None or not is_usable(result.record)):
            ended = "the command was lost" if result.code is None else f"the command exited with {result.code}"
            self._claims.finish(self._id, result.code, ended)
        elif self._survives:
            pause = timedelta(0) if isinstance(failure, Interrupted) else PAUSE_AFTER_FAILURE
            self._claims.leave(self._id, pause)
        else:
            reason = failure.message if isinstance(failure, GpuctlError | Interrupted) else "gpuctl failed"
            self._claims.finish(self._id, None, f"given up: {reason}")

    def _say(self, decided: Decided) -> None:
        """Report a decision if it is another one than before; one that creates no record goes into the last record."""
        what = f"{decided.decision.action}{decided.decision.why}{self._work.losses}"
        if what == self._said:
            return
        self._said = what
        self._context.progress.info(decided.line)
        if decided.request is None and self._report.record is not None:
            noted(self._context.wiring.runtime, self._report.record, decided)

    def _watch(self, record: Instance) -> None:
        """Renew the claim of the work, and extend the deadline of the instance where it is near."""
        # A process that took the work over follows the same command.
        with suppress(TakenOverError, NotFoundError):
            self._claims.renew(record)
        self._extending.extend(current_record(self._claims.store, record))
        if not self._keep:
            self._moving.move(current_record(self._claims.store, record), self._work)

    def _started_for_move(self, decided: Decided, record: Instance) -> Instance:
        self._claims.claim(record, READY_WITHIN + LEASE)
        return self._instance(decided, record, moves=True)


def _work_left(record: Instance, work: TimedWork) -> TimedWork:
    """The work that is left after that record ended; a start that failed is no loss."""
    before = record.timed_work if record.timed_work is not None and record.timed_work.id == work.id else work
    return after_loss(before, record) if is_lost(record) or is_cut_short(record) else before


def _ended_elsewhere(record: Instance) -> TaskResult:
    """The result of work that another process has ended."""
    code = record.timed_work.exit_code if record.timed_work is not None else None
    error = CloudError("another process ended the work", hint=f"gpuctl get {record.id}") if code is None else None
    return TaskResult(record, code, error)
