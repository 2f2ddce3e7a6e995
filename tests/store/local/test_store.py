from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from contracts.records import ONE, TWO, RecordStoreContract, anyone
from support.clock import FakeClock
from support.instances import NOON, a_ready_instance, an_instance

from gpuctl.domain.instance import Status
from gpuctl.errors import StateLockedError, StateUnusableError, UsageError
from gpuctl.store.base import StateKind
from gpuctl.store.lease import LeaseName, leased
from gpuctl.store.local import open_state
from gpuctl.store.local.backups import folder_of, list_backups
from gpuctl.store.local.lock import Lock
from gpuctl.store.local.store import LocalStore
from gpuctl.store.reaper import ReapTimes


def opened(folder: Path, **facts: object) -> LocalStore:
    return LocalStore(folder / "state.json", **({"kind": StateKind.REAL, "clock": FakeClock()} | facts))  # type: ignore[arg-type]


class TestLocalStore(RecordStoreContract):
    def lose(self, folder: Path) -> None:
        (folder / "state.json").unlink()

    def open(self, folder: Path, kind: StateKind = StateKind.REAL) -> LocalStore:
        return opened(folder, kind=kind)


def test_a_state_gets_an_id_at_birth_and_keeps_it(tmp_path: Path) -> None:
    born = opened(tmp_path).add([an_instance(ONE)], anyone)
    again = opened(tmp_path).add([an_instance(TWO)], anyone)
    assert born.state_id == again.state_id
    assert born.state_id is not None
    assert (again.serial, len(born.state_id)) == (2, 12)


def test_a_state_may_be_given_its_id_and_refuses_to_be_taken_for_another(tmp_path: Path) -> None:
    assert opened(tmp_path, new_state_id="ci-shared").add([], anyone).state_id == "ci-shared"
    with pytest.raises(StateUnusableError, match="GPUCTL_STATE_ID says `ci-another`"):
        opened(tmp_path, new_state_id="ci-another").snapshot()
    with pytest.raises(UsageError):
        opened(tmp_path, new_state_id="../x")


def test_the_two_kinds_never_mix(tmp_path: Path) -> None:
    opened(tmp_path).add([an_instance(ONE)], anyone)
    for use in (lambda store: store.snapshot(), lambda store: store.add([an_instance(TWO)], anyone)):
        with pytest.raises(StateUnusableError, match="belongs to real accounts"):
            use(opened(tmp_path, kind=StateKind.SANDBOX))


def test_a_state_that_went_missing_is_an_error_and_never_a_new_one(tmp_path: Path) -> None:
    opened(tmp_path).add([an_instance(ONE)], anyone)
    (tmp_path / "state.json").unlink()
    for use in (lambda store: store.snapshot(), lambda store: store.add([an_instance(TWO)], anyone)):
        with pytest.raises(StateUnusableError, match="is missing"):
            use(opened(tmp_path))
    assert not (tmp_path / "state.json").exists()


def test_a_birth_that_was_cut_short_can_be_done_again(tmp_path: Path) -> None:
    # Killed after the lock file got its id and before the first state was written.
    (tmp_path / "state.json.lock").write_text("unborn-state new".ljust(47) + "\n")
    assert opened(tmp_path).snapshot().records == ()
    assert opened(tmp_path).add([an_instance(ONE)], anyone).state_id == "unborn-state"


def test_a_lost_lock_file_is_made_again_from_the_state(tmp_path: Path) -> None:
    state_id = opened(tmp_path).add([an_instance(ONE)], anyone).state_id
    (tmp_path / "state.json.lock").unlink()
    opened(tmp_path).add([an_instance(TWO)], anyone)
    (tmp_path / "state.json").unlink()
    with pytest.raises(StateUnusableError, match="is missing"):
        opened(tmp_path).snapshot()
    assert (tmp_path / "state.json.lock").read_text().startswith(f"{state_id} born")


def test_a_lock_file_of_another_state_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).add([an_instance(ONE)], anyone)
    (tmp_path / "state.json.lock").write_text("another-state born".ljust(47) + "\n")
    with pytest.raises(StateUnusableError, match="its lock file says `another-state`"):
        opened(tmp_path).snapshot()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_no_other_user_can_read_any_of_it_whatever_the_umask(
    tmp_path: Path, umask: int, set_umask: Callable[[int], None]
) -> None:
    set_umask(umask)
    folder = tmp_path / "a" / "b"
    clock = FakeClock()
    store = opened(folder, clock=clock)
    store.add([a_ready_instance(ONE, status=Status.TERMINATED, terminated_at=NOON)], anyone)
    store.add([an_instance(TWO)], anyone)
    store.archive(NOON + timedelta(days=1))
    state = open_state(str(folder / "state.json"), kind=StateKind.REAL, clock=FakeClock())
    state.reaper.update(lambda times: ReapTimes())
    with leased(state.leases, LeaseName.REAP, "this", timedelta(minutes=5)):
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        folders = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert len(files) == 6
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
    assert {oct(path.stat().st_mode & 0o777) for path in folders} == {"0o700"}


def test_a_state_that_others_can_read_is_closed_to_them(tmp_path: Path) -> None:
    opened(tmp_path).add([an_instance(ONE)], anyone)
    (tmp_path / "state.json").chmod(0o644)
    opened(tmp_path).snapshot()
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


def test_a_link_to_a_state_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "state.json").symlink_to(tmp_path / "real" / "state.json")
    opened(tmp_path).add([an_instance(ONE)], anyone)
    assert (tmp_path / "state.json").is_symlink()
    assert len(opened(tmp_path / "real").snapshot().records) == 1


def test_a_lock_that_is_held_is_waited_for_and_then_named(tmp_path: Path) -> None:
    import os

    opened(tmp_path).add([an_instance(ONE)], anyone)
    clock = FakeClock()
    with (
        Lock(tmp_path / "state.json.lock", clock).hold(),
        pytest.raises(StateLockedError, match=f"process {os.getpid()}"),
    ):
        opened(tmp_path, clock=clock).add([an_instance(TWO)], anyone)
    assert timedelta(seconds=30) <= clock.now() - NOON < timedelta(seconds=31)


def test_reading_waits_for_no_lock(tmp_path: Path) -> None:
    opened(tmp_path).add([an_instance(ONE)], anyone)
    with Lock(tmp_path / "state.json.lock", FakeClock()).hold():
        assert len(opened(tmp_path).snapshot().records) == 1


def test_a_backup_is_kept_before_a_write_but_not_before_every_write(tmp_path: Path) -> None:
    clock = FakeClock()
    store = opened(tmp_path, clock=clock)
    store.add([an_instance(ONE)], anyone)
    store.update(ONE, lambda record: record.with_fields(user="bob"))
    clock.move(timedelta(minutes=9))
    store.update(ONE, lambda record: record.with_fields(user="eve"))
    assert len(list_backups(tmp_path / "state.json")) == 1
    clock.move(timedelta(minutes=1))
    store.update(ONE, lambda record: record.with_fields(user="zoe"))
    newest = list_backups(tmp_path / "state.json")[0]
    assert '"user":"eve"' in newest.read_text()


def test_backups_are_thinned_to_the_last_twelve_and_one_a_day_for_two_weeks(tmp_path: Path) -> None:
    clock = FakeClock()
    store = opened(tmp_path, clock=clock)
    store.add([an_instance(ONE)], anyone)
    for number in range(20 * 24):
        clock.move(timedelta(hours=1))
        store.update(ONE, lambda item, number=number: item.with_fields(user=f"u{number}"))
    every = list_backups(tmp_path / "state.json")
    assert len(every) == 12 + 14
    assert len({path.name[:8] for path in every}) == 15


def test_a_backup_that_cannot_be_made_keeps_nothing_from_being_written(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.add([an_instance(ONE)], anyone)
    folder_of(tmp_path / "state.json").write_text("in the way")
    store.update(ONE, lambda record: record.with_fields(user="bob"))
    assert store.snapshot().records[0].user == "bob"


def test_a_torn_line_in_the_archive_loses_nothing_else_and_is_reported(tmp_path: Path) -> None:
    store = opened(tmp_path)
    records = [a_ready_instance(f"inst-00000000000{n}", status=Status.TERMINATED, terminated_at=NOON) for n in range(3)]
    store.add(records[:2], anyone)
    store.archive(NOON + timedelta(days=1))
    month = tmp_path / "state.json.archive" / "2026-11.jsonl"
    month.write_bytes(month.read_bytes()[:-20])
    store.add(records[2:], anyone)
    store.archive(NOON + timedelta(days=1))
    assert {record.id for record in store.archived()} == {records[0].id, records[2].id}
    assert store.unreadable() == [f"{month}:2"]


def test_a_record_in_both_places_is_reported_once_as_the_state_has_it(tmp_path: Path) -> None:
    store = opened(tmp_path)
    old = a_ready_instance(ONE, status=Status.TERMINATED, terminated_at=NOON)
    store.add([old], anyone)
    before = (tmp_path / "state.json").read_bytes()
    store.archive(NOON + timedelta(days=1))
    # Killed after the archive was written and before the state was.
    (tmp_path / "state.json").write_bytes(before)
    assert list(store.archived()) == []
    assert store.archive(NOON + timedelta(days=1)) == 1
    assert list(store.archived()) == [old]


def test_reading_the_state_never_touches_the_archive(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.add([an_instance(ONE)], anyone)
    (tmp_path / "state.json.archive").write_text("not even a folder")
    assert len(store.snapshot().records) == 1
