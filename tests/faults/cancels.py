"""Gate E5: a CI runner cancels a job while the provider answers nothing, with the runner's own signals and times."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from threading import Event

from faults.azure import AzureScenario
from faults.gcp import GcpScenario
from faults.world import Scenario, Score, World
from support.processes import environment
from support.wire import Phase, Sent

from gpuctl.domain.instance import Reason, Status

# From SIGINT to SIGTERM and from there to SIGKILL in GitHub's runner (actions/runner, ProcessInvoker.cs).
UNTIL_SIGTERM = timedelta(seconds=7.5)
UNTIL_SIGKILL = timedelta(seconds=2.5)
KINDS = (Scenario, AzureScenario, GcpScenario)
_COMMAND = """
import sys
from contextlib import ExitStack
from gpuctl.cli.main import main
with ExitStack() as stack:
    if sys.argv[1]:
        from faults.world import broken
        stack.enter_context(broken(sys.argv[1].split(",")))
    sys.exit(main(sys.argv[2:]))
"""


def canceled_jobs(workspace: World, kinds: Sequence[type[Scenario]] = KINDS, mutants: Sequence[str] = ()) -> Score:
    """E5: canceled, `provision` and `run` leave before SIGTERM; the termination is recorded, and requested on AWS."""
    score = Score()
    for kind in kinds:
        for command in ("provision", "run"):
            with workspace.scenario(kind=kind) as scenario:
                score.add(f"{kind.__name__} {command}", _canceled(scenario, command, mutants))
    return score


def _canceled(scenario: Scenario, command: str, mutants: Sequence[str]) -> list[str]:
    scenario.cloud.now = timedelta(0)
    listed, held, released = Event(), Event(), Event()
    after: list[str] = []

    def watch(phase: Phase, sent: Sent) -> bool:
        if phase is not Phase.SENT:
            return True
        if scenario.looks_for(sent) is not None and scenario.records and scenario.records[0].cloud_id:
            listed.set()
            held.set()
        if held.is_set():
            after.append(sent.action)
            released.wait()
            return False
        return True

    scenario.wire.watch = watch
    argv = scenario.asking if command == "provision" else ("run", *scenario.asking[1:], "--", "true")
    process = subprocess.Popen(
        [sys.executable, "-c", _COMMAND, ",".join(mutants), *argv],
        env=environment(scenario),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        if not listed.wait(60):
            return ["the provider was never asked for the instance"]
        after.clear()
        return [*_signaled(process), *_left(scenario, after)]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        released.set()


def _signaled(process: subprocess.Popen[bytes]) -> list[str]:
    """Send the signals of the runner, in their order and at their times."""
    wrong = []
    for number, patience in ((signal.SIGINT, UNTIL_SIGTERM), (signal.SIGTERM, UNTIL_SIGKILL)):
        process.send_signal(number)
        try:
            process.wait(patience.total_seconds())
        except subprocess.TimeoutExpired:
            wrong.append(f"still running {patience.total_seconds():g} s after {number.name}")
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return wrong


def _left(scenario: Scenario, sent: Sequence[str]) -> list[str]:
    """What is missing in the state and on the wire after the last signal."""
    wrong = [
        f"{record.status} because of {record.reason}"
        for record in scenario.records
        if (record.status, record.reason) != (Status.STOPPING, Reason.CANCELLED)
    ]
    if "TerminateInstances" in scenario.mutating and "TerminateInstances" not in sent:
        wrong.append("the termination was not requested")
    return wrong
