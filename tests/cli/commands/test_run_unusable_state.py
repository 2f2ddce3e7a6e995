"""`gpuctl run` where the state cannot be used, or a signal arrives before the command starts."""

import io
import os
import signal

import pytest
from support.reachable import Reachable
from support.runner import Runner
from support.wire import Sent

from gpuctl.cli.main import main
from gpuctl.cli.terminal.streams import Streams


@pytest.mark.parametrize(("own", "code"), [(0, 209), (7, 7)])
def test_the_provider_is_requested_to_terminate_the_instance(reachable: Reachable, own: int, code: int) -> None:
    operator = reachable.operator
    operator.cloud.now = operator.clock.now
    err = io.StringIO()
    streams = Streams(io.StringIO(), io.StringIO(), err)
    command = f"echo no state >{operator.state}; exit {own}"
    words = ["run", "g4dn.xlarge", "--region", "us-east-1", "--name", "n", "--", command]
    assert main(words, clock=operator.clock, environ=operator.environ, streams=streams) == code, err.getvalue()
    assert operator.active == []
    assert "was terminated" in err.getvalue()
    assert "the record was saved as" in err.getvalue()
    assert "n is STOPPING" in err.getvalue()


@pytest.mark.parametrize("options", [(), ("--finish-by", "6h", "--work", "1h")])
def test_a_new_instance_on_which_the_command_cannot_start_is_terminated(
    reachable: Reachable, options: tuple[str, ...]
) -> None:
    runner = Runner(reachable)

    def breaking(sent: Sent) -> None:
        if sent.action == "GetConsoleOutput":
            runner.operator.state.write_text("no state")

    runner.operator.wire.instead = breaking
    assert runner.run(*options) == 209
    assert (runner.out, runner.operator.active) == ("", [])
    assert "was terminated" in runner.err


def test_a_signal_while_the_safeguards_are_checked_terminates_the_instance(reachable: Reachable) -> None:
    runner = Runner(reachable)

    def interrupting(sent: Sent) -> None:
        if sent.action == "GetConsoleOutput":
            os.kill(os.getpid(), signal.SIGTERM)

    runner.operator.wire.instead = interrupting
    assert runner.run() == 143
    assert runner.operator.active == []
    assert "n is STOPPING" in runner.err or "n is TERMINATED" in runner.err
