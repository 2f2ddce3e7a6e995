"""gpuctl as a user runs it, in this process: the same `main`, with a test's own clock, environment and streams."""

import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from support.clock import FakeClock
from support.clouds import LoopbackAws
from support.wire import Wire

from gpuctl.cli.main import main
from gpuctl.cli.terminal.streams import Streams
from gpuctl.domain.instance import Instance
from gpuctl.platform import Platform
from gpuctl.store.base import StateKind
from gpuctl.store.local import open_state
from gpuctl.store.local.store import LocalStore
from gpuctl.store.reaper import ReaperMemory


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit code and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        document: dict[str, Any] = json.loads(self.out)
        assert self.out.count("\n") == 1
        return document

    @property
    def instance(self) -> dict[str, Any]:
        """The instance it is about."""
        shape: dict[str, Any] = self.json["instance"]
        return shape


def _of_clouds() -> dict[str, str]:
    """The clouds' variables of this process, which their SDKs read: the same for gpuctl as for them."""
    ours = ("AWS_", "AZURE_", "GOOGLE_", "GPUCTL_AZURE_", "GPUCTL_GCP_")
    return {name: value for name, value in os.environ.items() if name.startswith(ours)}


class Operator:
    """Somebody with a state, an AWS account on loopback, and all the time in the world."""

    def __init__(self, folder: Path, cloud: LoopbackAws, wire: Wire, clock: FakeClock | None = None) -> None:
        self.folder = folder
        self.state = folder / "state.json"
        self.cloud = cloud
        self.wire = wire
        self.clock = clock or FakeClock()
        self.platform = Platform(root=folder / "system")
        self.skew = timedelta(0)
        cloud.now = lambda: self.clock.now() - self.skew
        self.environ: dict[str, str] = {
            "XDG_CONFIG_HOME": str(folder),
            "XDG_STATE_HOME": str(folder),
            "GPUCTL_STATE": str(self.state),
            "LOGNAME": "ana",
        }

    @classmethod
    def without_clouds(cls, folder: Path) -> "Operator":
        """Somebody whose commands send no request to a cloud."""
        nothing = cast(Any, SimpleNamespace())
        return cls(folder, nothing, nothing)

    def run(self, *argv: str, terminal: bool = False, typed: str = "", environ: Mapping[str, str] | None = None) -> Ran:
        """Run a command line. At a `terminal` all three streams are one, and `typed` is what the person types."""
        stream = Terminal if terminal else io.StringIO
        streams = Streams(stream(typed), stream(), stream())
        code = main(
            argv,
            clock=self.clock,
            environ=_of_clouds() | self.environ | dict(environ or {}),
            streams=streams,
            platform=self.platform,
        )
        ran = Ran(code, streams.out.getvalue(), streams.err.getvalue())  # type: ignore[attr-defined]
        assert "Traceback" not in ran.err, ran.err
        return ran

    def json(self, *argv: str) -> Ran:
        """Run a command line for its JSON."""
        return self.run(*argv, "-o", "json")

    def provision(self, *argv: str) -> Ran:
        """Start the document's instance."""
        return self.json("provision", "g4dn.xlarge", "--region", "us-east-1", *argv)

    def later(self, **span: float) -> None:
        """Let time pass, here and in the cloud."""
        self.clock.move(timedelta(**span))

    @property
    def store(self) -> LocalStore:
        """The records."""
        return LocalStore(self.state, kind=StateKind.REAL, clock=self.clock)

    @property
    def reaper_memory(self) -> ReaperMemory:
        """What the reaper remembers."""
        return open_state(str(self.state), kind=StateKind.REAL, clock=self.clock).reaper

    @property
    def records(self) -> tuple[Instance, ...]:
        """What stands in the state."""
        return self.store.snapshot().records

    @property
    def active(self) -> list[str]:
        """The instances that bill, by the cloud's own books."""
        return [
            instance["id"]
            for instance in self.cloud.instances()
            if instance["state"] not in ("terminated", "shutting-down")
        ]

    @property
    def own_folder(self) -> Path:
        """The folder of this state for what belongs to the computer."""
        return self.state.parent / "states" / self.state_id

    @property
    def state_id(self) -> str:
        """The state's id."""
        return self.store.snapshot().state_id or ""
