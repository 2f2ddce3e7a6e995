"""What the reaper's memory of every store must do; each implementation runs all of it."""

from abc import ABC, abstractmethod
from datetime import timedelta
from pathlib import Path

import pytest
from support.clock import FakeClock
from support.instances import ACCOUNT, NOON

from gpuctl.domain.instance import ProviderName, Scope
from gpuctl.store.base import State
from gpuctl.store.lease import LeaseName
from gpuctl.store.reaper import ReapTimes, Sweep

MINUTE = timedelta(minutes=1)
SWEEP = Sweep(scope=Scope(provider=ProviderName.AWS, account=ACCOUNT, region="us-east-1"), at=NOON, ours=3)


class ReaperMemoryContract(ABC):
    """Subclass it, say how a process opens a state at a place, and every test below runs against that."""

    @abstractmethod
    def open(self, folder: Path, clock: FakeClock) -> State: ...

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def state(self, tmp_path: Path, clock: FakeClock) -> State:
        return self.open(tmp_path, clock)

    @pytest.fixture
    def other(self, tmp_path: Path, clock: FakeClock) -> State:
        return self.open(tmp_path, clock)

    def test_a_memory_that_was_never_written_is_empty(self, state: State) -> None:
        assert state.reaper.read() == ReapTimes()

    def test_what_was_written_is_what_every_process_reads(self, state: State, other: State) -> None:
        times = ReapTimes(last_reap_at=NOON, last_reap_exit=8, sweeps=(SWEEP,), reported={"matter": NOON})
        assert state.reaper.update(lambda _: times)
        assert other.reaper.read() == times

    def test_a_change_sees_the_memory_as_it_is_now(self, state: State, other: State) -> None:
        state.reaper.update(lambda times: times.model_copy(update={"last_reap_at": NOON}))
        other.reaper.update(lambda times: times.model_copy(update={"hooks_reported": {"ready": NOON}}))
        assert state.reaper.read() == ReapTimes(last_reap_at=NOON, hooks_reported={"ready": NOON})

    def test_a_change_that_raises_writes_nothing(self, state: State) -> None:
        def fail(times: ReapTimes) -> ReapTimes:
            raise ZeroDivisionError

        state.reaper.update(lambda _: ReapTimes(last_reap_at=NOON))
        with pytest.raises(ZeroDivisionError):
            state.reaper.update(fail)
        assert state.reaper.read() == ReapTimes(last_reap_at=NOON)

    def test_the_holder_of_a_lease_writes_even_if_it_expired(self, state: State, clock: FakeClock) -> None:
        lease = state.leases.acquire(LeaseName.REAP, "host 1", MINUTE)
        clock.move(2 * MINUTE)
        assert state.reaper.update(lambda _: ReapTimes(last_reap_at=NOON), lease)
        assert state.reaper.read().last_reap_at == NOON

    def test_a_holder_that_was_overtaken_writes_nothing(self, state: State, other: State, clock: FakeClock) -> None:
        lease = state.leases.acquire(LeaseName.REAP, "host 1", MINUTE)
        clock.move(MINUTE)
        successor = other.leases.acquire(LeaseName.REAP, "host 2", MINUTE)
        assert other.reaper.update(lambda _: ReapTimes(last_reap_at=clock.now()), successor)
        assert successor is not None
        other.leases.release(successor)
        assert not state.reaper.update(lambda _: ReapTimes(last_reap_at=NOON), lease)
        assert state.reaper.read().last_reap_at == clock.now()
