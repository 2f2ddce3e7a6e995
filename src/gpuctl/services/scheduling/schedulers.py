"""The schedulers of this computer that can run the reaper, in order of preference."""

from collections.abc import Sequence
from typing import Protocol

from gpuctl.services.scheduling.job import ReaperJob
from gpuctl.services.scheduling.process import ScheduleError

_SUPERVISOR = "run under a supervisor: gpuctl reap --watch"


class Scheduler(Protocol):
    """A program that runs jobs of this user at intervals. Nothing is read before a method is called.

    `starts_at_once` tells whether it runs a job for the first time when it is installed. `remedy` is the hint for an
    installed job that it does not run.
    """

    kind: str
    remedy: str
    starts_at_once: bool

    @property
    def obstacle(self) -> str | None:
        """Why this user cannot use it on this computer; None if it can be used."""
        ...

    def find(self, key: str) -> ReaperJob | None:
        """The job under that key; None if there is none. ScheduleError if that cannot be read."""
        ...

    def problem(self, key: str) -> str | None:
        """Why it does not run the installed job; None if nothing is known against it."""
        ...

    def warnings(self, key: str) -> Sequence[str]:
        """What limits the installed job, such as a logout."""
        ...

    def install(self, job: ReaperJob) -> str:
        """Install the job in the place of one under its key. Returns what was written, or where. ScheduleError."""
        ...

    def uninstall(self, key: str) -> bool:
        """Remove the job; whether there was one. ScheduleError if it remains."""
        ...


class Schedulers:
    """The schedulers that may be used, the preferred one first."""

    def __init__(self, *schedulers: Scheduler) -> None:
        self._schedulers = schedulers

    def choose(self, kind: str | None = None) -> Scheduler:
        """The first that can be used, or the one of that kind. ScheduleError, with every reason, if there is none."""
        obstacles = []
        for scheduler in self._schedulers:
            if kind in (None, scheduler.kind):
                obstacle = scheduler.obstacle
                if obstacle is None:
                    return scheduler
                obstacles.append(f"{scheduler.kind}: {obstacle}")
        if kind is not None:
            reason = "".join(obstacles).removeprefix(f"{kind}: ") or "this computer has other schedulers"
            is_another_usable = any(other.obstacle is None for other in self._schedulers if other.kind != kind)
            hint = "gpuctl schedule install" if is_another_usable else _SUPERVISOR
            raise ScheduleError(f"{kind} is not available: {reason}", hint=hint)
        raise ScheduleError(f"no scheduler is available ({'; '.join(obstacles)})", hint=_SUPERVISOR)

    def find(self, key: str) -> tuple[Scheduler, ReaperJob] | None:
        """The job under that key and the scheduler that has it; None if there is none. ScheduleError as `find`."""
        for scheduler in self._schedulers:
            job = scheduler.find(key)
            if job is not None:
                return scheduler, job
        return None

    def uninstall(self, key: str, *, keep: Scheduler | None = None) -> bool:
        """Remove the job from every scheduler except `keep`; whether there was one."""
        removed = [scheduler.uninstall(key) for scheduler in self._schedulers if scheduler is not keep]
        return any(removed)
