"""The fine print of the store on this computer: what is not made, what is not touched, and what is said."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from contracts.records import ONE, TWO, anyone
from store.local.test_crashes import FailingDisk
from store.local.test_store import opened
from support.clock import FakeClock
from support.instances import NOON, a_ready_instance, an_instance

from gpuctl.domain.instance import Instance, Status
from gpuctl.errors import GpuctlError, NotFoundError, StateUnusableError, UsageError
from gpuctl.files import Disk
from gpuctl.store.base import Snapshot, StateKind
from gpuctl.store.local.backups import list_backups
from gpuctl.store.local.format import FileHeader
from gpuctl.store.local.lock import Lock
from gpuctl.store.local.tinydb import StateStorage


def ended(record_id: str, **facts: Any) -> Instance:
    return a_ready_instance(record_id, status=Status.TERMINATED, **facts)


# what is not made


def test_without_a_state_reading_and_changing_create_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path / "never")
    assert store.snapshot() == Snapshot(None, 0, ())
    assert list(store.archived()) == []
    assert isinstance(store.update_each([ONE], lambda record: record)[ONE], NotFoundError)
    assert store.archive(NOON) == 0
    assert list(tmp_path.iterdir()) == []


def test_where_no_state_is_nothing_is_made_in_its_folder_either(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.update_each([ONE], lambda record: record)
    store.archive(NOON)
    assert list(tmp_path.iterdir()) == []


def test_changing_no_record_waits_for_no_lock(tmp_path: Path) -> None:
    opened(tmp_path).add([an_instance(ONE)], anyone)
    with Lock(tmp_path / "state.json.lock", FakeClock()).hold():
        assert opened(tmp_path).update_each([], lambda record: record) == {}


def test_a_transaction_that_changed_nothing_writes_nothing_and_says_so(tmp_path: Path) -> None:
    folder, header = tmp_path / "state.json", FileHeader("a-state-id", StateKind.REAL, 0)
    storage = StateStorage({})
    assert storage.commit(folder, header, Disk(), NOON, lambda: None) is False
    assert list(tmp_path.iterdir()) == []
    storage.write({})
    assert storage.commit(folder, header, Disk(), NOON, lambda: None) is True
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_an_archive_is_made_when_there_is_something_for_it(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.add([an_instance(ONE)], anyone)
    assert store.archive(NOON + timedelta(days=1)) == 0
    assert not (tmp_path / "state.json.archive").exists()


# what is archived, swept and closed


def test_what_ended_at_that_very_moment_is_not_archived_yet(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.add([ended(ONE, terminated_at=NOON)], anyone)
    assert store.archive(NOON) == 0
    assert store.archive(NOON + timedelta(microseconds=1)) == 1


def test_an_end_without_a_date_counts_from_the_last_change(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.add([ended(ONE, updated_at=NOON)], anyone)
    assert (store.archive(NOON), store.archive(NOON + timedelta(hours=1))) == (0, 1)


def test_a_leftover_is_stale_when_it_is_older_than_an_hour(tmp_path: Path) -> None:
    store = opened(tmp_path)
    hour_old, older = tmp_path / ".state.json.1.aaaa.tmp", tmp_path / ".state.json.2.bbbb.tmp"
    for path, seconds in ((hour_old, 3600), (older, 3601)):
        path.touch()
        os.utime(path, (NOON.timestamp() - seconds,) * 2)
    store.add([an_instance(ONE)], anyone)
    assert (hour_old.exists(), older.exists()) == (True, False)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o601])
def test_a_state_that_other_users_can_read_is_made_private_on_reading(tmp_path: Path, mode: int) -> None:
    opened(tmp_path).add([an_instance(ONE)], anyone)
    (tmp_path / "state.json").chmod(mode)
    opened(tmp_path).snapshot()
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


def test_reading_a_closed_state_changes_not_even_its_mode(tmp_path: Path) -> None:
    opened(tmp_path).add([an_instance(ONE)], anyone)
    (tmp_path / "state.json").chmod(0o400)
    opened(tmp_path).snapshot()
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o400


# births


def test_the_id_is_written_down_and_synced_before_the_state_that_has_it(tmp_path: Path) -> None:
    synced: list[Path] = []

    class BrokenDisk(FailingDisk):
        def sync_folder(self, folder: Path) -> None:
            synced.append(folder)
            super().sync_folder(folder)

    with pytest.raises(StateUnusableError):
        opened(tmp_path, disk=BrokenDisk(0)).add([an_instance(ONE)], anyone)
    remembered = Lock(tmp_path / "state.json.lock", FakeClock()).remembered()
    assert remembered is not None and not remembered.is_created
    assert synced == [tmp_path]
    assert opened(tmp_path).add([an_instance(ONE)], anyone).state_id == remembered.state_id


def test_the_lock_file_is_written_when_the_state_is_created_and_not_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    remembered: list[bool] = []
    remember = Lock.remember
    monkeypatch.setattr(
        Lock, "remember", staticmethod(lambda lock, state: remembered.append(state.is_created) or remember(lock, state))
    )
    store.add([an_instance(ONE)], anyone)
    store.add([an_instance(TWO)], anyone)
    assert remembered == [False, True]


# what is said


def test_a_store_names_its_location(tmp_path: Path) -> None:
    assert opened(tmp_path).location == str(tmp_path / "state.json")


def hint_of(kind: type[GpuctlError], use: Callable[[], object]) -> str:
    with pytest.raises(kind) as caught:
        use()
    return caught.value.hint or ""


def test_every_refusal_says_what_to_do(tmp_path: Path) -> None:
    real, sandbox = tmp_path / "real", tmp_path / "sandbox"
    opened(real).add([an_instance(ONE)], anyone)
    opened(sandbox, kind=StateKind.SANDBOX).add([], anyone)
    assert hint_of(StateUnusableError, opened(real, kind=StateKind.SANDBOX).snapshot) == "leave out `--sandbox`"
    assert hint_of(StateUnusableError, opened(sandbox).snapshot) == "add `--sandbox`"
    assert "another `--state`" in hint_of(StateUnusableError, opened(real, new_state_id="another-id").snapshot)
    assert "GPUCTL_STATE_ID" in hint_of(UsageError, lambda: opened(real, new_state_id="X"))
    assert hint_of(NotFoundError, lambda: opened(real).update(TWO, lambda record: record)) == "gpuctl list --all"
    (sandbox / "state.json").unlink()
    missing = hint_of(StateUnusableError, opened(sandbox, kind=StateKind.SANDBOX).snapshot)
    assert missing == "gpuctl recover; there is no backup"
    newer = (real / "state.json").read_bytes().replace(b'"format":1', b'"format":2')
    (real / "state.json").write_bytes(newer)
    assert "install a newer gpuctl" in hint_of(StateUnusableError, opened(real).snapshot)


def test_the_hint_of_a_damaged_state_names_its_three_newest_backups(tmp_path: Path) -> None:
    clock = FakeClock()
    store = opened(tmp_path, clock=clock)
    for number in range(6):
        store.add([an_instance(f"inst-00000000000{number}")], anyone)
        clock.move(timedelta(hours=1))
    (tmp_path / "state.json").write_bytes(b"")
    newest = list_backups(tmp_path / "state.json")[:3]
    named = f"gpuctl recover; the newest backups: {', '.join(map(str, newest))}"
    assert hint_of(StateUnusableError, store.snapshot) == named


def test_an_error_of_the_system_has_its_own_words(tmp_path: Path) -> None:
    folder = tmp_path / "state.json"
    folder.mkdir()
    with pytest.raises(StateUnusableError) as caught:
        opened(tmp_path).snapshot()
    assert caught.value.message == f"the state `{folder}` could not be read: Is a directory"
    assert caught.value.hint == f"ls -ld {tmp_path} {folder}"


def test_an_error_of_gpuctl_has_our_words(tmp_path: Path) -> None:
    class FullDisk(Disk):
        def write(self, descriptor: int, content: memoryview) -> int:
            return 0

    with pytest.raises(StateUnusableError, match="could not be written: nothing was written of"):
        opened(tmp_path, disk=FullDisk()).add([an_instance(ONE)], anyone)
