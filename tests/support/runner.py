"""Runs `gpuctl run` in the process of the test, for an instance that is really reached."""

import io
import json
from collections.abc import Sequence
from typing import Any

from support.reachable import Reachable

from gpuctl.cli.main import main
from gpuctl.cli.terminal.streams import Streams

NEW = ("g4dn.xlarge", "--region", "us-east-1", "--name", "n")


class Runner:
    """Runs `gpuctl run` in this process with a clock of the test's, for an instance that is really reached."""

    def __init__(self, reachable: Reachable) -> None:
        self.operator, self.sshd, self.cable = reachable.operator, reachable.sshd, reachable.cable
        self.operator.cloud.now = self.operator.clock.now
        self.result = self.operator.folder / "result.json"
        self.code, self.out, self.err = -1, "", ""

    def run(self, *argv: str, remote_command: Sequence[str] = ("true",), instance: Sequence[str] = NEW) -> int:
        streams = Streams(io.StringIO(), io.StringIO(), io.StringIO())
        words = ["run", *instance, *argv, "--result", str(self.result), "--", *remote_command]
        self.code = main(words, clock=self.operator.clock, environ=self.operator.environ, streams=streams)
        self.out, self.err = streams.out.getvalue(), streams.err.getvalue()  # type: ignore[attr-defined]
        assert "Traceback" not in self.err, self.err
        return self.code

    @property
    def document(self) -> Any:
        """The document that `--result` asked for."""
        return json.loads(self.result.read_text())
