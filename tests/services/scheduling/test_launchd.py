"""The reaper's job as an agent of launchd, on a `launchctl` that keeps a table and fails as macOS's does."""

import os
import plistlib
import shlex
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from support.clock import FakeClock
from support.jobs import JOBS

from gpuctl.services.scheduling.job import MINUTES, ReaperJob
from gpuctl.services.scheduling.launchd import LaunchAgents, agent, from_agent
from gpuctl.services.scheduling.process import ProcessResult, ScheduleError

MINUTE = timedelta(minutes=1)
JOB = ReaperJob(
    "0123abcd", MINUTE, ("/opt/homebrew/bin/gpuctl", "reap", "--state", "/Users/ana/a b/x.json"), {"PATH": "/bin"}
)
LABEL = "io.gpuctl.reap.0123abcd"
GUI, USER = "gui/501", "user/501"
NO_SERVICE = ProcessResult(113, "", f'Could not find service "{LABEL}" in domain\n')
INPUT_OUTPUT_ERROR = ProcessResult(5, "", "Bootstrap failed: 5: Input/output error\n")
NO_DOMAIN = ProcessResult(125, "", "Bootstrap failed: 125: Domain does not support specified action\n")


class Launchctl:
    """`launchctl` with a table of loaded services. A booted-out service is gone after `late` calls of `print`.

    Exit codes: 113 where there is no such service, 5 for a bootstrap of what is loaded or disabled, 125 for a domain
    that takes none (launchctl(1); home-manager#4413; Homebrew/brew#19602).
    """

    def __init__(self, *domains: str, late: int = 0) -> None:
        self.domains = domains
        self.late = late
        self.loaded: dict[str, int] = {}
        self.disabled: set[str] = set()
        self.broken: list[ProcessResult] = []
        self.calls: list[str] = []

    def __call__(self, argv: Sequence[str], typed: str) -> ProcessResult:
        assert argv[0] == "launchctl", f"{argv[0]} was run on a Mac"
        self.calls.append(shlex.join(argv[1:]))
        action, target, *rest = argv[1:]
        return getattr(self, f"_{action}")(target, *rest)

    def _print(self, target: str) -> ProcessResult:
        if target.count("/") == 1:
            return (
                ProcessResult(0, "", "")
                if target in self.domains
                else ProcessResult(113, "", "Could not find domain\n")
            )
        if target not in self.loaded:
            return NO_SERVICE
        if self.loaded[target] > 0:
            self.loaded[target] -= 1
            if self.loaded[target] == 0:
                del self.loaded[target]
        return ProcessResult(0, "service = {}", "")

    def _bootout(self, target: str) -> ProcessResult:
        if target not in self.loaded:
            return ProcessResult(3, "", "Boot-out failed: 3: No such process\n")
        if self.late:
            self.loaded[target] = self.late
        else:
            del self.loaded[target]
        return ProcessResult(0, "", "")

    def _enable(self, target: str) -> ProcessResult:
        self.disabled.discard(target)
        return ProcessResult(0, "", "")

    def _bootstrap(self, domain: str, path: str) -> ProcessResult:
        if domain not in self.domains:
            return NO_DOMAIN
        if self.broken:
            return self.broken.pop(0)
        service = f"{domain}/{plistlib.loads(Path(path).read_bytes())['Label']}"
        if service in self.loaded or service in self.disabled:
            return INPUT_OUTPUT_ERROR
        self.loaded[service] = -1
        return ProcessResult(0, "", "")


def agents(folder: Path, launchctl: Launchctl) -> LaunchAgents:
    return LaunchAgents(launchctl, folder / "LaunchAgents", 501, folder / "state.json.reap.launchd.err", FakeClock())


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(JOBS)
def test_a_job_is_read_back_from_an_agent_as_it_was_written(job: ReaperJob) -> None:
    assert from_agent(job.key, agent(job, Path("/tmp/err"))) == job


@pytest.mark.parametrize("minutes", MINUTES)
def test_every_interval_is_of_the_calendar_so_that_a_run_missed_asleep_is_made_up(minutes: int) -> None:
    read = plistlib.loads(agent(ReaperJob("0123abcd", minutes * MINUTE, ("/g",)), Path("/tmp/err")))
    assert "StartInterval" not in read and "KeepAlive" not in read
    times = [{"Minute": minute} for minute in range(0, 60, minutes)]
    assert read["StartCalendarInterval"] == ({} if minutes == 1 else times)
    assert (read["RunAtLoad"], read["LimitLoadToSessionType"]) == (True, ["Aqua", "Background"])


@pytest.mark.parametrize(
    "content",
    [b"", b"<plist>", b"\xff", plistlib.dumps({"Label": "x"}), plistlib.dumps([1]), agent(JOB, Path("/"))[:200]],
)
def test_what_is_no_agent_of_ours_is_no_job(content: bytes) -> None:
    assert from_agent("0123abcd", content) is None


def test_install_loads_the_agent_and_again_replaces_it(tmp_path: Path) -> None:
    launchctl = Launchctl(GUI, USER)
    scheduler = agents(tmp_path, launchctl)
    assert scheduler.obstacle is None
    path = Path(scheduler.install(JOB))
    assert (scheduler.find(JOB.key), scheduler.problem(JOB.key), scheduler.warnings(JOB.key)) == (JOB, None, [])
    again = ReaperJob(JOB.key, 5 * MINUTE, JOB.argv, JOB.environ)
    scheduler.install(again)
    assert scheduler.find(JOB.key) == again
    assert (list(launchctl.loaded), path.stat().st_mode & 0o777) == ([f"{GUI}/{LABEL}"], 0o644)
    assert os.listdir(path.parent) == [path.name]
    assert scheduler.uninstall(JOB.key)
    assert (launchctl.loaded, os.listdir(path.parent), scheduler.find(JOB.key)) == ({}, [], None)
    assert not scheduler.uninstall(JOB.key)


def test_an_agent_that_is_booted_out_late_is_waited_for(tmp_path: Path) -> None:
    launchctl = Launchctl(GUI, late=6)
    scheduler = agents(tmp_path, launchctl)
    scheduler.install(JOB)
    scheduler.install(JOB)
    assert list(launchctl.loaded) == [f"{GUI}/{LABEL}"]
    assert scheduler.uninstall(JOB.key)
    assert launchctl.loaded == {}


def test_an_agent_that_never_goes_is_an_error_of_uninstall(tmp_path: Path) -> None:
    launchctl = Launchctl(GUI, late=1_000)
    scheduler = agents(tmp_path, launchctl)
    scheduler.install(JOB)
    with pytest.raises(ScheduleError) as raised:
        scheduler.uninstall(JOB.key)
    assert raised.value.hint == f"launchctl bootout {GUI}/{LABEL}"


def test_over_ssh_the_domain_of_the_user_is_used_and_its_limit_is_reported(tmp_path: Path) -> None:
    launchctl = Launchctl(USER)
    scheduler = agents(tmp_path, launchctl)
    scheduler.install(JOB)
    assert list(launchctl.loaded) == [f"{USER}/{LABEL}"]
    assert "after a login over ssh" in scheduler.warnings(JOB.key)[0]


def test_a_domain_that_answers_and_takes_nothing_is_passed_over(tmp_path: Path) -> None:
    launchctl = Launchctl(GUI, USER)
    launchctl.broken = [NO_DOMAIN]
    scheduler = agents(tmp_path, launchctl)
    scheduler.install(JOB)
    assert list(launchctl.loaded) == [f"{USER}/{LABEL}"]


def test_an_error_that_passes_is_tried_once_more_and_a_disabled_agent_is_enabled(tmp_path: Path) -> None:
    launchctl = Launchctl(GUI)
    launchctl.broken = [INPUT_OUTPUT_ERROR]
    launchctl.disabled = {f"{GUI}/{LABEL}"}
    agents(tmp_path, launchctl).install(JOB)
    assert list(launchctl.loaded) == [f"{GUI}/{LABEL}"]


def test_an_agent_that_launchd_does_not_load_is_an_error_with_its_reason_and_leaves_nothing(tmp_path: Path) -> None:
    launchctl = Launchctl(GUI)
    launchctl.broken = [INPUT_OUTPUT_ERROR] * 9
    scheduler = agents(tmp_path, launchctl)
    with pytest.raises(ScheduleError, match="Bootstrap failed: 5: Input/output error"):
        scheduler.install(JOB)
    assert os.listdir(tmp_path / "LaunchAgents") == []


def test_an_agent_that_was_switched_off_is_a_problem(tmp_path: Path) -> None:
    launchctl = Launchctl(GUI)
    scheduler = agents(tmp_path, launchctl)
    scheduler.install(JOB)
    launchctl.loaded.clear()
    assert "Login Items" in (scheduler.problem(JOB.key) or "")


def test_without_launchd_it_is_not_usable(tmp_path: Path) -> None:
    scheduler = LaunchAgents(
        lambda argv, typed: ProcessResult(None, "", "not installed"), tmp_path, 501, tmp_path / "err", FakeClock()
    )
    assert scheduler.obstacle == "not installed"
