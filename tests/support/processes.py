"""gpuctl as a real process, with a cloud on loopback behind a wire."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from support.cli import Operator, Ran
from support.wire import Fault

GPUCTL = [sys.executable, "-m", "gpuctl"]
PROVISION = ["provision", "g4dn.xlarge", "--region", "us-east-1"]
_NOT_YET = (
    b'<DescribeInstanceStatusResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><instanceStatusSet/>'
    b"</DescribeInstanceStatusResponse>"
)
STARTING = Fault(False, lambda _: (200, {"Content-Type": "text/xml"}, _NOT_YET))

_COMMANDS = """
import io, json, sys
from gpuctl.cli.main import main
from gpuctl.cli.terminal.streams import Streams

results = []
for argv in json.loads(sys.argv[1]):
    streams = Streams(io.StringIO(), io.StringIO(), io.StringIO())
    code = main(argv, streams=streams)
    results.append([code, streams.out.getvalue(), streams.err.getvalue()])
print(json.dumps(results))
"""


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


def run_commands(
    commands: Sequence[Sequence[str]], environ: Mapping[str, str], wrapper: Sequence[str] = ()
) -> list[Ran]:
    """Run these command lines, one after the other, in one process that `wrapper` starts, from the root folder."""
    done = subprocess.run(
        [*wrapper, sys.executable, "-c", _COMMANDS, json.dumps(commands)],
        env={**environ, "PYTHONPATH": os.pathsep.join(sys.path), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Ran(*result) for result in json.loads(done.stdout)]


def _as_at_a_terminal() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def until_called(operator: Operator, process: subprocess.Popen[bytes], action: str, times: int = 1) -> None:
    """Return when that call has come over the wire so often."""
    while len(operator.wire.calls(action)) < times:
        assert process.poll() is None
        signal.sigtimedwait([], 0.02)


def rest_of(screen: int) -> bytes:
    """What a program still shows on a pseudo terminal until it ends; the terminal is closed then."""
    shown = b""
    try:
        while chunk := os.read(screen, 4096):
            shown += chunk
    except OSError:
        pass
    os.close(screen)
    return shown
