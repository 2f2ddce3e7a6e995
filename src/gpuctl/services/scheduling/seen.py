"""What is known of the schedule of one state, put together from where it stands and from when it last ran."""

from dataclasses import dataclass
from datetime import datetime

from gpuctl.domain.schedule import Installed
from gpuctl.services.scheduling.job import Job
from gpuctl.services.scheduling.overdue import late_by
from gpuctl.store.reaper import ReapTimes


@dataclass(frozen=True, slots=True)
class Seen:
    """The job that stands in `kind` (None where none does), the note of it beside the state, and the reaper's times."""

    kind: str | None
    job: Job | None
    note: Installed | None
    times: ReapTimes
    now: datetime

    @property
    def is_overdue(self) -> bool:
        """Whether it should have run and did not; also when its line is gone and the note of it stands."""
        return self.note is not None and (
            self.job is None
            or late_by(self.now, self.job.every, self.note.installed_at, self.times.last_reap_at) is not None
        )

    @property
    def word(self) -> str:
        """How it stands, in a word or a few."""
        if self.job is None:
            return "removed after it was installed" if self.note else "not installed"
        return "overdue" if self.is_overdue else "installed"
