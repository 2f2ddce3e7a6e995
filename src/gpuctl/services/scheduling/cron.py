"""The user's crontab: our line put in, found and taken out, everything else left as it is."""

from gpuctl.services.scheduling.job import Job, cron_line, from_cron
from gpuctl.services.scheduling.ran import Run, ScheduleError

KIND = "cron"


class Crontab:
    """The crontab of the user who runs this."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def is_usable(self) -> bool:
        """Whether there is cron on this machine, and this user may use it."""
        try:
            self._lines()
        except ScheduleError:
            return False
        return True

    def find(self, key: str) -> Job | None:
        """The job under that key; None if there is none. ScheduleError if the crontab cannot be read."""
        return next((job for line in self._lines() if (job := from_cron(line)) and job.key == key), None)

    def install(self, job: Job) -> str:
        """Put the job in, in the place of one under its key, and read it back. Returns the line."""
        line = cron_line(job)
        self._write([*self._others(job.key), line])
        if self.find(job.key) != job:
            raise ScheduleError("the crontab does not hold the line that was written into it", hint="crontab -l")
        return line

    def uninstall(self, key: str) -> bool:
        """Take the job out; whether there was one."""
        if self.find(key) is None:
            return False
        self._write(self._others(key))
        return True

    def _others(self, key: str) -> list[str]:
        return [line for line in self._lines() if (job := from_cron(line)) is None or job.key != key]

    def _lines(self) -> list[str]:
        ran = self._run(["crontab", "-l"], "")
        if ran.code is None:
            raise ScheduleError("there is no `crontab` on this machine", hint="gpuctl schedule install --systemd")
        # Who has no crontab yet is told so with an exit code of 1.
        if not ran.ok and "no crontab for" not in ran.err.lower():
            raise ScheduleError(f"the crontab cannot be read: {ran.said}", hint="crontab -l")
        return ran.out.removesuffix("\n").split("\n") if ran.ok and ran.out else []

    def _write(self, lines: list[str]) -> None:
        ran = self._run(["crontab", "-"], "".join(f"{line}\n" for line in lines))
        if not ran.ok:
            raise ScheduleError(f"the crontab could not be written: {ran.said}", hint="crontab -e")
