"""What is known of the schedule of one state, from its scheduler and from when the reaper last ran."""

from dataclasses import dataclass
from datetime import datetime

from gpuctl.domain.schedule import Installed
from gpuctl.services.scheduling.job import ReaperJob
from gpuctl.services.scheduling.overdue import failing_for, late_by
from gpuctl.store.reaper import ReapTimes


@dataclass(frozen=True, slots=True)
class ScheduleStatus:
    """The job that `kind` has (None where none has one), the note of it on this computer, and the reaper's times.

    `problem` is why the scheduler does not run the job, None where nothing is known against it; `remedy` is the hint
    for that.
    """

    kind: str | None
    job: ReaperJob | None
    note: Installed | None
    times: ReapTimes
    now: datetime
    problem: str | None = None
    remedy: str = "gpuctl schedule install"

    @property
    def is_overdue(self) -> bool:
        """Whether it should have run and did not; also when its job is gone and its note is still there."""
        return self.note is not None and (
            self.job is None
            or late_by(self.now, self.job.every, self.note.installed_at, self.times.last_reap_at) is not None
        )

    @property
    def is_failing(self) -> bool:
        """Whether every run of the last 5 minutes or more failed."""
        return failing_for(self.now, self.times) is not None

    @property
    def word(self) -> str:
        """Its status in a few words."""
        if self.job is None:
            return "removed after it was installed" if self.note else "not installed"
        if self.problem is not None:
            return "not running"
        return "overdue" if self.is_overdue else "failing" if self.is_failing else "installed"
