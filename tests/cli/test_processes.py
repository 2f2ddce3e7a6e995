"""gpuctl as real processes: signals, Ctrl-C at a terminal, the sandbox from its start to its end."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cli import Operator
from support.processes import GPUCTL, PROVISION, environment, rest_of, waiting

from gpuctl.domain.instance import Reason, Status
from gpuctl.domain.tags import EXPIRES_AT, deadline_tag


@pytest.fixture
def real_time(operator: Operator) -> Operator:
    """The operator with the cloud on the real time, as real processes have it."""
    from datetime import timedelta

    operator.cloud.now = timedelta(0)
    return operator


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_without_a_terminal_a_signal_requests_termination_of_started_instances(
    real_time: Operator, number: signal.Signals, code: int
) -> None:
    process = waiting(real_time, "-o", "json")
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    document = json.loads(out)
    assert process.returncode == code
    assert b"Traceback" not in err
    assert (document["success"], document["error"]["code"]) == (False, "interrupted")
    assert document["instance"]["statusReason"] == Reason.CANCELLED
    assert real_time.active == []


def test_ctrl_c_at_a_terminal_leaves_the_instance_and_prints_what_is_active(real_time: Operator) -> None:
    screen, terminal = pty.openpty()
    process = waiting(real_time, "--name", "n", stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    shown = rest_of(screen)
    assert b"n runs until" in shown
    assert b"gpuctl terminate n" in shown
    assert b"Traceback" not in shown
    assert len(real_time.active) == 1
    assert real_time.records[0].status is Status.CONFIGURING


def test_a_provision_that_is_killed_leaves_a_record_from_which_the_reaper_terminates_the_instance(
    real_time: Operator,
) -> None:
    process = waiting(real_time)
    process.kill()
    process.communicate(timeout=30)
    (record,) = real_time.records
    assert record.cloud_id in real_time.active
    real_time.store.update(record.id, lambda record: record.with_fields(expires_at=record.created_at))
    # A later deadline in the tag would count as one that another computer has granted.
    real_time.cloud.client("ec2").create_tags(
        Resources=[record.cloud_id], Tags=[{"Key": EXPIRES_AT, "Value": deadline_tag(record.created_at)}]
    )
    done = subprocess.run([*GPUCTL, "reap"], env=environment(real_time), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert real_time.active == []


@pytest.fixture
def sandboxed(tmp_path: Path) -> Iterator[dict[str, str]]:
    home = {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    yield home
    subprocess.run([*GPUCTL, "sandbox", "stop"], env=home, capture_output=True, check=False)


def in_sandbox(home: dict[str, str], *argv: str) -> tuple[int, Any]:
    done = subprocess.run([*GPUCTL, *argv, "-o", "json"], env=home, capture_output=True, check=False, timeout=60)
    assert b"Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_sandbox_runs_the_main_job_and_a_new_one_begins_empty(sandboxed: dict[str, str]) -> None:
    assert in_sandbox(sandboxed, "--sandbox", "list") == (
        0,
        {"success": True, "schemaVersion": 1, "sandbox": True, "instances": [], "count": 0},
    )
    # Nothing of the user's may lead out of it.
    poisoned = sandboxed | {
        "HTTP_PROXY": "http://127.0.0.1:9",
        "AWS_PROFILE": "not-there",
        "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_REGION": "mars-north-1",
    }
    code, started = in_sandbox(poisoned, "--sandbox", *PROVISION, "--name", "n")
    assert (code, started["sandbox"], started["instance"]["status"]) == (0, True, "READY")
    assert in_sandbox(sandboxed, "--sandbox", "terminate", "n")[1]["instance"]["status"] == "TERMINATED"
    assert in_sandbox(sandboxed, "--sandbox", "list", "--all")[1]["count"] == 1
    assert in_sandbox(sandboxed, "list", "--all")[1]["count"] == 0
    assert in_sandbox(sandboxed, "sandbox", "status")[1]["running"] is True
    assert in_sandbox(sandboxed, "sandbox", "reset")[1]["running"] is True
    assert in_sandbox(sandboxed, "--sandbox", "list", "--all")[1]["count"] == 0
    assert in_sandbox(sandboxed, "sandbox", "stop")[0] == 0
    assert in_sandbox(sandboxed, "sandbox", "status")[1]["running"] is False


def test_a_state_of_the_sandbox_is_no_state_of_the_real_world(sandboxed: dict[str, str], tmp_path: Path) -> None:
    state = str(tmp_path / "mixed.json")
    assert in_sandbox(sandboxed, "--sandbox", *PROVISION, "--state", state)[0] == 0
    code, document = in_sandbox(sandboxed, "list", "--state", state)
    assert (code, document["error"]["code"]) == (9, "state_unusable")
