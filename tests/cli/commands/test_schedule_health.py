"""A schedule that cannot do its work says so: at installation, in its status, in `doctor` and in every command."""

import os
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import Operator
from support.clock import StepClock
from support.programs import BUSYBOX_CRONTAB, CRONTAB, CRONTAB_OF_A_MAC, CRONTAB_WITHOUT_SUID, LAUNCHCTL, with_programs
from support.wire import refuse

from gpuctl.home.schedule import ScheduleNote, error_log_in
from gpuctl.platform import Platform


@pytest.fixture
def with_cron(operator: Operator) -> Operator:
    return with_programs(operator, crontab=CRONTAB)


@pytest.fixture
def on_a_mac(operator: Operator) -> Operator:
    with_programs(operator, launchctl=LAUNCHCTL, crontab=CRONTAB_OF_A_MAC)
    operator.platform = Platform("darwin", root=operator.folder / "system")
    operator.environ["HOME"] = str(operator.folder)
    return operator


def schedule_check(operator: Operator) -> dict[str, str]:
    """What `doctor` reports of the schedule."""
    checks = operator.json("doctor", "--region", "us-east-1").json["checks"]
    return next(check for check in checks if check["check"] == "schedule")


def test_a_schedule_whose_program_was_removed_is_reported(with_cron: Operator) -> None:
    with_cron.run("schedule", "install")
    assert with_cron.json("schedule", "status").json["schedule"]["problem"] is None
    tab, missing = with_cron.folder / "tab", "/opt/gone/bin/gpuctl"
    tab.write_text(tab.read_text().replace(str(Path(sys.executable).with_name("gpuctl")), missing))
    status = with_cron.run("schedule", "status", terminal=True)
    assert f"`{missing}` does not exist" in status.out
    assert "hint: gpuctl schedule install" in status.err
    check = schedule_check(with_cron)
    assert (check["status"], missing in check["message"]) == ("fail", True)


def test_a_gpuctl_in_a_cache_folder_is_not_scheduled(with_cron: Operator) -> None:
    ran = with_cron.run("schedule", "install", environ={"UV_CACHE_DIR": sys.prefix})
    assert (ran.code, "is in a cache folder" in ran.err, "uv tool install" in ran.err) == (2, True, True)
    assert not (with_cron.folder / "tab").exists()


def test_a_reaper_that_always_fails_is_reported_by_every_command(with_cron: Operator) -> None:
    with_cron.run("schedule", "install")
    with_cron.provision("--no-wait")
    for _ in range(6):
        with_cron.later(minutes=1)
        with_cron.wire.arm("GetCallerIdentity", *[refuse("AuthFailure", 401)] * 4)
        assert with_cron.run("reap", "--sweep").code == 8
    with_cron.reaper_memory.update(lambda times: times.model_copy(update={"unreached": ()}))
    for command in (["list"], ["stats"], ["types", "--gpu", "T4"]):
        ran = with_cron.run(*command)
        assert "every run of the reaper in the last 5m failed, the last with exit code 8" in ran.err, ran.err
    assert "failing" in with_cron.run("schedule", "status", terminal=True).out
    assert schedule_check(with_cron)["status"] == "fail"
    with_cron.wire.reset()
    assert with_cron.run("reap", "--sweep").code == 0
    assert with_cron.run("list").err == ""


def test_one_run_that_fails_among_others_is_not_a_reaper_that_always_fails(with_cron: Operator) -> None:
    with_cron.run("schedule", "install")
    with_cron.provision("--no-wait")
    for is_failing in (True, False, True):
        with_cron.later(minutes=3)
        with_cron.wire.reset()
        with_cron.wire.arm("GetCallerIdentity", *[refuse("AuthFailure", 401)] * 4 * is_failing)
        with_cron.run("reap", "--sweep")
    times = with_cron.reaper_memory.read()
    assert (times.last_reap_exit, times.failing_since) == (8, with_cron.clock.now())


def test_without_a_cron_daemon_installation_warns_and_a_run_disproves_it(with_cron: Operator) -> None:
    process = with_cron.platform.root / "proc" / "1"
    process.mkdir(parents=True)
    (process / "comm").write_text("sh\n")
    (process.parent / "self").mkdir()
    installed = with_cron.run("schedule", "install").err
    assert "the reaper will not run: no cron daemon runs on this computer" in installed
    assert "the line is in the crontab, but nothing runs it: start the cron daemon" in installed
    assert "cron runs the reaper" not in installed
    status = with_cron.run("schedule", "status", terminal=True)
    assert "not running" in status.out
    assert "hint: start the cron daemon, or run under a supervisor: gpuctl reap --watch" in status.err
    check = schedule_check(with_cron)
    assert (check["status"], "start the cron daemon" in check["hint"]) == ("fail", True)
    with_cron.later(seconds=60)
    with_cron.run("reap")
    assert schedule_check(with_cron)["status"] == "ok"
    (process / "comm").write_text("cron\n")
    installed = with_cron.run("schedule", "install").err
    assert "no cron daemon" not in installed
    assert "cron runs the reaper every 1m" in installed


def test_install_waits_for_the_first_run(with_cron: Operator) -> None:
    with_cron.clock = StepClock(with_cron.clock.now(), [None, None, lambda: with_cron.run("reap"), None])
    ran = with_cron.run("schedule", "install", "--wait")
    assert (ran.code, with_cron.clock.elapsed()) == (0, timedelta(seconds=3))


def test_install_fails_where_nothing_runs_the_reaper(with_cron: Operator) -> None:
    ran = with_cron.run("schedule", "install", "--wait")
    assert (ran.code, "the reaper did not run within 3m" in ran.err) == (1, True)
    assert "gpuctl schedule status" in ran.err
    assert with_cron.clock.elapsed() == timedelta(minutes=3)


@pytest.mark.parametrize("crontab", [CRONTAB, BUSYBOX_CRONTAB])
def test_a_user_without_a_crontab_gets_one_from_every_kind_of_cron(operator: Operator, crontab: str) -> None:
    with_programs(operator, crontab=crontab)
    assert operator.json("schedule", "install").json["schedule"]["installed"] is True


def test_a_crontab_that_refuses_is_quoted(operator: Operator) -> None:
    with_programs(operator, crontab=CRONTAB_WITHOUT_SUID)
    ran = operator.run("schedule", "install")
    assert (ran.code, "crontab: must be suid to work properly" in ran.err) == (1, True)
    assert "gpuctl reap --watch" in ran.err
    forced = operator.run("schedule", "install", "--cron")
    assert (forced.code, "must be suid to work properly" in forced.err) == (1, True)


def test_a_mac_gets_an_agent_of_launchd_and_crontab_is_never_run(on_a_mac: Operator) -> None:
    installed = on_a_mac.json("schedule", "install", "--every", "5m").json["schedule"]
    assert (installed["scheduler"], installed["every"], installed["problem"]) == ("launchd", "5m", None)
    agents = list((on_a_mac.folder / "Library" / "LaunchAgents").iterdir())
    assert len(agents) == 2
    assert all(agent.name.startswith("io.gpuctl.reap.") for agent in agents)
    assert on_a_mac.json("schedule", "status").json["schedule"]["installed"] is True
    assert "launchd runs the reaper" in schedule_check(on_a_mac)["message"]
    assert on_a_mac.json("schedule", "uninstall").json["schedule"]["installed"] is False
    assert not any(agent.exists() for agent in agents)
    assert on_a_mac.run("schedule", "uninstall").code == 0
    assert not (on_a_mac.folder / "crontab-was-run").exists()


def test_a_mac_runs_crontab_only_if_requested_and_until_it_is_uninstalled(on_a_mac: Operator) -> None:
    (on_a_mac.folder / "bin" / "crontab").write_text(CRONTAB.format(folder=on_a_mac.folder))
    assert on_a_mac.json("schedule", "install", "--cron").json["schedule"]["scheduler"] == "cron"
    assert on_a_mac.json("schedule", "status").json["schedule"]["scheduler"] == "cron"
    assert on_a_mac.json("schedule", "install").json["schedule"]["scheduler"] == "launchd"
    assert (on_a_mac.folder / "tab").read_text() == ""


@pytest.mark.parametrize(("size", "left"), [(100_000, 100_000), (100_001, 0)])
def test_what_launchd_appends_without_a_limit_is_limited(operator: Operator, size: int, left: int) -> None:
    log = error_log_in(operator.folder)
    log.write_text("x" * size)
    operator.run("reap", "--log", str(operator.folder / "reap.log"))
    assert log.stat().st_size == left


def test_an_agent_that_launchd_does_not_start_is_reported_at_installation(on_a_mac: Operator) -> None:
    assert "launchd has not run the reaper within 20s" in on_a_mac.run("schedule", "install").err
    on_a_mac.clock = StepClock(on_a_mac.clock.now(), [None, lambda: on_a_mac.run("reap")])
    assert "launchd has not run the reaper" not in on_a_mac.run("schedule", "install").err


def test_an_agent_that_was_switched_off_is_reported(on_a_mac: Operator) -> None:
    on_a_mac.run("schedule", "install")
    for service in (on_a_mac.folder / "loaded").iterdir():
        service.unlink()
    assert "Login Items" in on_a_mac.json("schedule", "status").json["schedule"]["problem"]
    check = schedule_check(on_a_mac)
    assert (check["status"], "Login Items" in check["message"]) == ("fail", True)


def test_systemd_is_no_scheduler_of_a_mac(on_a_mac: Operator) -> None:
    ran = on_a_mac.run("schedule", "install", "--systemd")
    assert (ran.code, "systemd is not available: this computer has other schedulers" in ran.err) == (1, True)
    assert "hint: gpuctl schedule install\n" in ran.err


def test_where_no_scheduler_can_be_used_the_hint_is_to_use_a_supervisor(operator: Operator) -> None:
    operator.environ["PATH"] = str(operator.folder)
    ran = operator.run("schedule", "install", "--cron")
    assert (ran.code, "cron is not available" in ran.err) == (1, True)
    assert "hint: run under a supervisor: gpuctl reap --watch\n" in ran.err


def test_two_spellings_of_one_state_have_one_schedule(with_cron: Operator) -> None:
    with_cron.run("schedule", "install")
    # A file system that ignores case finds the same files under another name; here, hard links do.
    other = with_cron.folder / "STATE.JSON"
    for path in list(with_cron.folder.glob("state.json*")):
        if path.is_file():
            os.link(path, other.with_name(path.name.replace("state.json", "STATE.JSON")))
    assert ScheduleNote(other).read() == ScheduleNote(with_cron.state).read()
    status = with_cron.json("schedule", "status", "--state", str(other)).json["schedule"]
    assert (status["installed"], status["overdue"]) == (True, False)
    with_cron.run("schedule", "install", "--state", str(other))
    assert len((with_cron.folder / "tab").read_text().splitlines()) == 2
