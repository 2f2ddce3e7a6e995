"""`gpuctl wait` comes back when it has happened, when it cannot happen any more, or when the time is out."""

import io
from datetime import timedelta

import pytest
from support.cli import Operator
from support.clock import FakeClock
from support.wire import refuse

from gpuctl.cli.terminal.progress import TerminalProgress
from gpuctl.domain.instance import Status


def starting(operator: Operator, name: str = "n") -> str:
    return str(operator.provision("--no-wait", "--name", name).instance["id"])


class _LimitedClock(FakeClock):
    """Fails when it is read too often: a wait that never sleeps would never return."""

    reads = 0

    def elapsed(self) -> timedelta:
        self.reads += 1
        assert self.reads < 200
        return super().elapsed()


def test_it_returns_when_the_instance_is_ready(operator: Operator) -> None:
    record = starting(operator)
    ran = operator.json("wait", record)
    assert (ran.code, ran.instance["status"]) == (0, "READY")
    assert operator.json("wait", record, "--for", "ready").code == 0


def test_it_returns_when_the_instance_is_confirmed_terminated_and_terminates_nothing_itself(operator: Operator) -> None:
    starting(operator)
    ran = operator.json("wait", "n", "--for", "terminated", "--timeout", "30s")
    assert (ran.code, ran.json["error"]["code"]) == (8, "unresolved")
    assert len(operator.active) == 1
    operator.json("terminate", "n", "--no-wait")
    assert operator.json("wait", "n", "--for", "terminated").instance["status"] == "TERMINATED"


def test_what_has_ended_is_terminated_though_it_is_archived(operator: Operator) -> None:
    record = starting(operator)
    operator.json("terminate", "n")
    operator.later(days=8)
    operator.run("reap")
    calls_before = len(operator.wire.sent)
    assert operator.json("wait", record, "--for", "terminated").code == 0
    assert len(operator.wire.sent) == calls_before


def test_an_instance_that_can_no_longer_become_ready_is_reported_at_once(operator: Operator) -> None:
    starting(operator, "a")
    starting(operator, "b")
    operator.json("terminate", "a")
    before = operator.clock.now()
    ran = operator.json("wait", "b", "a", "--for", "ready", "--timeout", "1h")
    assert (ran.code, ran.json["error"]["code"], ran.json["count"]) == (1, "cloud", 2)
    assert [error["id"] for error in ran.json["errors"]] == [operator.json("get", "a").instance["id"]]
    assert operator.clock.now() == before


def test_an_instance_past_its_deadline_is_waited_for_and_not_terminated_by_the_wait(operator: Operator) -> None:
    starting(operator)
    operator.later(minutes=61)
    assert operator.json("wait", "n", "--for", "terminated", "--timeout", "1m").code == 8
    assert len(operator.active) == 1


def test_a_cloud_that_does_not_answer_is_why_the_time_was_out(operator: Operator) -> None:
    starting(operator)
    operator.wire.arm("DescribeInstances", *[refuse("UnauthorizedOperation", 403)] * 50)
    ran = operator.json("wait", "n", "--timeout", "10s")
    assert ran.code == 8
    assert "could not be queried" in ran.json["error"]["message"]


def test_a_termination_that_is_refused_is_waited_for_until_the_timeout(operator: Operator) -> None:
    starting(operator)
    operator.wire.arm("TerminateInstances", *[refuse("OperationNotPermitted")] * 50)
    operator.json("terminate", "n", "--no-wait")
    assert operator.records[0].status is Status.STOPPING
    operator.clock = _LimitedClock(operator.clock.now())
    before = operator.clock.now()
    ran = operator.json("wait", "n", "--for", "terminated", "--timeout", "10s")
    assert (ran.code, ran.json["error"]["code"]) == (8, "unresolved")
    assert operator.clock.now() - before == timedelta(seconds=10)
    assert ran.err.count("waiting until n is terminated") == 1


def test_in_a_pipe_a_step_is_printed_once_though_a_warning_comes_between() -> None:
    stream = io.StringIO()
    progress = TerminalProgress(stream, FakeClock(), is_terminal=False, is_quiet=False, width=80)
    progress.step("waiting until n is terminated")
    progress.warn("the provider is slow")
    progress.step("waiting until n is terminated")
    assert stream.getvalue() == "waiting until n is terminated\nwarning: the provider is slow\n"


@pytest.mark.parametrize("argv", [["nobody"], ["n", "--for", "lunch"], ["n", "--timeout", "x"], [""], []])
def test_invalid_values_send_nothing(operator: Operator, argv: list[str]) -> None:
    starting(operator)
    operator.wire.sent.clear()
    assert operator.run("wait", *argv).code == (3 if argv == ["nobody"] else 2)
    assert operator.wire.sent == []
