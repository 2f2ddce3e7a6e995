"""`gpuctl schedule`: cron and systemd run the reaper from nothing, and its silence is noticed."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import Operator
from support.programs import CRONTAB, LOGINCTL, SYSTEMCTL, with_programs

from gpuctl.home.schedule import ScheduleNote
from gpuctl.services.scheduling.job import from_cron


@pytest.fixture
def with_cron(operator: Operator) -> Operator:
    return with_programs(operator, crontab=CRONTAB)


@pytest.fixture
def with_systemd(operator: Operator) -> Operator:
    return with_programs(operator, systemctl=SYSTEMCTL, loginctl=LOGINCTL)


def tab(operator: Operator) -> str:
    return (operator.folder / "tab").read_text()


def test_install_makes_the_state_and_one_line_however_often(with_cron: Operator) -> None:
    first = with_cron.json("schedule", "install").json["schedule"]
    assert with_cron.json("schedule", "install", "--every", "5m").code == 0
    assert with_cron.state_id
    line, pools = tab(with_cron).splitlines()
    job, tick = from_cron(line), from_cron(pools)
    assert job is not None and tick is not None
    # In a process of its own: no launch delays a termination.
    assert (tick.every, tick.argv[1:5]) == (timedelta(minutes=5), ("pool", "scale", "--state", str(with_cron.state)))
    assert tick.key != job.key
    assert (job.every, job.argv[1:4]) == (timedelta(minutes=5), ("reap", "--state", str(with_cron.state)))
    assert all(text.startswith(("/", "--")) for text in job.argv if text != "reap")
    assert (first["installed"], first["scheduler"], first["every"]) == (True, "cron", "1m")


def test_the_line_names_the_config_and_the_profile_and_no_secret(
    with_cron: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = with_cron.folder / "my config.toml"
    config.write_text("[profile.prod]\narchive_after = '1d'\n")
    login = {"AWS_PROFILE": "work", "AWS_SECRET_ACCESS_KEY": "canary-1", "HTTPS_PROXY": "http://u:canary-2@p:1"}
    hook = {"GPUCTL_HOOKS_READY": "https://example.com/canary-3", "GPUCTL_REAP_STATE_IDS": "ci-repo-1"}
    # Cron reads lines of a limited length, and the temporary folder of a test may be deep.
    short = dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AZURE_CONFIG_DIR"), "/nowhere")
    ran = with_cron.run(
        "schedule", "install", "--config", str(config), "--profile", "prod", environ=login | hook | short
    )
    job = from_cron(tab(with_cron).splitlines()[0])
    assert job is not None
    assert job.argv[4:8] == ("--config", str(config), "--profile", "prod")
    assert job.environ["AWS_PROFILE"] == "work"
    assert job.environ["GPUCTL_REAP_STATE_IDS"] == "ci-repo-1"
    assert "canary" not in tab(with_cron)
    assert "AWS_SECRET_ACCESS_KEY, GPUCTL_HOOKS_READY, HTTPS_PROXY will not be there" in ran.err


def test_every_command_says_so_when_the_reaper_is_silent(with_cron: Operator) -> None:
    with_cron.run("schedule", "install")
    assert with_cron.run("list").err == ""
    with_cron.later(minutes=4)
    ran = with_cron.json("list")
    assert "warning: the reaper has not run since it was installed 4m ago" in ran.err
    assert ran.json["success"] is True
    with_cron.run("reap")
    assert with_cron.run("list").err == ""
    with_cron.later(minutes=10)
    assert "the reaper last ran 10m ago, but cron should run it every 1m" in with_cron.run("stats").err
    assert "overdue" in with_cron.run("schedule", "status", terminal=True).out


def test_a_removed_line_is_reported(with_cron: Operator) -> None:
    with_cron.run("schedule", "install")
    (with_cron.folder / "tab").write_text("")
    status = with_cron.json("schedule", "status").json["schedule"]
    assert (status["installed"], status["overdue"]) == (False, True)


def test_uninstall_leaves_nothing_and_no_warning(with_cron: Operator) -> None:
    with_cron.run("schedule", "install")
    assert with_cron.json("schedule", "uninstall").json["schedule"]["installed"] is False
    assert tab(with_cron) == ""
    assert ScheduleNote(with_cron.own_folder).read() is None
    with_cron.later(hours=4)
    assert with_cron.run("list").err == ""
    assert with_cron.run("schedule", "uninstall").code == 0


def test_systemd_gets_its_units_and_restarts_the_timer(with_systemd: Operator) -> None:
    ran = with_systemd.run("schedule", "install", "--every", "5m", "-o", "json")
    schedule = json.loads(ran.out)["schedule"]
    assert (schedule["scheduler"], schedule["every"]) == ("systemd", "5m")
    assert "loginctl enable-linger" in ran.err
    units = sorted(path.name for path in (with_systemd.folder / "systemd" / "user").iterdir())
    *_, timer = [unit for unit in units if unit.endswith(".timer")]
    calls = (with_systemd.folder / "asked").read_text().splitlines()
    assert len(units) == 4
    assert f"--user restart {timer}" in calls
    assert with_systemd.json("schedule", "uninstall").json["schedule"]["installed"] is False
    assert list((with_systemd.folder / "systemd" / "user").iterdir()) == []


def test_where_nothing_can_run_it_nothing_is_made(operator: Operator) -> None:
    with_programs(operator)
    ran = operator.run("schedule", "install")
    assert (
        ran.code,
        "no scheduler is available (systemd: `systemctl` is not installed; cron: `crontab` is not" in ran.err,
    ) == (1, True)
    assert "gpuctl reap --watch" in ran.err
    assert not operator.state.exists()


@pytest.mark.parametrize(
    "argv", [["--every", "7m"], ["--every", "2h"], ["--cron", "--systemd"], ["--sandbox"], ["--every", ""]]
)
def test_invalid_values_are_refused_before_anything_is_written(with_cron: Operator, argv: list[str]) -> None:
    assert with_cron.run("schedule", "install", *argv).code == 2
    assert not (with_cron.folder / "tab").exists()
    assert not with_cron.state.exists()


def test_the_log_is_turned_over_and_never_stops_the_reaper(with_cron: Operator) -> None:
    log = with_cron.folder / "reap.log"
    log.write_text("x" * 1_000_000)
    with_cron.provision()
    with_cron.later(minutes=61)
    assert with_cron.run("reap", "--log", str(log)).code == 0
    assert "terminate\texpired" in log.read_text()
    assert (with_cron.folder / "reap.log.1").stat().st_size == 1_000_000
    with_cron.provision()
    with_cron.later(minutes=61)
    ran = with_cron.run("reap", "--log", str(with_cron.folder / "no" / "such" / "folder"))
    assert "cannot write the log" in ran.err
    assert with_cron.active == []


def test_the_state_that_a_line_names_is_never_another(with_cron: Operator, tmp_path: Path) -> None:
    with_cron.run("schedule", "install")
    other = tmp_path / "other.json"
    with_cron.run("schedule", "install", "--state", str(other))
    jobs = [from_cron(line) for line in tab(with_cron).splitlines()]
    reapers = [job for job in jobs if job and job.argv[1] == "reap"]
    assert [job.argv[3] for job in reapers] == [str(with_cron.state), str(other)]
    with_cron.run("schedule", "uninstall", "--state", str(other))
    assert len(tab(with_cron).splitlines()) == 2
