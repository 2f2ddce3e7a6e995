"""One scenario: an operator with real processes, a cloud with instances of others in it, and the count at its end."""

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import pytest
from faults.mutants import MUTANTS, load_all_modules
from faults.processes import Process, Processes
from support.cli import Operator
from support.clock import FileClock
from support.clouds import LoopbackAws
from support.instances import an_instance
from support.wire import Answer, Sent, Wire, refuse

from gpuctl.domain.instance import Status
from gpuctl.errors import GpuctlError

PROVISION = ("provision", "g4dn.xlarge", "--region", "us-east-1", "--name", "n")
LOGIN = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "a-secret-canary",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
    "AZURE_CONFIG_DIR": os.devnull,
    "CLOUDSDK_CONFIG": os.devnull,
    "NO_GCE_CHECK": "true",
}
_NOWHERE = refuse("InvalidInstanceID.NotFound")


@dataclass
class World:
    """What every scenario runs in: a cloud, the line to it, and the parent of real processes."""

    cloud: LoopbackAws
    wire: Wire
    processes: Processes

    @contextmanager
    def scenario(self, mutants: Sequence[str] = (), kind: "type[Scenario] | None" = None) -> Iterator["Scenario"]:
        """An empty cloud but for the instances of others, and an operator with an empty folder; on AWS, unless `kind`
        says otherwise."""
        self.cloud.reset()
        self.wire.reset()
        folder = Path(tempfile.mkdtemp(prefix="gpuctl-fault-"))
        try:
            chosen = kind or Scenario
            with _nobodys_login(chosen.login(self.wire.url)), broken(mutants):
                yield chosen(folder, self, tuple(mutants))
        finally:
            self.wire.reset()
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def world() -> Iterator[World]:
    """Start all of it, and stop all of it."""
    cloud = LoopbackAws()
    wire = Wire(cloud.url)
    processes = Processes()
    try:
        yield World(cloud, wire, processes)
    finally:
        processes.stop()
        wire.stop()
        cloud.stop()


@contextmanager
def _nobodys_login(login: Mapping[str, str]) -> Iterator[None]:
    """Commands in this process see this login of nobody's, and no cloud but the one it leads to."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "GPUCTL_")) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        for name, value in login.items():
            patch.setenv(name, value)
        yield


@contextmanager
def broken(mutants: Sequence[str]) -> Iterator[None]:
    """These rules of gpuctl's are broken in this process for the length of a block."""
    patch = pytest.MonkeyPatch()
    if mutants:
        load_all_modules()
    try:
        for name in mutants:
            MUTANTS[name](patch)
        yield
    finally:
        patch.undo()


class Scenario(Operator):
    """An operator whose commands are real processes where it says `start`, and run in this process where it says `run`.

    Where a rule is broken the state exists already, so that the rule is broken and not the scenario.
    """

    asking: ClassVar[tuple[str, ...]] = PROVISION
    race_ttl: ClassVar[int] = 60
    race_by: ClassVar[int] = 30
    asking_wider: ClassVar[tuple[str, ...]] = (*PROVISION[:3], "us-east-1,us-west-2", *PROVISION[4:])
    mutating: ClassVar[tuple[str, ...]] = ("RunInstances", "TerminateInstances", "CreateTags")
    # When the reaper comes at the end, in minutes from one time to the next: an ended instance must be proven gone.
    passes: ClassVar[tuple[int, ...]] = (0, 16, 165, 2)

    def asked(self, command: str) -> tuple[str, ...]:
        """What is asked for: an instance, or one that may be in either of two regions."""
        return self.asking if command == "provision" else self.asking_wider

    def fill_up(self) -> None:
        """Let the first region have no instance left."""
        self.wire.arm("RunInstances", *[refuse("InsufficientInstanceCapacity", 500)] * 2)

    def looks_for(self, sent: Sent) -> str | None:
        """Whether that call lists `all` instances, or asks for `one`; None for any other."""
        if sent.action != "DescribeInstances":
            return None
        return "all" if "Filter.1.Name" in sent.form else "one"

    @property
    def nothing_listed(self) -> Answer:
        """The cloud's answer that there are no instances."""
        return empty("DescribeInstances", "reservationSet")

    @classmethod
    def login(cls, url: str) -> dict[str, str]:
        """The variables that lead to the cloud at this address."""
        return {**LOGIN, "AWS_ENDPOINT_URL": url}

    def __init__(self, folder: Path, workspace: World, mutants: tuple[str, ...]) -> None:
        super().__init__(folder, workspace.cloud, workspace.wire, FileClock(folder / "clock"))
        self.environ |= {**self.login(workspace.wire.url), "HOME": str(folder), "PATH": "/usr/bin:/bin"}
        self._processes = workspace.processes
        self._mutants = mutants
        self._started: list[Process] = []
        self.faults: list[str] = []
        if mutants:
            closed = an_instance("inst-0000000000zz", status=Status.FAILED, updated_at=self.clock.now())
            self.store.add([closed], lambda present: None)
        self.foreign = [
            self.cloud.launch(),
            self.cloud.launch(
                tags={
                    "gpuctl-id": "inst-zzzzzzzzzzzz",
                    "gpuctl-state": "another-state",
                    "gpuctl-expires-at": "20261124t120500z",
                }
            ),
        ]

    def start(
        self,
        *argv: str,
        die_at_step: int | None = None,
        steps: Path | None = None,
        umask: int = 0o077,
        environ: Mapping[str, str] | None = None,
    ) -> Process:
        """Start a real process."""
        process = self._processes.start(
            argv,
            environ=self.environ | dict(environ or {}),
            clock=self.folder / "clock",
            folder=self.folder,
            mutants=self._mutants,
            die_at_step=die_at_step,
            steps=steps,
            umask=umask,
        )
        self._started.append(process)
        return process

    def lag(self, seconds: int) -> None:
        """From now on a new instance is shown to nobody for so long."""
        launched: list[datetime] = []

        def instead(sent: Sent) -> Answer | None:
            if sent.action == "RunInstances":
                launched.append(self.clock.now())
                return None
            hidden = launched and (self.clock.now() - launched[-1]).total_seconds() < seconds
            if not hidden or not sent.action.startswith(("Describe", "Terminate", "CreateTags", "GetConsole")):
                return None
            if sent.action == "DescribeInstances" and "Filter.1.Name" in sent.form:
                return empty("DescribeInstances", "reservationSet")
            if sent.action == "DescribeInstanceStatus":
                return empty("DescribeInstanceStatus", "instanceStatusSet")
            return None if sent.action == "DescribeImages" else _NOWHERE.answer(None)

        self.wire.instead = instead

    def reap(self) -> None:
        """One pass in this process; whatever it closed must be gone by the cloud's own books."""
        self.run("reap", "--sweep", "--max-orphans", "99")
        self.look_for_lies()

    def look_for_lies(self) -> None:
        """A record that is closed while its instance lives is a lie."""
        try:
            closed = {record.id for record in self.records if not record.is_active}
        except GpuctlError as error:
            self.faults.append(f"state unreadable: {error.message}")
            return
        for instance in self.ours:
            if instance["state"] not in ("terminated", "shutting-down") and instance["tags"].get("gpuctl-id") in closed:
                self.faults.append("gone while alive")

    def look_for_the_unwritten(self) -> None:
        """An instance that stands in no record is known to nobody on this side of the cloud."""
        try:
            known = {record.id for record in self.records}
        except GpuctlError:
            known = set()
        for instance in self.ours:
            if instance["tags"].get("gpuctl-id") not in known:
                self.faults.append("a machine that was never written down")

    @property
    def ours(self) -> list[dict]:  # type: ignore[type-arg]
        """Every instance but those of others, by the cloud's books."""
        return [instance for instance in self.cloud.instances() if instance["id"] not in self.foreign]

    def finish(self, acknowledged: Sequence[str] = ()) -> list[str]:
        """Let every deadline pass with a reaper at work, then count what is wrong."""
        self.wire.watch = lambda phase, sent: True
        self.look_for_the_unwritten()
        for minutes in self.passes:
            self.later(minutes=minutes)
            self.reap()
        return [*self.faults, *self._count(acknowledged), *(f"the rig itself: {bug}" for bug in self.wire.bugs)]

    def _count(self, acknowledged: Sequence[str]) -> list[str]:
        wrong = []
        ours = self.ours
        ids = [instance["tags"].get("gpuctl-id") for instance in ours]
        wrong += [
            f"leak: {instance['id']}" for instance in ours if instance["state"] not in ("terminated", "shutting-down")
        ]
        wrong += [f"duplicate: {item}" for item in sorted({entry for entry in ids if ids.count(entry) > 1})]
        wrong += [
            f"volume left behind: {volume['id']}" for volume in self.cloud.volumes() if volume["instance"] is None
        ]
        states = {vm["id"]: vm["state"] for vm in self.cloud.instances()}
        wrong += [f"foreign machine changed: {text}" for text in self.foreign if states[text] != "running"]
        try:
            records = {record.id: record for record in (*self.records, *self.store.archived())}
        except GpuctlError as error:
            return [*wrong, f"state unreadable: {error.message}"]
        wrong += [f"record lost: {text}" for text in acknowledged if text not in records]
        wrong += [f"never closed: {record.id}" for record in records.values() if record.is_active]
        wrong += [f"traceback: {process.err[-300:]}" for process in self._started if "Traceback" in process.err]
        return wrong


def empty(action: str, name: str) -> Answer:
    """The cloud's answer that there is nothing of the kind."""
    body = f'<{action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><{name}/></{action}Response>'
    return 200, {"Content-Type": "text/xml"}, body.encode()


def random_walks(
    what: str, count: int, walk: Callable[[random.Random], Sequence[str]], mutants: Sequence[str], seed: int
) -> "Score":
    """That many walks in this process, each with its own chance; `walk` returns what went wrong."""
    score = Score()
    with broken(mutants):
        for number in range(count):
            score.add(f"{what} {number}", walk(random.Random(f"{seed} {number}")))
            if score.has_failed_as(mutants):
                break
    return score


@dataclass
class Score:
    """What a gate counted: cases, and everything that went wrong in them."""

    cases: int = 0
    violations: list[str] = field(default_factory=list)

    def add(self, case: str, wrong: Sequence[str]) -> None:
        """One more case."""
        self.cases += 1
        self.violations += [f"{case}: {text}" for text in wrong]

    def has_failed_as(self, mutants: Sequence[str]) -> bool:
        """Whether a broken rule has shown itself, so that no more cases are needed."""
        return bool(mutants and self.violations)
