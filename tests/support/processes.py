"""gpuctl as a real process, with a cloud on loopback behind a wire."""

import os
import signal
import subprocess
import sys
from typing import Any

from support.cli import Operator
from support.wire import Fault

GPUCTL = [sys.executable, "-m", "gpuctl"]
PROVISION = ["provision", "g4dn.xlarge", "--region", "us-east-1"]
_NOT_YET = (
    b'<DescribeInstanceStatusResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><instanceStatusSet/>'
    b"</DescribeInstanceStatusResponse>"
)
STARTING = Fault(False, lambda _: (200, {"Content-Type": "text/xml"}, _NOT_YET))


def environment(operator: Operator) -> dict[str, str]:
    """The environment in which a process works with that operator's state and cloud."""
    own = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return {
        **own,
        **operator.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PATH": "/usr/bin:/bin",
        "TERM": "xterm",
    }


def waiting(operator: Operator, *argv: str, **how: Any) -> subprocess.Popen[bytes]:
    """A provision that waits for an instance that does not become ready; returns when the instance exists."""
    operator.wire.arm("DescribeInstanceStatus", *[STARTING] * 500)
    process = started(operator, *PROVISION, *argv, **how)
    until_called(operator, process, "DescribeInstanceStatus")
    return process


def started(operator: Operator, *argv: str, **how: Any) -> subprocess.Popen[bytes]:
    """That command line as a process."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # A shell's background job ignores SIGINT, and so would all that the tests start there.
    return subprocess.Popen(
        [*GPUCTL, *argv], env=environment(operator), preexec_fn=_as_at_a_terminal, **(streams | how)
    )


def _as_at_a_terminal() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def until_called(operator: Operator, process: subprocess.Popen[bytes], action: str, times: int = 1) -> None:
    """Return when that call has come over the wire so often."""
    while len(operator.wire.calls(action)) < times:
        assert process.poll() is None
        signal.sigtimedwait([], 0.02)
