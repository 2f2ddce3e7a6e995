"""The reaper's job as cron and systemd spell it: what is written is what is read back, whatever the names."""

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from support.instances import NOON
from support.jobs import JOBS

from gpuctl.errors import UsageError
from gpuctl.services.scheduling.cron import Crontab
from gpuctl.services.scheduling.job import (
    ReaperJob,
    cron_line,
    from_cron,
    from_units,
    parse_every,
    service_unit,
    timer_unit,
)
from gpuctl.services.scheduling.overdue import late_by
from gpuctl.services.scheduling.process import ProcessResult, ScheduleError

MINUTE = timedelta(minutes=1)
JOB = ReaperJob(
    "0123abcd", MINUTE, ("/opt/g/gpuctl", "reap", "--state", '/home/a b/50% $HOME/it\'s "x".json'), {"A": "x y"}
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(JOBS)
def test_a_job_is_read_back_from_cron_as_it_was_written(job: ReaperJob) -> None:
    assert from_cron(cron_line(job)) == job


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(JOBS)
def test_a_job_is_read_back_from_systemd_as_it_was_written(job: ReaperJob) -> None:
    assert from_units(job.key, service_unit(job), timer_unit(job)) == job


def test_systemd_leaves_alone_what_a_hook_started_in_the_background() -> None:
    assert "\nKillMode=process\n" in service_unit(JOB)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "# * * * * * /opt/gpuctl reap # gpuctl:0123abcd",
        "0 3 * * * echo it's # gpuctl:nothing",
        "MAILTO=ana",
        "* * * * * /opt/gpuctl reap",
    ],
)
def test_a_line_of_another_program_is_no_job(line: str) -> None:
    assert from_cron(line) is None


def test_a_line_that_cron_would_cut_is_refused() -> None:
    with pytest.raises(UsageError) as raised:
        cron_line(ReaperJob("0123abcd", MINUTE, ("/opt/gpuctl", "x" * 1_000)))
    assert raised.value.hint == "gpuctl schedule install --systemd"


def test_a_name_with_a_line_break_is_in_no_schedule() -> None:
    with pytest.raises(UsageError):
        ReaperJob("0123abcd", MINUTE, ("/opt/gpuctl", "a\nb"))


@pytest.mark.parametrize("text", ["0s", "7m", "90s", "2h", "61m", "m", ""])
def test_only_whole_parts_of_an_hour_can_be_scheduled(text: str) -> None:
    with pytest.raises(UsageError):
        parse_every(text)
    assert parse_every("60m") == timedelta(hours=1)


class Tab:
    """A crontab program with a memory, as terse as the real one."""

    def __init__(self, content: str | None = None, header: str = "", none_yet: str = "no crontab for ana\n") -> None:
        self.content = content
        self.header = header
        self.none_yet = none_yet

    def __call__(self, argv: object, typed: str) -> ProcessResult:
        if argv == ["crontab", "-"]:
            self.content = f"{self.header}{typed}"
            return ProcessResult(0, "", "")
        return ProcessResult(1, "", self.none_yet) if self.content is None else ProcessResult(0, self.content, "")


def test_the_rest_of_a_crontab_is_left_as_it_is() -> None:
    theirs = "MAILTO=ana\n\n# mine\n0 3 * * * date +\\%s\n* * * * * /opt/gpuctl reap # gpuctl:ffffffff\n"
    tab = Tab(theirs)
    crontab = Crontab(tab)
    crontab.install(JOB)
    crontab.install(JOB)
    assert tab.content == f"{theirs}{cron_line(JOB)}\n"
    assert crontab.find(JOB.key) == JOB
    assert crontab.uninstall(JOB.key)
    assert tab.content == theirs
    assert not crontab.uninstall(JOB.key)


def test_a_crontab_that_cannot_be_read_is_never_written() -> None:
    written = []

    def run(argv: object, typed: str) -> ProcessResult:
        written.append(typed)
        return ProcessResult(1, "", "you (ana) are not allowed to use this program")

    crontab = Crontab(run)
    assert crontab.obstacle
    with pytest.raises(ScheduleError, match="not allowed"):
        crontab.install(JOB)
    assert "".join(written) == ""


@pytest.mark.parametrize(
    "failure",
    [
        "no crontab for ana\n",  # Vixie's cron
        "crontab: no crontab for ana\n",  # FreeBSD
        "crontab: can't open 'ana': No such file or directory\n",  # BusyBox: Alpine, OpenWrt
    ],
)
def test_a_user_without_a_crontab_gets_a_crontab(failure: str) -> None:
    tab = Tab(none_yet=failure)
    assert Crontab(tab).obstacle is None
    assert Crontab(tab).install(JOB) == cron_line(JOB)
    assert tab.content == f"{cron_line(JOB)}\n"


@pytest.mark.parametrize(
    "ran",
    [
        ProcessResult(1, "", "crontab: can't open 'ana': Permission denied\n"),
        ProcessResult(
            1, "", "crontab: can't change directory to '/var/spool/cron/crontabs': No such file or directory\n"
        ),
        ProcessResult(1, "", "crontab: must be suid to work properly\n"),
        ProcessResult(1, "", "cannot connect\nno crontab for ana\n"),
        ProcessResult(1, "0 3 * * * backup\n", "no crontab for ana\n"),
        ProcessResult(2, "", "no crontab for ana\n"),
        ProcessResult(1, "", ""),
    ],
)
def test_any_other_failure_may_hide_a_crontab_and_nothing_is_written(ran: ProcessResult) -> None:
    written = []

    def run(argv: object, typed: str) -> ProcessResult:
        written.append(typed)
        return ran

    assert ran.err.strip() in (Crontab(run).obstacle or "").replace(" no crontab", "\nno crontab")
    with pytest.raises(ScheduleError):
        Crontab(run).install(JOB)
    assert "".join(written) == ""


VIXIE = """\
# DO NOT EDIT THIS FILE - edit the master and reinstall.
# (- installed on Thu Jun 25 21:01:10 2009)
# (Cron version V5.0 -- $Id: crontab.c,v 1.12 2004/01/23 18:56:42 vixie Exp $)
"""
CRONIE = """\
# DO NOT EDIT THIS FILE - edit the master and reinstall.
# (/tmp/tmp391ZP2 installed on Sun Jun 23 15:51:50 2013)
# (Cronie version 4.2)
"""


@pytest.mark.parametrize("header", [VIXIE, CRONIE])
def test_the_header_that_cron_adds_does_not_pile_up(header: str) -> None:
    theirs = "# (mine installed on Monday)\nMAILTO=ana\n"
    tab = Tab(f"{header * 3}{theirs}", header=header)
    for _ in range(3):
        Crontab(tab).install(JOB)
    assert tab.content == f"{header}{theirs}{cron_line(JOB)}\n"
    assert Crontab(tab).uninstall(JOB.key)
    assert tab.content == f"{header}{theirs}"


def test_late_means_two_runs_missed() -> None:
    def late(last: timedelta | None) -> timedelta | None:
        return late_by(NOON, MINUTE, NOON - timedelta(days=1), None if last is None else NOON - last)

    assert late(3 * MINUTE) is None
    assert late(3 * MINUTE + timedelta(seconds=1)) == 3 * MINUTE + timedelta(seconds=1)
    assert late(-5 * MINUTE) is None
    assert late(None) == timedelta(days=1)


@pytest.mark.skipif(shutil.which("crontab") is None, reason="crontab is not installed")
def test_debians_cron_takes_the_line(tmp_path: Path) -> None:
    tab = tmp_path / "tab"
    tab.write_text(f"{cron_line(JOB)}\n")
    done = subprocess.run(["crontab", "-n", str(tab)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    job = ReaperJob(JOB.key, 5 * MINUTE, ("/bin/echo", *JOB.argv[1:]), JOB.environ)
    service, timer = tmp_path / "gpuctl-reap-0123abcd.service", tmp_path / "gpuctl-reap-0123abcd.timer"
    service.write_text(service_unit(job))
    timer.write_text(timer_unit(job))
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(timer), str(service)],
        capture_output=True,
        text=True,
        check=False,
        env={"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert (done.returncode, done.stderr) == (0, "")
