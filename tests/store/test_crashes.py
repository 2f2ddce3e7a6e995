"""Processes that die, disks that fill, and writers that race: nothing acknowledged is ever lost."""

import errno
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from store.contract import ONE, TWO, anyone
from store.test_local import opened
from support.instances import an_instance
from tinydb import TinyDB

from gpuctl.clock import SystemClock
from gpuctl.errors import StateUnusableError
from gpuctl.store.disk import Disk

PROCESSES, EACH = 8, 40


def forked(work: Callable[[], None]) -> int:
    """Do the work in a process of its own, which ends with it."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException:
        os._exit(1)
    os._exit(0)


def raced(insert: Callable[[int, int], None]) -> None:
    """Eight processes insert forty records each, all at once."""

    def worker(number: int) -> Callable[[], None]:
        return lambda: [insert(number, each) for each in range(EACH)] and None

    for pid in [forked(worker(number)) for number in range(PROCESSES)]:
        os.waitpid(pid, 0)


def test_eight_processes_that_insert_forty_records_each_leave_three_hundred_and_twenty(tmp_path: Path) -> None:
    def insert(number: int, each: int) -> None:
        opened(tmp_path, clock=SystemClock()).add([an_instance(f"inst-{number:04d}{each:08d}")], anyone)

    raced(insert)
    assert len(opened(tmp_path).snapshot().records) == PROCESSES * EACH


def test_tinydbs_own_storage_loses_what_another_writes_in_between(tmp_path: Path) -> None:
    """Why there is a storage of our own: the same overlap, made to happen every time, on the stock one."""
    place = tmp_path / "stock.json"
    with TinyDB(place) as first, TinyDB(place) as second:
        first.insert({"user": "0"})
        first.update(lambda document: second.insert({"user": "lost"}) and None)
    with TinyDB(place) as after:
        assert [one["user"] for one in after.all()] == ["0"]


def test_one_of_many_births_at_once_is_the_state(tmp_path: Path) -> None:
    def insert(number: int, each: int) -> None:
        opened(tmp_path / "new", clock=SystemClock()).add([an_instance(f"inst-{number:012d}")], anyone)

    for pid in [forked(lambda number=number: insert(number, 0)) for number in range(PROCESSES)]:
        assert os.waitpid(pid, 0)[1] == 0
    assert len(opened(tmp_path / "new").snapshot().records) == PROCESSES


def test_two_hundred_kills_at_any_moment_leave_a_readable_state_with_all_that_was_acknowledged(tmp_path: Path) -> None:
    dice = random.Random(20261124)
    acknowledged = tmp_path / "acknowledged"
    acknowledged.touch()
    opened(tmp_path).add([an_instance(ONE, user="0")], anyone)

    def write_for_ever() -> None:
        store = opened(tmp_path, clock=SystemClock())
        with acknowledged.open("a") as file:
            while True:
                user = store.update(ONE, lambda one: one.having(user=str(int(one.user) + 1))).user
                file.write(f"{user}\n")
                file.flush()
                os.fsync(file.fileno())

    for _ in range(200):
        pid = forked(write_for_ever)
        signal.sigtimedwait([], dice.uniform(0.001, 0.04))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        told = acknowledged.read_text().split()
        (record,) = opened(tmp_path).snapshot().records
        assert int(record.user) >= int(told[-1] if told else 0)
    # Some of them were killed between two writes, or this would have proven nothing.
    assert len(acknowledged.read_text().split()) > 20


class FailingDisk(Disk):
    """A disk whose n-th operation fails, and every one after it."""

    def __init__(self, good_for: int, number: int = errno.ENOSPC, *, is_short: bool = False) -> None:
        self.left = good_for
        self.number = number
        self.is_short = is_short

    def _use(self) -> None:
        if self.left <= 0:
            raise OSError(self.number, os.strerror(self.number))
        self.left -= 1

    def create(self, path: Path) -> int:
        self._use()
        return super().create(path)

    def write(self, descriptor: int, content: memoryview) -> int:
        self._use()
        # A disk that fills takes a part of what it is given, and says so.
        return super().write(descriptor, content[: max(1, len(content) // 3)] if self.is_short else content)

    def sync(self, descriptor: int) -> None:
        self._use()
        super().sync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        self._use()
        super().replace(source, target)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("good_for", range(4))
def test_a_disk_that_fails_at_any_step_leaves_the_old_state(tmp_path: Path, good_for: int, number: int) -> None:
    opened(tmp_path).add([an_instance(ONE)], anyone)
    before = (tmp_path / "state.json").read_bytes()
    store = opened(tmp_path, disk=FailingDisk(good_for, number))
    with pytest.raises(StateUnusableError, match="could not be written"):
        store.add([an_instance(TWO)], anyone)
    assert (tmp_path / "state.json").read_bytes() == before
    assert list(tmp_path.glob(".*.tmp")) == []


@pytest.mark.parametrize("good_for", range(1, 30))
def test_a_disk_that_fills_in_the_middle_of_the_file_leaves_the_old_state(tmp_path: Path, good_for: int) -> None:
    opened(tmp_path).add([an_instance(ONE)], anyone)
    before = (tmp_path / "state.json").read_bytes()
    try:
        opened(tmp_path, disk=FailingDisk(good_for, is_short=True)).add([an_instance(TWO)], anyone)
    except StateUnusableError:
        assert (tmp_path / "state.json").read_bytes() == before
    else:
        assert len(opened(tmp_path).snapshot().records) == 2


def test_a_disk_that_takes_a_little_at_a_time_gets_all_of_it(tmp_path: Path) -> None:
    opened(tmp_path, disk=FailingDisk(10_000, is_short=True)).add([an_instance(ONE)], anyone)
    assert len(opened(tmp_path).snapshot().records) == 1


def test_a_state_that_cannot_be_born_leaves_no_trace_that_would_count_as_missing(tmp_path: Path) -> None:
    with pytest.raises(StateUnusableError):
        opened(tmp_path, disk=FailingDisk(0)).add([an_instance(ONE)], anyone)
    assert opened(tmp_path).snapshot().records == ()
    assert len(opened(tmp_path).add([an_instance(ONE)], anyone).records) == 1


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    opened(tmp_path).add([an_instance(ONE)], anyone)
    held, tell = os.pipe()

    def hold() -> None:
        def change(one: object) -> object:
            os.write(tell, b"x")
            signal.pause()
            return one

        opened(tmp_path, clock=SystemClock()).update(ONE, change)  # type: ignore[arg-type]

    pid = forked(hold)
    assert os.read(held, 1) == b"x"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(held)
    os.close(tell)
    assert opened(tmp_path).update(ONE, lambda one: one.having(user="bob")).user == "bob"


def test_what_a_killed_writer_left_is_swept_up_after_an_hour_and_not_before(tmp_path: Path) -> None:
    store = opened(tmp_path, clock=SystemClock())
    store.add([an_instance(ONE)], anyone)
    old, young = tmp_path / ".state.json.1.aaaa.tmp", tmp_path / ".state.json.2.bbbb.tmp"
    for path in (old, young):
        path.touch()
    os.utime(old, (1, 1))
    store.add([an_instance(TWO)], anyone)
    assert (old.exists(), young.exists()) == (False, True)
