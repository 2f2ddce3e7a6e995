"""CI jobs that are canceled: the examples let gpuctl receive the signal, and gpuctl does its part before SIGKILL."""

import os
import re
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.cli import Operator
from support.processes import PROVISION, started, until_called, waiting
from support.wire import HELD

from gpuctl.cli.interrupts import HOOKS_WITHIN, TERMINATE_WITHIN
from gpuctl.domain.duration import parse_duration
from gpuctl.domain.instance import Reason, Status

ROOT = Path(__file__).parents[1]
WORKFLOWS = [*(ROOT / "docs" / "examples").glob("*.yml")]
# The first major version of each action that runs on Node 24: runners have no Node 20 since 2026-09-16.
# Sources: actions/checkout 5.0.0; aws-actions/configure-aws-credentials 6.0.0.
FIRST_ON_NODE_24 = {"actions/checkout": 5, "aws-actions/configure-aws-credentials": 6}
# How long GitHub's runner waits after SIGINT before SIGTERM, and how long a canceled job has for its `always()` steps
# (actions/runner, ProcessInvoker.cs; GitHub's reference on workflow cancellation).
SIGTERM_AFTER = timedelta(seconds=7.5)
ALWAYS_STEPS = timedelta(minutes=5)
NET_S = 60


def documents() -> list[Path]:
    return [ROOT / "README.md", *(ROOT / "docs").glob("**/*.md"), *WORKFLOWS]


def steps(workflow: Path) -> Iterator[dict[str, Any]]:
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        yield from job["steps"]


def test_every_action_in_the_documents_runs_on_the_runners_of_today() -> None:
    used = {use for path in documents() for use in re.findall(r"uses: ([\w./-]+)@v(\d+)", path.read_text())}
    assert used
    assert {(action, major) for action, major in used if int(major) < FIRST_ON_NODE_24[action]} == set()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_gpuctl_takes_the_place_of_the_shell_that_is_signaled(workflow: Path) -> None:
    commands = [step["run"] for step in steps(workflow) if "gpuctl " in step.get("run", "")]
    assert commands
    assert [command for command in commands if not command.startswith("exec gpuctl ") or "\n" in command] == []


def test_steps_that_run_after_a_cancel_are_done_before_the_job_is_killed() -> None:
    texts = [
        text for path in documents() for text in re.findall(r"gpuctl terminate .*--timeout (\w+)", path.read_text())
    ]
    assert texts
    assert max(parse_duration(text, option="--timeout") for text in texts) < ALWAYS_STEPS


@pytest.fixture
def real_time(operator: Operator) -> Operator:
    operator.cloud.now = timedelta(0)
    return operator


def hold(operator: Operator) -> None:
    """From now on the cloud answers nothing."""
    for action in ("DescribeInstances", "DescribeInstanceStatus", "TerminateInstances", "GetCallerIdentity"):
        operator.wire.arm(action, *[HELD] * 100)


@pytest.mark.parametrize("command", ["provision", "run"])
def test_sigint_sigterm_and_sigkill_one_after_the_other_leave_a_recorded_and_requested_termination(
    real_time: Operator, command: str
) -> None:
    if command == "provision":
        process = waiting(real_time, start_new_session=True)
        hold(real_time)
    else:
        real_time.wire.arm("DescribeInstances", *[HELD] * 100)
        process = started(real_time, "run", *PROVISION[1:], "--", "true", start_new_session=True)
        until_called(real_time, process, "DescribeInstances")
        hold(real_time)
    process.send_signal(signal.SIGINT)
    until_called(real_time, process, "TerminateInstances")
    # The runner waits longer (gate E5 has its times): here every signal comes as soon as it may do harm.
    process.send_signal(signal.SIGTERM)
    os.killpg(process.pid, signal.SIGKILL)
    _, err = process.communicate(timeout=NET_S)
    (record,) = real_time.records
    assert (record.status, record.reason) == (Status.STOPPING, Reason.CANCELLED)
    assert process.returncode in (143, -signal.SIGKILL)
    assert b"Traceback" not in err


def test_gpuctl_leaves_before_the_runner_sends_the_second_signal() -> None:
    assert TERMINATE_WITHIN + HOOKS_WITHIN < SIGTERM_AFTER
