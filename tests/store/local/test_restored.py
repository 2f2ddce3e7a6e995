"""A state that was put back: it is known as such, and is rebuilt without losing what stood in its place."""

import shutil
from pathlib import Path

import pytest
from support.clock import FakeClock
from support.instances import an_instance

from gpuctl.errors import StateUnusableError, UsageError
from gpuctl.store.base import StateKind
from gpuctl.store.local.store import LocalStore

ONE, TWO = "inst-000000000001", "inst-000000000002"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


@pytest.fixture
def store(path: Path) -> LocalStore:
    opened = LocalStore(path, kind=StateKind.REAL, clock=FakeClock())
    opened.add([an_instance(ONE)], lambda present: None)
    return opened


def grow(store: LocalStore) -> None:
    store.add([an_instance(TWO)], lambda present: None)


def test_an_older_file_restored_by_hand_is_known_as_restored(store: LocalStore, path: Path) -> None:
    shutil.copy(path, path.with_name("older"))
    grow(store)
    assert not store.snapshot().is_restored
    shutil.copy(path.with_name("older"), path)
    assert store.snapshot().is_restored


def test_it_stays_restored_through_every_write_until_that_is_accepted(store: LocalStore, path: Path) -> None:
    shutil.copy(path, path.with_name("older"))
    grow(store)
    shutil.copy(path.with_name("older"), path)
    store.update(ONE, lambda record: record.with_fields(user="ben"))
    assert store.snapshot().is_restored
    store.accept_restored()
    assert not store.snapshot().is_restored
    assert store.snapshot().records[0].user == "ben"


def test_a_present_file_is_not_restored_though_its_lock_file_is_lost(store: LocalStore, path: Path) -> None:
    path.with_name("state.json.lock").unlink()
    grow(store)
    assert not store.snapshot().is_restored


def test_rebuilding_keeps_what_stood_there_and_its_id(store: LocalStore, path: Path) -> None:
    state_id, damage = store.state_id, b"{" + path.read_bytes()
    path.write_bytes(damage)
    aside = store.rebuild(state_id or "", [an_instance(TWO)])
    assert Path(aside or "").read_bytes() == damage
    snapshot = store.snapshot()
    assert (snapshot.state_id, snapshot.is_restored) == (state_id, True)
    assert [record.id for record in snapshot.records] == [TWO]


def test_a_lost_file_is_rebuilt_with_nothing_to_set_aside(store: LocalStore, path: Path) -> None:
    path.unlink()
    assert store.rebuild(store.state_id or "", []) is None
    assert store.snapshot().is_restored


def test_what_can_be_used_is_never_replaced(store: LocalStore, path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(UsageError):
        store.rebuild("another-state", [])
    assert path.read_bytes() == before


def test_a_state_of_a_newer_gpuctl_is_never_replaced(store: LocalStore, path: Path) -> None:
    newer = path.read_bytes().replace(b'"format":1', b'"format":9')
    path.write_bytes(newer)
    with pytest.raises(StateUnusableError, match="newer gpuctl"):
        store.rebuild(store.state_id or "", [])
    assert path.read_bytes() == newer


def test_a_backup_is_read_as_strictly_as_a_state(store: LocalStore, path: Path) -> None:
    copy = shutil.copy(path, path.with_name("copy"))
    assert [record.id for record in store.backup(copy).records] == [ONE]
    Path(copy).write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StateUnusableError, match="cannot be used"):
        store.backup(copy)
    with pytest.raises(StateUnusableError, match="No such file"):
        store.backup(str(path.with_name("nowhere")))


def test_a_backup_of_the_sandbox_is_no_backup_of_the_real_world(store: LocalStore, path: Path) -> None:
    other = LocalStore(path, kind=StateKind.SANDBOX, clock=FakeClock())
    with pytest.raises(StateUnusableError, match="belongs to real accounts"):
        other.backup(str(path))
