"""The leases, the reaper's memory and the cooldown beside a state file: the contracts, and what only files can do."""

import errno
import fcntl
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from contracts.cooldown import CooldownContract
from contracts.leases import LeaseContract
from contracts.pools import MovablePoolStoreContract
from contracts.reaper_memory import ReaperMemoryContract
from store.local.test_crashes import forked
from support.clock import FakeClock
from support.instances import NOON

from gpuctl.store.base import State, StateKind
from gpuctl.store.lease import LeaseName
from gpuctl.store.local import open_state
from gpuctl.store.local.cooldown import LocalCooldown
from gpuctl.store.local.lease import LocalLeases
from gpuctl.store.reaper import ReapTimes

MINUTE = timedelta(minutes=1)
REAP = LeaseName.REAP


class TestLocalLeases(LeaseContract):
    def open(self, folder: Path, clock: FakeClock) -> LocalLeases:
        return LocalLeases(folder / "state.json", clock)


class TestLocalReaperMemory(ReaperMemoryContract):
    def open(self, place: Path, clock: FakeClock) -> State:
        return open_state(str(place / "state.json"), kind=StateKind.REAL, clock=clock)


class TestLocalPools(MovablePoolStoreContract):
    def open(self, place: Path) -> State:
        return open_state(str(place / "state.json"), kind=StateKind.REAL, clock=FakeClock())


class TestLocalCooldown(CooldownContract):
    def open(self, place: Path) -> LocalCooldown:
        return LocalCooldown(place / "state.json")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def leases(tmp_path: Path, clock: FakeClock) -> LocalLeases:
    return LocalLeases(tmp_path / "state.json", clock)


@pytest.fixture
def hung(tmp_path: Path) -> Iterator[int]:
    """A process that has the lock and does nothing: the descriptor of the lock file."""
    descriptor = os.open(tmp_path / "state.json.reap.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield descriptor
    os.close(descriptor)


def test_making_leases_touches_nothing(leases: LocalLeases, tmp_path: Path) -> None:
    assert list(tmp_path.iterdir()) == []


def test_the_lease_of_a_process_that_was_killed_is_free_at_once(
    leases: LocalLeases, tmp_path: Path, clock: FakeClock
) -> None:
    def hold_and_die() -> None:
        LocalLeases(tmp_path / "state.json", clock).acquire(REAP, "host 1", 5 * MINUTE)
        os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(forked(hold_and_die), 0)
    lease = leases.acquire(REAP, "host 2", 5 * MINUTE)
    assert lease is not None
    assert (lease.unfinished_since, lease.version) == (None, 2)


def test_the_first_line_of_the_lock_file_is_when_the_holder_began(leases: LocalLeases, tmp_path: Path) -> None:
    leases.acquire(REAP, "host 1", 5 * MINUTE)
    lock = tmp_path / "state.json.reap.lock"
    assert lock.read_text().splitlines()[0] == "2026-11-24T12:00:00+00:00"
    assert lock.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("minutes", "is_given"), [(4, False), (5, True)])
def test_an_instant_alone_in_the_lock_file_says_when_its_holder_began(
    leases: LocalLeases, hung: int, clock: FakeClock, minutes: int, is_given: bool
) -> None:
    os.write(hung, b"2026-11-24T12:00:00+00:00")
    clock.move(minutes * MINUTE)
    lease = leases.acquire(REAP, "host 2", 5 * MINUTE)
    assert (lease is not None) == is_given
    assert lease is None or lease.unfinished_since == NOON


def test_an_instant_in_the_future_keeps_nobody_out(leases: LocalLeases, hung: int) -> None:
    os.write(hung, b"2026-11-24T12:00:01+00:00")
    assert leases.acquire(REAP, "host 2", 5 * MINUTE) is not None


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{}\n1 2\n", b"2026-11-24T12:00:00+00:00\nnever 1 locked x\n"])
def test_a_lock_file_that_cannot_be_read_counts_from_its_last_change(tmp_path: Path, hung: int, content: bytes) -> None:
    os.write(hung, content)
    changed = datetime.fromtimestamp(os.fstat(hung).st_mtime, UTC)
    clock = FakeClock(changed + 4 * MINUTE)
    leases = LocalLeases(tmp_path / "state.json", clock)
    assert leases.acquire(REAP, "host 2", 5 * MINUTE) is None
    clock.move(MINUTE)
    lease = leases.acquire(REAP, "host 2", 5 * MINUTE)
    assert lease is not None
    assert lease.unfinished_since == changed


def test_every_pass_beside_a_process_that_hangs_learns_of_it(leases: LocalLeases, hung: int, clock: FakeClock) -> None:
    os.write(hung, b"2026-11-24T12:00:00+00:00")
    for _ in range(3):
        clock.move(5 * MINUTE)
        lease = leases.acquire(REAP, "host 2", 5 * MINUTE)
        assert lease is not None
        assert lease.unfinished_since == NOON
        leases.release(lease)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EIO])
def test_a_disk_without_locks_gives_the_lease_to_everyone(
    leases: LocalLeases, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(descriptor: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    before = len(os.listdir("/proc/self/fd"))
    ours = leases.acquire(REAP, "host 1", 5 * MINUTE)
    theirs = LocalLeases(tmp_path / "state.json", clock).acquire(REAP, "host 2", 5 * MINUTE)
    assert ours is not None
    assert theirs is not None
    assert leases.is_current(ours)
    leases.release(ours)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_folder_that_takes_no_file_gives_the_lease_to_everyone(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "file").touch()
    leases = LocalLeases(tmp_path / "file" / "state.json", clock)
    lease = leases.acquire(REAP, "host 1", 5 * MINUTE)
    assert lease is not None
    assert leases.is_current(lease)


def test_damage_to_the_reapers_memory_is_no_error(tmp_path: Path, clock: FakeClock) -> None:
    state = open_state(str(tmp_path / "state.json"), kind=StateKind.REAL, clock=clock)
    state.reaper.update(lambda _: ReapTimes(last_reap_at=NOON))
    (tmp_path / "state.json.reap.json").write_text("{")
    assert state.reaper.read() == ReapTimes()


def test_damage_to_the_cooldown_is_no_error(tmp_path: Path) -> None:
    cooldown = LocalCooldown(tmp_path / "state.json")
    cooldown.start("a", NOON)
    (tmp_path / "state.json.refused.json").write_text("{nonsense")
    assert cooldown.active(NOON) == {}
    cooldown.start("b", NOON)
    assert cooldown.active(NOON) == {"b": NOON}
