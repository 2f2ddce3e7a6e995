"""A command that a signal interrupts leaves soon, even while a cloud does not answer, and has done what it could."""

import json
import signal
import threading
from datetime import timedelta

import pytest
from support.cli import Operator
from support.clock import StepClock
from support.processes import PROVISION, started, until_called, waiting
from support.wire import HELD, LOST, NEVER_ARRIVED, Fault

from gpuctl.cli.interrupts import HOOKS_WITHIN, TERMINATE_WITHIN, interruptible, time_limit
from gpuctl.domain.instance import Reason, Status
from gpuctl.errors import Interrupted

# Only a failure waits that long: a call is held until the test is over, and an SDK by itself waits for two minutes.
NET_S = 60


@pytest.fixture
def real_time(operator: Operator) -> Operator:
    operator.cloud.now = timedelta(0)
    return operator


def hold(operator: Operator, *actions: str) -> None:
    for action in actions:
        operator.wire.arm(action, *[HELD] * 100)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_instances_of_a_signaled_provision_are_terminated_even_if_listings_hang(
    real_time: Operator, number: signal.Signals
) -> None:
    process = waiting(real_time, "-o", "json")
    hold(real_time, "DescribeInstances")
    until_called(real_time, process, "DescribeInstances", len(real_time.wire.calls("DescribeInstances")) + 1)
    process.send_signal(number)
    out, err = process.communicate(timeout=NET_S)
    (record,) = real_time.records
    assert (process.returncode, json.loads(out)["error"]["code"]) == (128 + number, "interrupted"), err
    assert (record.status, record.reason) == (Status.STOPPING, Reason.CANCELLED)
    assert record.deleted_by_us_at is not None
    assert real_time.active == []


def test_a_signaled_provision_exits_without_a_reply_and_names_the_reaper(real_time: Operator) -> None:
    process = waiting(real_time)
    hold(real_time, "DescribeInstances", "TerminateInstances", "GetCallerIdentity")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=NET_S)
    (record,) = real_time.records
    assert process.returncode == 143
    assert (record.status, record.reason, record.deleted_by_us_at) == (Status.STOPPING, Reason.CANCELLED, None)
    assert (
        f"{record.label} is STOPPING: the provider has not accepted the termination yet; the reaper tries again"
        in err.decode()
    )
    assert b"Traceback" not in err


def test_a_run_leaves_though_listings_hang(real_time: Operator) -> None:
    run = ["run", *PROVISION[1:], "--", "true"]
    hold(real_time, "DescribeInstances")
    process = started(real_time, *run)
    until_called(real_time, process, "DescribeInstances")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=NET_S)
    assert process.returncode == 143
    assert real_time.records[0].deleted_by_us_at is not None
    assert real_time.active == []


@pytest.mark.parametrize("form", ["table", "json"])
def test_an_interrupted_terminate_reports_that_the_termination_is_saved(real_time: Operator, form: str) -> None:
    assert real_time.provision("--no-wait", "--name", "x").code == 0
    hold(real_time, "DescribeInstances", "TerminateInstances")
    before = len(real_time.wire.calls("DescribeInstances"))
    process = started(real_time, "terminate", "x", "-y", "-o", form)
    until_called(real_time, process, "DescribeInstances", before + 1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=NET_S)
    (record,) = real_time.records
    assert (process.returncode, record.status) == (130, Status.STOPPING)
    if form == "json":
        document = json.loads(out)
        assert (document["error"]["code"], document["error"]["hint"]) == ("interrupted", "gpuctl get x --refresh")
        assert document["instance"]["status"] == "STOPPING"
    else:
        assert "x is STOPPING: the termination is saved, and the reaper continues it" in err.decode()
        assert "hint: gpuctl get x --refresh" in err.decode()


@pytest.mark.parametrize(("fault", "exists"), [(LOST, True), (NEVER_ARRIVED, False)])
def test_ctrl_c_before_the_create_is_answered_says_that_an_instance_may_exist(
    operator: Operator, fault: Fault, exists: bool
) -> None:
    operator.wire.arm("RunInstances", fault)
    # Ctrl-C comes in the pause before the create is sent again.
    operator.clock = StepClock(operator.clock.now(), [])
    ran = operator.run("provision", *PROVISION[1:], "--name", "n", terminal=True)
    assert (ran.code, operator.records[0].cloud_id, len(operator.active)) == (130, None, int(exists))
    assert "n may still be running until" in ran.err
    assert "an instance may have been created" in ran.err
    assert "hint: gpuctl get n --refresh" in ran.err
    assert "keeps running" not in ran.err
    refreshed = operator.json("get", "n", "--refresh").instance
    assert (refreshed["cloudInstanceId"] in operator.active) is exists


@pytest.mark.parametrize("form", ["table", "json"])
def test_an_interrupted_terminate_shows_what_ended_meanwhile_as_terminated(operator: Operator, form: str) -> None:
    assert operator.provision("--no-wait", "--name", "x").code == 0

    def reaped_meanwhile() -> None:
        operator.later(minutes=10)
        assert operator.run("reap").code == 0
        raise Interrupted("ended by SIGINT", signal_number=signal.SIGINT)

    operator.clock = StepClock(operator.clock.now(), [reaped_meanwhile])
    ran = operator.run("terminate", "x", "-y", "-o", form)
    (record,) = operator.records
    assert (ran.code, record.status) == (130, Status.TERMINATED)
    assert "TERMINATED" in ran.out
    assert "is STOPPING" not in ran.err


def test_a_wait_leaves_at_once_though_a_call_hangs_and_ends_nothing(real_time: Operator) -> None:
    assert real_time.provision("--no-wait", "--name", "n").code == 0
    hold(real_time, "DescribeInstances")
    before = len(real_time.wire.calls("DescribeInstances"))
    process = started(real_time, "wait", "n")
    until_called(real_time, process, "DescribeInstances", before + 1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=NET_S)
    assert process.returncode == 143
    assert len(real_time.active) == 1


def test_a_block_is_left_when_its_time_is_up_wherever_it_is() -> None:
    reached = []
    with time_limit(timedelta(milliseconds=20)):
        reached.append("waiting")
        threading.Event().wait()
        reached.append("never")
    assert reached == ["waiting"]


def test_a_block_that_is_done_in_time_has_no_limit_afterwards() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(timedelta(seconds=5)):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_a_failure_within_a_limited_block_is_passed_on() -> None:
    with pytest.raises(ValueError, match="own"), time_limit(timedelta(seconds=5)):
        raise ValueError("own")


def test_a_second_signal_leaves_a_limited_block_at_once() -> None:
    signals = [signal.SIGTERM]
    with pytest.raises(Interrupted), interruptible(), time_limit(timedelta(seconds=NET_S)):
        signal.raise_signal(signals.pop())
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_another_thread_has_no_limit_and_no_handlers() -> None:
    done: list[str] = []

    def body() -> None:
        with interruptible(), time_limit(timedelta(milliseconds=1)):
            done.append("done")

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert done == ["done"]


def test_what_follows_a_signal_takes_less_than_8_seconds_together() -> None:
    assert timedelta(seconds=8) > TERMINATE_WITHIN + HOOKS_WITHIN
