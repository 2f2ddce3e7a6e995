"""A timer among the user's own units of systemd."""

from contextlib import suppress
from pathlib import Path

from gpuctl.services.scheduling.job import ReaperJob, from_units, service_unit, timer_unit
from gpuctl.services.scheduling.process import Run, ScheduleError

KIND = "systemd"


class Timers:
    """The units in `folder`, which is where systemd looks for this user's."""

    kind = KIND
    remedy = "gpuctl schedule install"
    starts_at_once = False

    def __init__(self, run: Run, folder: Path) -> None:
        self._run = run
        self._folder = folder

    @property
    def obstacle(self) -> str | None:
        """Why this user cannot use systemd here; None if the user's own manager answers."""
        ran = self._run(["systemctl", "--user", "show", "--property=Version"], "")
        return None if ran.ok else ran.failure

    def problem(self, key: str) -> str | None:
        """Why the installed job does not run; None if its timer is active, or that is not known."""
        _, timer = self._paths(key)
        ran = self._run(["systemctl", "--user", "is-active", timer.name], "")
        return f"the timer is {ran.out.strip()}" if ran.out.strip() in ("inactive", "failed") else None

    def warnings(self, key: str) -> list[str]:
        """What limits the installed job: without lingering, the timers of a user stop at logout."""
        if self._run(["loginctl", "show-user", "--property=Linger", "--value"], "").out.strip() != "no":
            return []
        return ["the timer stops when you log out; to keep it running: loginctl enable-linger"]

    def find(self, key: str) -> ReaperJob | None:
        """The job under that key; None if there is none, or one that cannot be read."""
        service, timer = self._paths(key)
        try:
            return from_units(key, service.read_text("utf-8"), timer.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise ScheduleError(f"the unit `{timer}` cannot be read: {error}") from error

    def install(self, job: ReaperJob) -> str:
        """Put the job in, in the place of one under its key, start its timer and read it back. Returns the timer."""
        service, timer = self._paths(job.key)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            service.write_text(service_unit(job), "utf-8")
            timer.write_text(timer_unit(job), "utf-8")
        except OSError as error:
            raise ScheduleError(f"`{timer}` could not be written: {error.strerror}") from error
        self._systemctl("daemon-reload")
        self._systemctl("enable", timer.name)
        # A timer that is active already must get its new interval.
        self._systemctl("restart", timer.name)
        if self.find(job.key) != job:
            raise ScheduleError(f"`{timer}` does not contain what was written", hint=f"cat {timer}")
        return str(timer)

    def uninstall(self, key: str) -> bool:
        """Stop the timer and take the units out; whether there were any."""
        service, timer = self._paths(key)
        if not timer.exists() and not service.exists():
            return False
        self._run(["systemctl", "--user", "disable", "--now", timer.name], "")
        for path in (timer, service):
            with suppress(FileNotFoundError):
                path.unlink()
        self._run(["systemctl", "--user", "daemon-reload"], "")
        return True

    def _systemctl(self, *words: str) -> None:
        ran = self._run(["systemctl", "--user", *words], "")
        if not ran.ok:
            raise ScheduleError(
                f"`systemctl --user {' '.join(words)}` failed: {ran.failure}", hint="gpuctl schedule install --cron"
            )

    def _paths(self, key: str) -> tuple[Path, Path]:
        return self._folder / f"gpuctl-reap-{key}.service", self._folder / f"gpuctl-reap-{key}.timer"
