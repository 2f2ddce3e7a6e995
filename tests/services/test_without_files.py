"""Services over a store that is no file: provision, terminate and reap, while no file can be opened."""

import builtins
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from support.clock import FakeClock
from support.fake_cloud import FakeCloud
from support.instances import PRICE
from support.silent import Silent
from support.stores import MemoryReaper, memory_state

from gpuctl.catalog import Catalog
from gpuctl.domain.instance import Instance, Reason, Status
from gpuctl.domain.market.request import Request
from gpuctl.errors import StateFault, StateUnusableError
from gpuctl.services.launch.offers import Defaults, choose
from gpuctl.services.launch.prepare import prepare
from gpuctl.services.launch.provision import start
from gpuctl.services.reap.loop import ReapLoop, ReapReport
from gpuctl.services.reap.reaper import ReapOptions, reap
from gpuctl.services.rescue import NoRescue
from gpuctl.services.runtime import Runtime
from gpuctl.services.sessions import Sessions
from gpuctl.services.terminate import end
from gpuctl.store.lease import Lease, LeaseName
from gpuctl.store.reaper import ReapTimes

MINUTE = timedelta(minutes=1)


class Team:
    """A state in memory, a cloud in memory, and processes that use both."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.cloud = FakeCloud(self.clock)
        self.state = memory_state(self.clock)
        self.catalog = Catalog()
        self.catalog.find("g4dn.xlarge", None)

    @property
    def runtime(self) -> Runtime:
        """That of a new process."""
        sessions = Sessions(lambda name, profile: self.cloud, self.clock, Silent())
        return Runtime(
            self.state.records,
            sessions,
            self.clock,
            Silent(),
            lambda *_: PRICE,
            timedelta(hours=2),
            cooldown=self.state.cooldown,
        )

    def provision(self, ttl: timedelta) -> Instance:
        request = Request(user="ana", instance_type="g4dn.xlarge", region="us-east-1", ttl=ttl)
        runtime = self.runtime
        choice = choose(request, lambda name: Defaults(), runtime, self.catalog)
        result = start(
            prepare(choice, runtime), runtime, lambda records: None, 15 * MINUTE, agree=lambda launchable, reason: True
        )
        (record,) = result.records
        return record

    def loop(self, holder: str, require_state: Callable[[], None] = lambda: None) -> ReapLoop:
        options = ReapOptions(sweep=True)
        return ReapLoop(lambda: self.runtime, require_state, self.state, holder, self.clock, options, is_attended=False)

    def reap(self, holder: str) -> ReapReport:
        return self.loop(holder).run()

    def status(self, record: Instance) -> Status:
        return next(other.status for other in self.state.records.snapshot().records if other.id == record.id)


class FullMemory(MemoryReaper):
    def update(self, change: Callable[[ReapTimes], ReapTimes], lease: Lease | None = None) -> bool:
        raise StateUnusableError("no space left")


class ReadOnlyRescue(NoRescue):
    def __init__(self, record: Instance) -> None:
        self.record = record

    def saved(self) -> Sequence[Instance]:
        return [self.record]

    def delete(self, record_id: str) -> None:
        raise StateUnusableError("read-only")


@pytest.fixture
def team(monkeypatch: pytest.MonkeyPatch) -> Team:
    team = Team()

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError(f"a file was opened: {arguments[0]}")

    for module, name in ((os, "open"), (io, "open"), (builtins, "open")):
        monkeypatch.setattr(module, name, refuse)
    return team


def test_an_instance_is_started_and_terminated_without_a_file(team: Team) -> None:
    record = team.provision(60 * MINUTE)
    assert (team.status(record), len(team.cloud.active)) == (Status.READY, 1)
    end(team.runtime, [record.id], Reason.USER)
    assert team.cloud.active == []


def test_the_reaper_terminates_what_is_expired_without_a_file_and_remembers_it(team: Team) -> None:
    expired, other = team.provision(5 * MINUTE), team.provision(60 * MINUTE)
    team.clock.move(6 * MINUTE)
    report = team.reap("host 1")
    assert [done.action.subject for done in report.result.done if done.terminates] == [expired.id]
    assert [instance.tags["gpuctl-id"] for instance in team.cloud.active] == [other.id]
    times = team.state.reaper.read()
    assert (times.last_reap_at, len(times.sweeps)) == (team.clock.now(), 1)


def test_what_the_reaper_did_is_reported_though_it_cannot_be_remembered(team: Team) -> None:
    expired = team.provision(5 * MINUTE)
    team.clock.move(6 * MINUTE)
    team.state = replace(team.state, reaper=FullMemory(team.state.leases))
    report = team.reap("host 1")
    assert [done.action.subject for done in report.result.done if done.terminates] == [expired.id]
    assert (report.problems, str(report.error)) == (["no space left"], "no space left")


def test_watching_goes_on_while_the_state_cannot_be_used_unless_it_never_could(team: Team) -> None:
    expired = team.provision(5 * MINUTE)
    faults = [StateUnusableError("other state", fault=StateFault.OTHER)]

    def require_state() -> None:
        if faults:
            raise faults[0]

    with pytest.raises(StateUnusableError):
        next(team.loop("host 1", require_state).watch(MINUTE, lambda within: None, wait=False))
    (fault,) = faults
    faults.clear()
    reports = team.loop("host 1", require_state).watch(MINUTE, lambda within: None, wait=False)
    assert next(reports).error is None
    faults.append(fault)
    assert next(reports) == ReapReport(problems=["other state"], error=fault)
    faults.clear()
    team.clock.move(6 * MINUTE)
    assert [done.action.subject for done in next(reports).result.done if done.terminates] == [expired.id]


def test_a_rescue_file_that_cannot_be_removed_does_not_keep_the_reaper_from_its_records(team: Team) -> None:
    expired = team.provision(5 * MINUTE)
    team.clock.move(6 * MINUTE)
    runtime = replace(team.runtime, rescue=ReadOnlyRescue(expired))
    result = reap(runtime, team.state.reaper.read(), ReapOptions(sweep=True))
    assert team.status(expired) is Status.STOPPING
    assert result.problems == [f"the rescue file of {expired.id} could not be removed: read-only"]


def test_a_reaper_elsewhere_waits_for_one_that_works_and_takes_over_from_one_that_is_gone(team: Team) -> None:
    team.provision(5 * MINUTE)
    team.clock.move(6 * MINUTE)
    team.state.leases.acquire(LeaseName.REAP, "host 1", 5 * MINUTE)
    assert team.reap("host 2").is_busy
    assert len(team.cloud.active) == 1
    team.clock.move(5 * MINUTE)
    assert not team.reap("host 2").is_busy
    assert team.cloud.active == []
