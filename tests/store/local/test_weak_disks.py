"""Disks that keep fewer promises: the state, the reaper's memory and the key work there all the same."""

import errno
import fcntl
import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from support.clock import FakeClock
from support.disks import WeakDisk
from support.forks import forked
from support.instances import NOON, an_instance

from gpuctl.clock import SystemClock
from gpuctl.domain.instance import Instance
from gpuctl.errors import StateLockedError, StateUnusableError
from gpuctl.files import Disk, sync
from gpuctl.home.rescue import RescueFolder
from gpuctl.remote.keys import own_key
from gpuctl.store.base import StateKind
from gpuctl.store.lease import LeaseName, leased
from gpuctl.store.local import open_state
from gpuctl.store.local.claim import Claims, _holder
from gpuctl.store.local.lock import Lock
from gpuctl.store.local.promises import is_unsuitable, missing_promises
from gpuctl.store.local.store import LocalStore
from gpuctl.store.reaper import ReapTimes

FIRST, SECOND = "inst-000000000001", "inst-000000000002"
EACH = [
    ("locks", errno.ENOLCK),
    ("locks", errno.EOPNOTSUPP),
    ("links", errno.EPERM),
    ("links", errno.ENOTSUP),
    ("permissions", errno.EPERM),
    ("permissions", errno.ENOTSUP),
    ("folder_sync", errno.EINVAL),
    ("folder_sync", errno.ENOTSUP),
    ("folder_sync", errno.EBADF),
]
each_promise = pytest.mark.parametrize(
    ("promise", "number"), EACH, ids=[f"{promise} {errno.errorcode[number]}" for promise, number in EACH]
)


def opened(folder: Path) -> LocalStore:
    return LocalStore(folder / "state.json", kind=StateKind.REAL, clock=FakeClock())


def lived(folder: Path) -> None:
    """Everything that a state is used for, from its creation to its end."""
    opened(folder).add([an_instance(FIRST)], lambda present: None)
    opened(folder).add([an_instance(SECOND)], lambda present: None)
    opened(folder).update(FIRST, lambda record: record.with_fields(user="ben"))
    RescueFolder(lambda: folder).save(an_instance("inst-000000000003"))
    assert {record.id: record.user for record in opened(folder).snapshot().records} == {FIRST: "ben", SECOND: "ana"}


@each_promise
def test_a_state_works_on_a_disk_without(
    promise: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WeakDisk(monkeypatch, tmp_path, **{promise: number})
    lived(tmp_path)


@each_promise
def test_the_reaper_gets_its_lease_and_remembers_on_a_disk_without(
    promise: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WeakDisk(monkeypatch, tmp_path, **{promise: number})
    state = open_state(str(tmp_path / "state.json"), kind=StateKind.REAL, clock=FakeClock())
    with leased(state.leases, LeaseName.REAP, "host 1", timedelta(minutes=5)) as lease:
        assert lease is not None
        assert state.reaper.update(lambda _: ReapTimes(last_reap_at=NOON), lease)
    assert state.reaper.read().last_reap_at == NOON


def test_a_state_works_where_a_locked_file_cannot_be_read_through_another_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WeakDisk(monkeypatch, tmp_path, shared_reads=errno.EACCES)
    lived(tmp_path)
    with Lock(tmp_path / "state.json.lock", FakeClock()).hold():
        assert len(opened(tmp_path).snapshot().records) == 2


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS])
def test_a_damaged_state_is_rebuilt_and_what_stood_there_is_kept_without_hard_links(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(tmp_path).add([an_instance(FIRST)], lambda present: None)
    state_id = opened(tmp_path).snapshot().state_id or ""
    (tmp_path / "state.json").write_bytes(b"damaged")
    WeakDisk(monkeypatch, tmp_path, links=number)
    remaining = opened(tmp_path).rebuild(state_id, [an_instance(SECOND)])
    assert Path(remaining or "").read_bytes() == b"damaged"
    assert [record.id for record in opened(tmp_path).snapshot().records] == [SECOND]


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP])
def test_a_key_is_made_once_without_hard_links(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    WeakDisk(monkeypatch, tmp_path, links=number)
    first = own_key(tmp_path)
    assert own_key(tmp_path) == first
    assert first.identity.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("promise", ["links", "folder_sync"])
def test_a_failing_disk_is_not_taken_for_one_that_lacks_a_promise(
    promise: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    WeakDisk(monkeypatch, tmp_path, **{promise: errno.EIO})
    with pytest.raises(OSError, match="Input/output error"):
        Disk().link(tmp_path / "file", tmp_path / "link") if promise == "links" else Disk().sync_folder(tmp_path)


def test_a_lock_that_fails_for_another_reason_is_exit_9(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    WeakDisk(monkeypatch, tmp_path, locks=errno.EIO)
    with pytest.raises(StateUnusableError, match="could not be written: Input/output error"):
        opened(tmp_path).add([an_instance(FIRST)], lambda present: None)


def test_a_lock_that_another_process_holds_is_waited_for_whatever_the_disk_calls_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WeakDisk(monkeypatch, tmp_path, locks=errno.EACCES)
    with pytest.raises(StateLockedError):
        opened(tmp_path).add([an_instance(FIRST)], lambda present: None)


@pytest.mark.parametrize("number", [None, errno.ENOTSUP, errno.EINVAL, errno.ENOTTY])
def test_a_sync_reaches_the_drive_itself_where_the_system_can_do_that(
    number: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def full_sync(descriptor: int, operation: int) -> None:
        calls.append(f"full {operation}")
        if number is not None:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", full_sync)
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("plain"))
    with (tmp_path / "file").open("wb") as file:
        sync(file.fileno())
    assert calls == (["full 51"] if number is None else ["full 51", "plain"])


@each_promise
def test_the_probe_of_a_disk_finds_what_it_lacks(
    promise: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert missing_promises(tmp_path) == []
    WeakDisk(monkeypatch, tmp_path, **{promise: number})
    names = {"locks": "locks", "links": "hard links", "permissions": "permissions", "folder_sync": "fsync of folders"}
    assert missing_promises(tmp_path) == [names[promise]]
    assert list(tmp_path.iterdir()) == []


def test_the_probe_finds_locks_that_keep_readers_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    WeakDisk(monkeypatch, tmp_path, shared_reads=errno.EACCES)
    assert missing_promises(tmp_path) == ["reads of a locked file"]
    assert missing_promises(tmp_path / "missing") == []


@pytest.mark.parametrize(
    ("filesystem", "expected"), [("ext4", False), ("apfs", False), (None, False), ("nfs4", True), ("fuse.sshfs", True)]
)
def test_network_and_foreign_file_systems_are_unsuitable(filesystem: str | None, expected: bool) -> None:
    assert is_unsuitable(filesystem) is expected


# without locks


def test_writers_at_once_lose_nothing_on_a_disk_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    WeakDisk(monkeypatch, tmp_path, locks=errno.ENOLCK)
    opened(tmp_path).add([an_instance(FIRST)], lambda present: None)

    def insert(writer: int) -> None:
        for number in range(10):
            LocalStore(tmp_path / "state.json", kind=StateKind.REAL, clock=SystemClock()).add(
                [an_instance(f"inst-w{writer:03d}{number:08d}")], lambda present: None
            )

    for pid in [forked(lambda writer=writer: insert(writer)) for writer in range(4)]:  # type: ignore[misc]
        assert os.waitpid(pid, 0)[1] == 0
    assert len(opened(tmp_path).snapshot().records) == 41
    assert len(list(tmp_path.glob("*.claim.*"))) == 1


def test_a_claim_excludes_others_until_it_is_released(tmp_path: Path) -> None:
    claims = Claims(tmp_path / "lock")
    mine = claims.make()
    with pytest.raises(BlockingIOError):
        Claims(tmp_path / "lock").make()
    claims.release(mine)
    assert Claims(tmp_path / "lock").make() != mine


def test_the_claim_of_a_process_that_died_is_over(tmp_path: Path) -> None:
    pid = forked(lambda: None)
    os.waitpid(pid, 0)
    (tmp_path / "lock.claim.7").write_bytes(_holder().replace(str(os.getpid()).encode(), str(pid).encode()))
    assert Claims(tmp_path / "lock").make().name == "lock.claim.8"
    assert not (tmp_path / "lock.claim.7").exists()


def test_the_claim_of_a_process_that_cannot_be_seen_from_here_is_not_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two containers may have the name of one computer, and neither sees the other's processes."""
    pid = forked(lambda: None)
    os.waitpid(pid, 0)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(os, "readlink", lambda path: "pid:[1]")
        elsewhere.setattr(os, "getpid", lambda: pid)
        Claims(tmp_path / "lock").make()
    with pytest.raises(BlockingIOError):
        Claims(tmp_path / "lock").make()


def test_the_name_of_a_state_may_look_like_a_pattern_on_a_disk_without_locks(tmp_path: Path) -> None:
    claims = Claims(tmp_path / "state[1].json.lock")
    claims.release(claims.make())
    claims.make()
    assert [path.name for path in tmp_path.iterdir()] == ["state[1].json.lock.claim.2"]


def test_the_claim_of_another_computer_is_waited_for_and_over_after_five_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(tmp_path).add([an_instance(FIRST)], lambda present: None)
    WeakDisk(monkeypatch, tmp_path, locks=errno.ENOLCK)
    claim = tmp_path / "state.json.lock.claim.1"
    claim.write_text("elsewhere 1\n")
    with pytest.raises(StateLockedError):
        opened(tmp_path).update(FIRST, lambda record: record.with_fields(user="ben"))
    old = claim.stat().st_mtime - timedelta(minutes=6).total_seconds()
    os.utime(claim, (old, old))
    assert opened(tmp_path).update(FIRST, lambda record: record.with_fields(user="ben")).user == "ben"


@pytest.mark.parametrize("minutes", [4.5, 6])
def test_a_writer_that_was_suspended_on_a_disk_without_locks_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: float
) -> None:
    """It resumes after, or shortly before, another computer may take over; where one has, its change stays."""
    opened(tmp_path).add([an_instance(FIRST)], lambda present: None)
    WeakDisk(monkeypatch, tmp_path, locks=errno.ENOLCK)

    def suspended(record: Instance) -> Instance:
        (claim,) = tmp_path.glob("state.json.lock.claim.*")
        # Not a process of this computer, so that only its age counts.
        claim.write_text("elsewhere 1\n")
        old = claim.stat().st_mtime - timedelta(minutes=minutes).total_seconds()
        os.utime(claim, (old, old))
        if minutes > 5:
            opened(tmp_path).update(FIRST, lambda record: record.with_fields(task="theirs"))
        return record.with_fields(user="ben")

    with pytest.raises(StateLockedError, match="nothing was written"):
        opened(tmp_path).update(FIRST, suspended)
    (record,) = opened(tmp_path).snapshot().records
    assert (record.user, record.task) == ("ana", "theirs" if minutes > 5 else None)


def test_a_process_that_was_held_up_over_an_old_claim_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It read the released claim 1; before it went on, others made claim 2, removed claim 1, and made claim 3."""
    claims = Claims(tmp_path / "lock")
    released = claims.make()
    claims.release(released)
    held_up, is_over = Claims(tmp_path / "lock"), Claims._is_over

    def meanwhile(self: Claims, claim: Path) -> bool:
        answer = is_over(self, claim)
        if self is held_up:
            claims.release(claims.make())
            claims.make()
        return answer

    monkeypatch.setattr(Claims, "_is_over", meanwhile)
    with pytest.raises(BlockingIOError):
        held_up.make()
    assert [path.name for path in tmp_path.iterdir()] == ["lock.claim.3"]
