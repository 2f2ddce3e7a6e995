"""What the leases of every store must do; each implementation runs all of it."""

from abc import ABC, abstractmethod
from datetime import timedelta
from pathlib import Path

import pytest
from support.clock import FakeClock
from support.instances import NOON

from gpuctl.store.lease import LeaseName, Leases, leased

REAP, HOOKS = LeaseName.REAP, LeaseName.HOOKS
MINUTE = timedelta(minutes=1)


class LeaseContract(ABC):
    """Subclass it, say how a process opens the leases of a state at a place, and every test runs against that.

    `ours` and `theirs` are two processes with the same clock.
    """

    @abstractmethod
    def open(self, folder: Path, clock: FakeClock) -> Leases: ...

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def ours(self, tmp_path: Path, clock: FakeClock) -> Leases:
        return self.open(tmp_path, clock)

    @pytest.fixture
    def theirs(self, tmp_path: Path, clock: FakeClock) -> Leases:
        return self.open(tmp_path, clock)

    def test_a_free_lease_is_given_until_it_expires(self, ours: Leases) -> None:
        lease = ours.acquire(REAP, "host 1", 5 * MINUTE)
        assert lease is not None
        assert (lease.name, lease.holder, lease.began_at, lease.expires_at) == (REAP, "host 1", NOON, NOON + 5 * MINUTE)
        assert lease.unfinished_since is None
        assert ours.is_current(lease)

    def test_no_other_user_gets_it_before_it_expires(self, ours: Leases, theirs: Leases, clock: FakeClock) -> None:
        ours.acquire(REAP, "host 1", 5 * MINUTE)
        clock.move(5 * MINUTE - timedelta(seconds=1))
        assert theirs.acquire(REAP, "host 2", 5 * MINUTE) is None

    def test_leases_of_different_work_are_independent(self, ours: Leases, theirs: Leases) -> None:
        ours.acquire(REAP, "host 1", 5 * MINUTE)
        assert theirs.acquire(HOOKS, "host 2", 5 * MINUTE) is not None

    def test_a_released_lease_is_free_at_once_and_counts_as_finished(self, ours: Leases, theirs: Leases) -> None:
        with leased(ours, REAP, "host 1", 5 * MINUTE) as first:
            pass
        second = theirs.acquire(REAP, "host 2", 5 * MINUTE)
        assert first is not None
        assert second is not None
        assert second.unfinished_since is None
        assert second.version > first.version

    def test_a_lease_is_released_although_the_work_failed(self, ours: Leases, theirs: Leases) -> None:
        with pytest.raises(ZeroDivisionError), leased(ours, REAP, "host 1", 5 * MINUTE):
            raise ZeroDivisionError
        assert theirs.acquire(REAP, "host 2", 5 * MINUTE) is not None

    def test_an_expired_lease_goes_to_the_next_who_learns_since_when_it_is_unfinished(
        self, ours: Leases, theirs: Leases, clock: FakeClock
    ) -> None:
        first = ours.acquire(REAP, "host 1", 5 * MINUTE)
        clock.move(5 * MINUTE)
        second = theirs.acquire(REAP, "host 2", 5 * MINUTE)
        assert first is not None
        assert second is not None
        assert second.unfinished_since == NOON
        assert second.version > first.version
        assert (ours.is_current(first), theirs.is_current(second)) == (False, True)

    def test_an_expired_lease_that_nobody_took_is_current(self, ours: Leases, clock: FakeClock) -> None:
        lease = ours.acquire(REAP, "host 1", MINUTE)
        assert lease is not None
        clock.move(2 * MINUTE)
        assert ours.is_current(lease)

    def test_a_holder_that_was_overtaken_stays_so_when_its_successor_has_finished(
        self, ours: Leases, theirs: Leases, clock: FakeClock
    ) -> None:
        first = ours.acquire(REAP, "host 1", MINUTE)
        clock.move(MINUTE)
        second = theirs.acquire(REAP, "host 2", MINUTE)
        assert first is not None
        assert second is not None
        theirs.release(second)
        assert not ours.is_current(first)

    def test_what_an_overtaken_holder_releases_is_not_its_successors(
        self, ours: Leases, theirs: Leases, clock: FakeClock, tmp_path: Path
    ) -> None:
        first = ours.acquire(REAP, "host 1", MINUTE)
        clock.move(MINUTE)
        second = theirs.acquire(REAP, "host 2", MINUTE)
        assert first is not None
        assert second is not None
        ours.release(first)
        assert theirs.is_current(second)
        assert self.open(tmp_path, clock).acquire(REAP, "host 3", MINUTE) is None
        theirs.release(second)
        assert self.open(tmp_path, clock).acquire(REAP, "host 3", MINUTE) is not None

    def test_only_one_takes_over_from_a_holder_that_hangs(
        self, ours: Leases, theirs: Leases, clock: FakeClock, tmp_path: Path
    ) -> None:
        ours.acquire(REAP, "host 1", MINUTE)
        clock.move(MINUTE)
        assert theirs.acquire(REAP, "host 2", MINUTE) is not None
        assert self.open(tmp_path, clock).acquire(REAP, "host 3", MINUTE) is None

    def test_releasing_twice_is_harmless(self, ours: Leases, theirs: Leases) -> None:
        lease = ours.acquire(REAP, "host 1", MINUTE)
        assert lease is not None
        ours.release(lease)
        next_lease = theirs.acquire(REAP, "host 2", MINUTE)
        ours.release(lease)
        assert next_lease is not None
        assert theirs.is_current(next_lease)
