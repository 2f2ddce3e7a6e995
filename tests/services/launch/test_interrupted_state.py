"""A signal while the state cannot be used, or nothing answers: what was created is terminated as far as possible."""

import signal

import pytest
from support.cli import Operator
from support.processes import PROVISION, started, until_called
from support.wire import HELD

from gpuctl.clock import SystemClock
from gpuctl.domain.instance import Status
from gpuctl.store.local.lock import Lock

NET_S = 60
SELFTEST = ["selftest", *PROVISION[1:], "-o", "json"]
RUN = ["run", *PROVISION[1:], "--", "true"]


@pytest.mark.parametrize("argv", [PROVISION, RUN, SELFTEST], ids=lambda argv: argv[0])
def test_an_instance_is_terminated_and_the_exit_code_is_that_of_the_signal(operator: Operator, argv: list[str]) -> None:
    # Held in a call: the process does not read the state between the damage and the signal.
    operator.wire.arm("DescribeInstanceStatus", *[HELD] * 100)
    process = started(operator, *argv)
    until_called(operator, process, "DescribeInstanceStatus")
    (instance,) = operator.active
    operator.state.write_text("no state")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=NET_S)
    stderr = err.decode()
    assert (process.returncode, operator.active) == (143, []), stderr
    assert f"{instance} was terminated" in stderr
    assert "the record was saved as" in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("argv", [PROVISION, RUN], ids=lambda argv: argv[0])
def test_an_instance_is_terminated_though_another_process_holds_the_lock(operator: Operator, argv: list[str]) -> None:
    operator.wire.arm("DescribeInstanceStatus", *[HELD] * 100)
    process = started(operator, *argv)
    until_called(operator, process, "DescribeInstanceStatus")
    (instance,) = operator.active
    with Lock(operator.state.with_name("state.json.lock"), SystemClock()).hold():
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=NET_S)
    stderr = err.decode()
    assert (process.returncode, operator.active) == (143, []), stderr
    assert f"{instance} was terminated" in stderr
    operator.run("reap")
    assert operator.records[0].status in (Status.STOPPING, Status.TERMINATED)


def test_a_selftest_leaves_soon_though_nothing_answers_and_the_reaper_goes_on(operator: Operator) -> None:
    operator.wire.arm("DescribeInstanceStatus", *[HELD] * 100)
    process = started(operator, *SELFTEST)
    until_called(operator, process, "DescribeInstanceStatus")
    for action in ("DescribeInstances", "TerminateInstances", "GetCallerIdentity"):
        operator.wire.arm(action, *[HELD] * 100)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=25)
    assert process.returncode == 143, err
    assert operator.records[0].status is Status.STOPPING
    assert b"not accepted by the provider yet; gpuctl reap retries automatically" in out
