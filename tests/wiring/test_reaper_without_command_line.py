"""A whole reap, hooks included, in a process in which the command line and its libraries cannot be imported."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cli import Operator
from support.receiver import Receiver
from support.tls import TlsFront

_PROGRAM = """
import json, os, sys
from datetime import datetime

class CommandLine:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("typer", "click", "rich") or f"{name}.".startswith("gpuctl.cli."):
            raise ImportError(f"{name} is not importable here")

sys.meta_path.insert(0, CommandLine())

from support.clock import FakeClock
from support.silent import Silent

from gpuctl.providers.registry import secret_variables
from gpuctl.redaction import Redactor
from gpuctl.wiring.hooks import notify_hooks
from gpuctl.wiring.invocation import Wiring
from gpuctl.wiring.reaper import open_reaper, reap_options
from gpuctl.wiring.selection import StateSelection

clock = FakeClock(datetime.fromisoformat(sys.argv[1]))
wiring = Wiring(StateSelection.of(os.environ), os.environ, clock, Silent(), Redactor(os.environ, secret_variables()))
report = open_reaper(wiring, reap_options(wiring)).run(wait=True)
notify_hooks(wiring, is_reaper=True)
print(json.dumps({
    "actions": [[done.action.kind, done.action.subject] for done in report.result.done if done.terminates],
    "problems": list(report.problems),
    "failed": report.error is not None,
}))
"""


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[tuple[Receiver, TlsFront]]:
    """A server, and the https address in front of it."""
    receiver = Receiver()
    front = TlsFront(receiver.url, tmp_path)
    yield receiver, front
    front.stop()
    receiver.stop()


def reap(operator: Operator, environ: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, operator.clock.now().isoformat()],
        env={**os.environ, **operator.environ, **environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_the_reaper_needs_no_command_line(operator: Operator, receiver: tuple[Receiver, TlsFront]) -> None:
    expired = operator.provision("--name", "expired", "--ttl", "5").instance
    active = operator.provision("--name", "active", "--ttl", "60").instance
    operator.later(minutes=6)
    server, front = receiver
    events = operator.folder / "events"
    hooks = {
        "GPUCTL_HOOKS_STOPPING": f"cat >> {events}",
        "GPUCTL_HOOKS_TERMINATED": f"{front.url}/events",
        "SSL_CERT_FILE": str(front.ca),
    }

    report = reap(operator, hooks)

    assert report["problems"] == [] and not report["failed"]
    assert ["terminate", expired["id"]] in report["actions"]
    assert operator.active == [active["cloudInstanceId"]]
    records = {record.name: record for record in operator.records}
    assert [records[name].status for name in ("expired", "active")] == ["TERMINATED", "READY"]
    (stopping,) = [json.loads(line) for line in events.read_text().splitlines()]
    assert (stopping["event"], stopping["instanceId"]) == ("instance:stopping", expired["id"])
    ((path, _, body),) = server.got
    terminated = json.loads(body)
    assert (path, terminated["event"]) == ("/events", "instance:terminated")
    assert (terminated["instance"]["id"], terminated["instance"]["status"]) == (expired["id"], "TERMINATED")
    assert records["expired"].delivered == len(records["expired"].history)
