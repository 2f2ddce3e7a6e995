"""Processes that die, disks that fill, and writers that race: nothing acknowledged is ever lost."""

import errno
import os
import signal
from pathlib import Path

import pytest
from contracts.records import ONE, TWO, anyone
from store.local.test_store import opened
from support.disks import FailingDisk
from support.forks import forked
from support.instances import an_instance
from tinydb import TinyDB

from gpuctl.clock import SystemClock
from gpuctl.errors import StateUnusableError

PROCESSES = 8


def test_tinydbs_own_storage_loses_what_another_writes_in_between(tmp_path: Path) -> None:
    """Why there is a storage of our own: the same overlap, made to happen every time, on the stock one."""
    folder = tmp_path / "stock.json"
    with TinyDB(folder) as first, TinyDB(folder) as second:
        first.insert({"user": "0"})
        first.update(lambda document: second.insert({"user": "lost"}) and None)
    with TinyDB(folder) as after:
        assert [item["user"] for item in after.all()] == ["0"]


def test_one_of_many_births_at_once_is_the_state(tmp_path: Path) -> None:
    def insert(number: int, each: int) -> None:
        opened(tmp_path / "new", clock=SystemClock()).add([an_instance(f"inst-{number:012d}")], anyone)

    for pid in [forked(lambda number=number: insert(number, 0)) for number in range(PROCESSES)]:
        assert os.waitpid(pid, 0)[1] == 0
    assert len(opened(tmp_path / "new").snapshot().records) == PROCESSES


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


def test_a_state_that_cannot_be_created_leaves_no_file_that_would_count_as_missing(tmp_path: Path) -> None:
    with pytest.raises(StateUnusableError):
        opened(tmp_path, disk=FailingDisk(0)).add([an_instance(ONE)], anyone)
    assert opened(tmp_path).snapshot().records == ()
    assert len(opened(tmp_path).add([an_instance(ONE)], anyone).records) == 1


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    opened(tmp_path).add([an_instance(ONE)], anyone)
    held, tell = os.pipe()

    def hold() -> None:
        def change(item: object) -> object:
            os.write(tell, b"x")
            signal.pause()
            return item

        opened(tmp_path, clock=SystemClock()).update(ONE, change)  # type: ignore[arg-type]

    pid = forked(hold)
    assert os.read(held, 1) == b"x"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(held)
    os.close(tell)
    assert opened(tmp_path).update(ONE, lambda record: record.with_fields(user="bob")).user == "bob"


def test_what_a_killed_writer_left_is_swept_up_after_an_hour_and_not_before(tmp_path: Path) -> None:
    store = opened(tmp_path, clock=SystemClock())
    store.add([an_instance(ONE)], anyone)
    old, young = tmp_path / ".state.json.1.aaaa.tmp", tmp_path / ".state.json.2.bbbb.tmp"
    for path in (old, young):
        path.touch()
    os.utime(old, (1, 1))
    store.add([an_instance(TWO)], anyone)
    assert (old.exists(), young.exists()) == (False, True)
