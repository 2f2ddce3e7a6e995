"""Users without a name or a home directory, as in containers: a key or a reason, and never a traceback."""

import pwd
from datetime import timedelta

import pytest
from support.cli import Operator


@pytest.fixture
def nobody(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """Somebody whose user ID has no line in /etc/passwd, with a state on a disk that can be written."""

    def unknown(uid: int) -> object:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME", raising=False)
    for name in ("LOGNAME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        del operator.environ[name]
    return operator


def test_an_instance_is_started_and_terminated_without_a_name_and_a_home(nobody: Operator) -> None:
    ran = nobody.provision("--name", "n")
    assert ran.code == 0
    assert "no SSH key is installed: the user ID" in ran.err
    assert ran.instance["userId"].startswith("uid-")
    for argv in (("list",), ("get", "n"), ("schedule", "status"), ("doctor", "--region", "us-east-1"), ("config",)):
        assert nobody.run(*argv).code in (0, 1), argv
    nobody.later(minutes=61)
    assert nobody.run("reap").code == 0
    assert nobody.active == []


def test_without_a_home_and_a_state_the_reason_is_clear_and_no_file_is_written(nobody: Operator) -> None:
    del nobody.environ["GPUCTL_STATE"]
    ran = nobody.run("list")
    assert (ran.code, "there is no home directory" in ran.err) == (2, True)


def test_a_clock_that_is_a_minute_off_gives_the_instance_its_whole_time_without_a_word(operator: Operator) -> None:
    behind = timedelta(seconds=-100)
    operator.clock.jump(behind)
    operator.skew = behind
    ran = operator.provision("--ttl", "30")
    assert "clock" not in ran.err
    assert ran.instance["expiresAt"] == "2026-11-24T12:30:00Z"


def test_the_remaining_time_is_counted_from_the_time_of_the_provider(operator: Operator) -> None:
    behind = timedelta(hours=-2)
    operator.clock.jump(behind)
    operator.skew = behind
    ran = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1", "--ttl", "30", terminal=True, typed="y\n")
    assert "expires in 30m" in ran.err


def test_a_reaper_without_a_state_on_a_disk_that_cannot_be_written_has_nothing_to_report(operator: Operator) -> None:
    # Nobody, not even root, creates a folder in /proc.
    operator.environ["XDG_STATE_HOME"] = "/proc/none"
    del operator.environ["GPUCTL_STATE"]
    reaped = operator.run("reap")
    assert (reaped.code, reaped.err) == (0, "")
