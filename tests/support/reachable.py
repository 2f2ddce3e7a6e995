"""An operator whose instances, in the cloud on loopback, lead to a real OpenSSH server."""

import os
import subprocess
import sys
from datetime import timedelta
from typing import Any

from support.cli import Operator
from support.sshd import Cable, Sshd

from gpuctl.remote.keys import own_key

GPUCTL = [sys.executable, "-m", "gpuctl"]


class Reachable:
    """The operator in real time, the server, and the cable between them."""

    def __init__(self, operator: Operator, sshd: Sshd, cable: Cable) -> None:
        self.operator, self.sshd, self.cable = operator, sshd, cable
        operator.cloud.now = timedelta(0)
        self.keys = operator.state.parent / "ssh"
        sshd.let_in(own_key(self.keys).public)
        operator.environ |= {
            "GPUCTL_SSH_OPTIONS": f"HostName=127.0.0.1,Port={cable.port}",
            "GPUCTL_SSH_USER": sshd.user,
            "HOME": str(operator.folder / "home"),
            "PATH": os.environ["PATH"],
        }

    @property
    def environment(self) -> dict[str, str]:
        """What a real process of this operator's is given."""
        own = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        return {**own, **self.operator.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm"}

    def process(self, *argv: str, **how: Any) -> "subprocess.Popen[bytes]":
        """A real gpuctl at work."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how
        return subprocess.Popen([*GPUCTL, *argv], env=self.environment, **pipes)

    def run(self, *argv: str) -> "subprocess.CompletedProcess[bytes]":
        """A real gpuctl, to its end."""
        done = subprocess.run(
            [*GPUCTL, *argv], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        assert b"Traceback" not in done.stderr, done.stderr
        return done
