"""An agent of launchd, the scheduler of macOS, for this user.

Exit codes are all that is used of `launchctl`: Apple declares the text of `launchctl print` to be no interface.
"""

import os
import plistlib
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from xml.parsers.expat import ExpatError

from gpuctl.clock import Clock
from gpuctl.errors import UsageError
from gpuctl.services.scheduling.job import MINUTES, ReaperJob
from gpuctl.services.scheduling.process import ProcessResult, Run, ScheduleError

KIND = "launchd"
# `bootout` returns before the agent is gone, and `bootstrap` of an agent that is not yet gone fails.
_BOOTED_OUT_WITHIN = timedelta(seconds=5)
_CHECK_EVERY = timedelta(milliseconds=250)
# Bootstrap's code for many things, some of which pass.
_INPUT_OUTPUT_ERROR = 5


class LaunchAgents:
    """The agents in `folder`, which is ~/Library/LaunchAgents. `error_log` receives what fails before gpuctl runs."""

    kind = KIND
    remedy = "gpuctl schedule install"
    starts_at_once = True

    def __init__(self, run: Run, folder: Path, uid: int, error_log: Path, clock: Clock) -> None:
        self._run = run
        self._folder = folder
        # The first exists while the user is logged in at the screen, the second after any login. Some versions of macOS
        # refuse one of them although it exists, so both are tried.
        self._domains = (f"gui/{uid}", f"user/{uid}")
        self._error_log = error_log
        self._clock = clock

    @property
    def obstacle(self) -> str | None:
        """Why this user cannot use launchd; None if launchd has a domain of this user."""
        failed = [ran for domain in self._domains if not (ran := self._launchctl("print", domain)).ok]
        return failed[0].failure if len(failed) == len(self._domains) else None

    def find(self, key: str) -> ReaperJob | None:
        """The job under that key; None if there is none of ours. ScheduleError if it cannot be read."""
        path = self._path(key)
        try:
            return from_agent(key, path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ScheduleError(f"`{path}` cannot be read: {error.strerror}", hint=f"ls -l {path}") from error

    def problem(self, key: str) -> str | None:
        """Why launchd does not run the installed job; None if it does."""
        if self._is_loaded(key):
            return None
        return "launchd has not loaded the agent: check System Settings, General, Login Items"

    def warnings(self, key: str) -> list[str]:
        """What limits the installed job."""
        if self._launchctl("print", f"{self._domains[0]}/{_label(key)}").ok:
            return []
        return ["launchd starts the reaper only after a login over ssh, and the keychain is locked then"]

    def install(self, job: ReaperJob) -> str:
        """Install the job in the place of one under its key, load it and read it back. Returns the path of the agent.

        launchd runs the job at once. ScheduleError if launchd does not load it; nothing is left then.
        """
        path = self._path(job.key)
        self._write(path, agent(job, self._error_log))
        self._unload(job.key)
        failed = [ran for domain in self._domains if not (ran := self._bootstrap(domain, path, job.key)).ok]
        if not self._is_loaded(job.key):
            path.unlink(missing_ok=True)
            raise ScheduleError(
                f"`launchctl bootstrap` failed: {'; '.join(ran.failure for ran in failed)}",
                hint="check System Settings, General, Login Items, or: gpuctl schedule install --cron",
            )
        if self.find(job.key) != job:
            raise ScheduleError(f"`{path}` does not contain what was written", hint=f"cat {path}")
        return str(path)

    def uninstall(self, key: str) -> bool:
        """Stop the job and remove it; whether there was one. ScheduleError if launchd keeps it."""
        path = self._path(key)
        if not path.exists() and not self._is_loaded(key):
            return False
        is_gone = self._unload(key)
        with suppress(FileNotFoundError):
            path.unlink()
        if not is_gone:
            raise ScheduleError(
                f"launchd still runs `{_label(key)}`", hint=f"launchctl bootout {self._domains[0]}/{_label(key)}"
            )
        return True

    def _bootstrap(self, domain: str, path: Path, key: str) -> ProcessResult:
        """Load the agent in the domain, unless it is loaded."""
        if self._is_loaded(key):
            return ProcessResult(0, "", "")
        # An agent that was once disabled stays disabled, whatever its file says.
        self._launchctl("enable", f"{domain}/{_label(key)}")
        ran = self._launchctl("bootstrap", domain, str(path))
        if ran.code == _INPUT_OUTPUT_ERROR and not self._is_loaded(key):
            self._clock.sleep(_CHECK_EVERY)
            ran = self._launchctl("bootstrap", domain, str(path))
        return ran

    def _unload(self, key: str) -> bool:
        """Unload the agent; whether it is gone within some seconds."""
        for domain in self._domains:
            self._launchctl("bootout", f"{domain}/{_label(key)}")
        return _wait_until(lambda: not self._is_loaded(key), _BOOTED_OUT_WITHIN, self._clock)

    def _is_loaded(self, key: str) -> bool:
        return any(self._launchctl("print", f"{domain}/{_label(key)}").ok for domain in self._domains)

    def _launchctl(self, *words: str) -> ProcessResult:
        return self._run(["launchctl", *words], "")

    def _write(self, path: Path, content: bytes) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            # launchd refuses a file that others may write.
            temporary.chmod(0o644)
            os.replace(temporary, path)
        except OSError as error:
            raise ScheduleError(
                f"`{path}` could not be written: {error.strerror}", hint=f"ls -ld {path.parent}"
            ) from error

    def _path(self, key: str) -> Path:
        return self._folder / f"{_label(key)}.plist"


def agent(job: ReaperJob, error_log: Path) -> bytes:
    """The file of the agent that runs the job, at once when it is loaded and then at the minutes of its interval."""
    content = {
        "Label": _label(job.key),
        "ProgramArguments": list(job.argv),
        "EnvironmentVariables": dict(job.environ),
        "StartCalendarInterval": _calendar(job.every // timedelta(minutes=1)),
        "RunAtLoad": True,
        "LimitLoadToSessionType": ["Aqua", "Background"],
        "StandardOutPath": "/dev/null",
        "StandardErrorPath": str(error_log),
    }
    return plistlib.dumps(content)


def from_agent(key: str, content: bytes) -> ReaperJob | None:
    """The job in the file of an agent; None where it cannot be read."""
    try:
        read = plistlib.loads(content)
        minutes = next(minutes for minutes in MINUTES if _calendar(minutes) == read["StartCalendarInterval"])
        argv, environ = tuple(read["ProgramArguments"]), dict(read["EnvironmentVariables"])
        return ReaperJob(key, timedelta(minutes=minutes), argv, environ)
    except (ExpatError, ValueError, KeyError, TypeError, AttributeError, StopIteration, UsageError):
        return None


def _calendar(minutes: int) -> dict[str, int] | list[dict[str, int]]:
    # launchd makes up for a run that was missed asleep with calendar intervals only. A missing key is a wildcard.
    return {} if minutes == 1 else [{"Minute": minute} for minute in range(0, 60, minutes)]


def _label(key: str) -> str:
    return f"io.gpuctl.reap.{key}"


def _wait_until(is_so: Callable[[], bool], patience: timedelta, clock: Clock) -> bool:
    started = clock.elapsed()
    while not is_so():
        if clock.elapsed() - started >= patience:
            return False
        clock.sleep(_CHECK_EVERY)
    return True
