"""The lock file by itself: its form on the disk, who is named, and what is kept from others."""

import fcntl
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from support.clock import FakeClock
from support.instances import NOON

from gpuctl.errors import StateLockedError
from gpuctl.store.local.lock import Lock, LockContent

ID = "abcdefgh1234"


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    return Lock(tmp_path / "state.json.lock", FakeClock())


def lines(text: str, serial: int = 0) -> bytes:
    """The first lines of a lock file: 48 and 24 bytes, so that nothing longer is ever written over what follows."""
    return text.ljust(47).encode() + b"\n" + f"serial {serial:016}\n".encode()


@pytest.mark.parametrize(("is_created", "phase"), [(False, "new"), (True, "born")])
def test_the_first_lines_are_the_states_and_the_holders_pid_follows(lock: Lock, is_created: bool, phase: str) -> None:
    with lock.hold() as descriptor:
        lock.remember(descriptor, LockContent(ID, is_created))
        assert lock.path.read_bytes() == lines(f"{ID} {phase}") + f"{os.getpid()}\n".encode()
        assert lock.remembered() == LockContent(ID, is_created)


def test_the_newest_serial_is_remembered_in_its_own_place(lock: Lock) -> None:
    with lock.hold() as descriptor:
        lock.remember(descriptor, LockContent(ID, is_created=True, serial=7))
        lock.remember_serial(descriptor, 12345)
        assert lock.remembered() == LockContent(ID, is_created=True, serial=12345)
        assert lock.path.read_bytes() == lines(f"{ID} born", 12345) + f"{os.getpid()}\n".encode()


def test_a_lock_file_from_before_serials_were_kept_remembers_none(lock: Lock) -> None:
    lock.path.write_bytes(f"{ID} born".ljust(47).encode() + b"\n31337\n")
    assert lock.remembered() == LockContent(ID, is_created=True, serial=0)


def test_a_state_id_of_forty_characters_fits(lock: Lock) -> None:
    with lock.hold() as descriptor:
        lock.remember(descriptor, LockContent("a" * 40, is_created=True))
    assert lock.remembered() == LockContent("a" * 40, is_created=True)


def test_a_longer_pid_of_an_earlier_holder_leaves_nothing_behind(lock: Lock) -> None:
    lock.path.write_bytes(lines(f"{ID} born") + b"9" * 19 + b"\n")
    with lock.hold():
        assert lock.path.read_bytes() == lines(f"{ID} born") + f"{os.getpid()}\n".encode()


def test_what_is_remembered_is_on_the_disk_on_return(lock: Lock, monkeypatch: pytest.MonkeyPatch) -> None:
    with lock.hold() as descriptor:
        synced: list[int] = []
        monkeypatch.setattr(os, "fsync", synced.append)
        lock.remember(descriptor, LockContent(ID, is_created=True))
        assert synced == [descriptor]


def test_a_lock_is_waited_for_half_a_minute_and_its_holder_is_named(lock: Lock) -> None:
    clock = FakeClock()
    with lock.hold(), pytest.raises(StateLockedError) as caught, Lock(lock.path, clock).hold():
        pass
    assert clock.now() - NOON == timedelta(seconds=30)
    assert caught.value.message == f"the state is locked by another gpuctl (process {os.getpid()})"
    assert caught.value.hint == "wait, or stop that process"


@pytest.mark.parametrize("content", [b"", lines(f"{ID} born"), lines(f"{ID} born") + b"somebody\n"])
def test_a_holder_that_cannot_be_named_is_not(lock: Lock, content: bytes) -> None:
    lock.path.write_bytes(content)
    with lock.path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StateLockedError, match="another gpuctl$"), lock.hold():
            pass


def test_a_lock_whose_holder_cannot_be_written_down_is_held_all_the_same(
    lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "ftruncate", fails)
    with lock.hold(), pytest.raises(StateLockedError), Lock(lock.path, FakeClock()).hold():
        pass


def test_a_lock_file_is_closed_to_others_from_its_first_moment(
    lock: Lock, set_umask: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_umask(0)
    monkeypatch.setattr(os, "fchmod", lambda *_: None)
    with lock.hold():
        assert lock.path.stat().st_mode & 0o777 == 0o600


def test_a_link_in_the_place_of_a_lock_is_not_followed(lock: Lock) -> None:
    lock.path.symlink_to(lock.path.with_name("elsewhere"))
    with pytest.raises(OSError, match=r"symbolic|links"), lock.hold():
        pass
    assert not lock.path.with_name("elsewhere").exists()
