"""Moves work with checkpoints from on-demand to spot, when a spot instance is ready for it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from gpuctl.cli.commands.run.task import RunReport
from gpuctl.cli.context import Context
from gpuctl.cli.interrupts import TERMINATE_WITHIN, time_limit
from gpuctl.domain.history import worked_for
from gpuctl.domain.instance import Instance, Market, Reason
from gpuctl.domain.market.deadline_rule import MarketAction
from gpuctl.domain.work import TimedWork
from gpuctl.errors import GpuctlError
from gpuctl.services.launch.emergency import end_interrupted
from gpuctl.services.launch.timed import PROBE_EVERY, Decided, MarketRule
from gpuctl.services.run import TaskResult, WorkMovesError


@dataclass(slots=True)
class Moving:
    """The moves of one task. `start` starts the instance of a decision, to which the work moves from another one.

    A provider shows its capacity only when an instance is requested: after a refusal it is asked again later.
    """

    context: Context
    rule: MarketRule
    report: RunReport
    start: Callable[[Decided, Instance], Instance]
    tried_at: datetime | None = field(default=None, init=False)
    target: Instance | None = field(default=None, init=False)

    def move(self, record: Instance, work: TimedWork) -> None:
        """Raise WorkMovesError once a spot instance is ready that costs less than to stay on this on-demand instance.

        Work with a name stays, because two active instances cannot have one name.
        """
        now = self.context.clock.now()
        is_due = self.tried_at is None or now - self.tried_at >= PROBE_EVERY
        is_movable = work.is_checkpointed and record.market is Market.ON_DEMAND and record.name is None
        if not is_movable or not is_due:
            return
        before = record.timed_work or work
        done = before.done + worked_for(record, now)
        decided = self.rule.decide(before.model_copy(update={"done": done}), record)
        if decided.decision.action is not MarketAction.SPOT:
            return
        self.tried_at, report = now, (self.report.record, self.report.is_new)
        self.context.progress.info(decided.line)
        try:
            self.target = self.start(decided, record)
        except GpuctlError as error:
            self.rule.refused_at = self.context.clock.now()
            self.report.record, self.report.is_new = report
            self.context.progress.info(f"the work stays on {record.label}: {error.message}")
            return
        raise WorkMovesError(f"the work moves to {self.target.label}")

    def end_unused(self, result: TaskResult | None) -> None:
        """Terminate the instance to which the work was to move, if the work ended before that."""
        if self.target is None or (result is not None and result.record.id == self.target.id):
            return
        with time_limit(TERMINATE_WITHIN):
            end_interrupted(self.context.wiring.runtime, [self.target], reason=Reason.CANCELLED)
