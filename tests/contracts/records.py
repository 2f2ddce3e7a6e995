"""What the records of every store must do; each implementation runs all of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from support.instances import NOON, a_ready_instance, an_instance

from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.lifecycle import advance
from gpuctl.errors import NotFoundError, StateFault, StateUnusableError, UsageError
from gpuctl.store.base import RecordStore, StateKind

ONE, TWO, THREE = (f"inst-00000000000{number}" for number in (1, 2, 3))


def anyone(present: Sequence[Instance]) -> None:
    return None


def refuse(present: Sequence[Instance]) -> None:
    raise UsageError(f"there are {len(present)} already")


class RecordStoreContract(ABC):
    """Subclass it, say how to open a store at a place, and every test below runs against that."""

    @abstractmethod
    def open(self, folder: Path, kind: StateKind = StateKind.REAL) -> RecordStore: ...

    @abstractmethod
    def lose(self, folder: Path) -> None:
        """Delete the records of the state there, as a user or a broken disk does."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> RecordStore:
        return self.open(tmp_path)

    def test_a_store_that_was_never_written_is_empty_and_stays_so(self, store: RecordStore, tmp_path: Path) -> None:
        assert store.snapshot().records == ()
        assert store.snapshot().state_id is None
        assert list(tmp_path.iterdir()) == []

    def test_a_store_reports_that_it_has_changed_a_record(self, store: RecordStore) -> None:
        store.snapshot()
        assert not store.has_written
        store.add([an_instance(ONE)], anyone)
        assert store.has_written

    def test_what_was_added_is_there_for_everyone(self, store: RecordStore, tmp_path: Path) -> None:
        added = store.add([an_instance(ONE), an_instance(TWO)], anyone)
        assert self.open(tmp_path).snapshot() == added
        assert [record.id for record in added.records] == [ONE, TWO]

    def test_every_fact_of_a_record_comes_back_as_it_was(self, store: RecordStore) -> None:
        record = a_ready_instance(ONE, name="n", tags={"a": "b"}, zone="us-east-1a", absent_since=NOON)
        record = advance(record, Status.STOPPING, NOON + timedelta(microseconds=1))
        store.add([record], anyone)
        assert store.snapshot().records == (record,)

    def test_a_guard_that_refuses_leaves_nothing_behind(self, store: RecordStore) -> None:
        store.add([an_instance(ONE)], anyone)
        with pytest.raises(UsageError, match="there are 1 already"):
            store.add([an_instance(TWO)], refuse)
        assert [record.id for record in store.snapshot().records] == [ONE]

    def test_a_guard_sees_a_change_among_all_the_records_and_can_refuse_it(self, store: RecordStore) -> None:
        store.add([an_instance(ONE), an_instance(TWO)], anyone)
        calls: list[list[str | None]] = []

        def guard(after: Sequence[Instance]) -> None:
            calls.append([record.task for record in after])
            if len(calls) > 1:
                raise UsageError("no more")

        store.update(TWO, lambda record: record.with_fields(task="a"), guard)
        with pytest.raises(UsageError, match="no more"):
            store.update(ONE, lambda record: record.with_fields(task="b"), guard)
        assert calls == [[None, "a"], ["b", "a"]]
        assert [record.task for record in store.snapshot().records] == [None, "a"]

    def test_an_id_that_is_there_is_never_replaced_by_adding(self, store: RecordStore) -> None:
        store.add([an_instance(ONE)], anyone)
        with pytest.raises(ValueError, match="exists"):
            store.add([an_instance(ONE, user="bob")], anyone)
        assert store.snapshot().records[0].user == "ana"

    def test_a_change_replaces_one_record_and_spares_the_rest(self, store: RecordStore) -> None:
        store.add([an_instance(ONE), an_instance(TWO)], anyone)
        changed = store.update(ONE, lambda record: record.with_fields(user="bob", name=None))
        assert changed.user == "bob"
        assert [record.user for record in store.snapshot().records] == ["bob", "ana"]

    def test_a_change_sees_the_record_as_it_is_now(self, store: RecordStore, tmp_path: Path) -> None:
        store.add([an_instance(ONE)], anyone)
        self.open(tmp_path).update(ONE, lambda record: record.with_fields(user="bob"))
        calls = []
        store.update(ONE, lambda record: calls.append(record.user) or record)
        assert calls == ["bob"]

    def test_a_change_that_raises_writes_nothing(self, store: RecordStore) -> None:
        before = store.add([an_instance(ONE)], anyone)
        with pytest.raises(UsageError):
            store.update(ONE, lambda record: refuse([record]))  # type: ignore[func-returns-value]
        assert store.snapshot() == before

    def test_a_change_that_changes_nothing_writes_nothing(self, store: RecordStore) -> None:
        before = store.add([an_instance(ONE)], anyone)
        store.update(ONE, lambda record: record)
        assert store.snapshot().serial == before.serial

    def test_a_record_that_is_not_there_is_not_found(self, store: RecordStore) -> None:
        with pytest.raises(NotFoundError, match="^Instance not found$"):
            store.update(ONE, lambda record: record)
        store.add([an_instance(ONE)], anyone)
        with pytest.raises(NotFoundError, match="^Instance not found$"):
            store.update(TWO, lambda record: record)

    def test_many_are_changed_in_one_write_and_a_refusal_of_one_spares_the_rest(self, store: RecordStore) -> None:
        before = store.add([an_instance(ONE), an_instance(TWO)], anyone)

        def change(record: Instance) -> Instance:
            if record.id == ONE:
                raise UsageError("not this one")
            return record.with_fields(user="bob")

        answers = store.update_each([ONE, TWO, THREE], change)
        assert isinstance(answers[ONE], UsageError)
        assert isinstance(answers[THREE], NotFoundError)
        assert [record.user for record in store.snapshot().records] == ["ana", "bob"]
        assert store.snapshot().serial == before.serial + 1

    def test_a_bug_in_one_change_of_many_writes_nothing_at_all(self, store: RecordStore) -> None:
        before = store.add([an_instance(ONE), an_instance(TWO)], anyone)

        def change(record: Instance) -> Instance:
            if record.id == TWO:
                raise ZeroDivisionError
            return record.with_fields(user="bob")

        with pytest.raises(ZeroDivisionError):
            store.update_each([ONE, TWO], change)
        assert store.snapshot() == before

    def test_what_ended_long_ago_moves_to_the_archive_and_stays_readable(self, store: RecordStore) -> None:
        old = a_ready_instance(ONE, status=Status.TERMINATED, terminated_at=NOON)
        fresh = a_ready_instance(TWO, status=Status.TERMINATED, terminated_at=NOON + timedelta(days=1))
        store.add([old, fresh, an_instance(THREE)], anyone)
        assert store.archive(NOON + timedelta(hours=1)) == 1
        assert [record.id for record in store.snapshot().records] == [TWO, THREE]
        assert list(store.archived()) == [old]
        assert store.archive(NOON + timedelta(hours=1)) == 0
        assert list(store.archived()) == [old]

    def test_active_records_are_never_archived(self, store: RecordStore) -> None:
        store.add([an_instance(ONE)], anyone)
        assert store.archive(NOON + timedelta(days=999)) == 0
        assert len(store.snapshot().records) == 1

    def test_a_new_store_is_not_restored_and_accepting_it_changes_nothing(self, store: RecordStore) -> None:
        store.add([an_instance(ONE)], anyone)
        store.accept_restored()
        assert not store.snapshot().is_restored
        assert [record.id for record in store.snapshot().records] == [ONE]

    def test_a_record_of_the_archive_is_found_by_its_name_and_by_the_beginning_of_its_id(
        self, store: RecordStore
    ) -> None:
        old = [
            a_ready_instance(ONE, name="big", status=Status.TERMINATED, terminated_at=NOON),
            a_ready_instance(TWO, name="bigger", status=Status.TERMINATED, terminated_at=NOON),
        ]
        store.add([*old, an_instance(THREE, name="big")], anyone)
        store.archive(NOON + timedelta(hours=1))
        assert list(store.find_archived("big")) == [old[0]]
        assert list(store.find_archived(TWO)) == [old[1]]
        assert sorted(record.id for record in store.find_archived("inst-0000")) == [ONE, TWO]
        assert list(store.find_archived("ana")) == []
        assert list(store.find_archived(THREE)) == []
        assert store.unreadable() == []

    def test_records_that_were_handed_over_are_gone_from_the_archive_and_counted_from_then(
        self, store: RecordStore
    ) -> None:
        old = a_ready_instance(ONE, status=Status.TERMINATED, terminated_at=NOON)
        store.add([old], anyone)
        store.archive(NOON + timedelta(hours=1))
        assert store.counts_from() is None
        with pytest.raises(UsageError):
            store.hand_over(NOON + timedelta(hours=1), lambda records: refuse(records))
        assert list(store.archived()) == [old]
        assert store.hand_over(NOON + timedelta(hours=1), anyone) == 1
        assert list(store.archived()) == []
        assert store.counts_from() == NOON + timedelta(hours=1)

    def test_the_id_is_known_from_the_first_write_on_also_to_other_processes(
        self, store: RecordStore, tmp_path: Path
    ) -> None:
        assert store.state_id is None
        added = store.add([], anyone)
        assert added.state_id is not None
        assert (store.state_id, self.open(tmp_path).state_id) == (added.state_id, added.state_id)

    def test_the_serial_grows_with_every_write(self, store: RecordStore) -> None:
        serials = [store.add([an_instance(ONE)], anyone).serial]
        store.update(ONE, lambda record: record.with_fields(user="bob"))
        serials.append(store.snapshot().serial)
        serials.append(store.add([an_instance(TWO)], anyone).serial)
        assert serials == sorted(set(serials))

    def test_a_state_that_was_lost_is_an_error_and_never_an_empty_one(self, store: RecordStore, tmp_path: Path) -> None:
        state_id = store.add([an_instance(ONE)], anyone).state_id
        self.lose(tmp_path)
        calls: list[Callable[[RecordStore], object]] = [
            lambda store: store.snapshot(),
            lambda store: store.add([an_instance(TWO)], anyone),
            lambda store: store.update(ONE, lambda record: record),
            lambda store: store.update_each([ONE], lambda record: record),
            lambda store: store.archive(NOON),
            lambda store: list(store.archived()),
            lambda store: store.find_archived(ONE),
            lambda store: store.accept_restored(),
        ]
        for call in calls:
            with pytest.raises(StateUnusableError) as lost:
                call(self.open(tmp_path))
            assert lost.value.fault is StateFault.MISSING
        assert self.open(tmp_path).state_id == state_id

    def test_a_lost_state_is_rebuilt_as_restored_until_that_is_accepted(
        self, store: RecordStore, tmp_path: Path
    ) -> None:
        before = store.add([an_instance(ONE)], anyone)
        self.lose(tmp_path)
        assert store.rebuild(before.state_id or "", [an_instance(TWO)]) is None
        after = self.open(tmp_path).snapshot()
        assert ([record.id for record in after.records], after.state_id) == ([TWO], before.state_id)
        assert (after.is_restored, after.serial > before.serial) == (True, True)
        store.accept_restored()
        assert not self.open(tmp_path).snapshot().is_restored

    def test_a_state_that_can_be_used_is_never_rebuilt(self, store: RecordStore) -> None:
        before = store.add([an_instance(ONE)], anyone)
        with pytest.raises(UsageError, match="usable"):
            store.rebuild("another-state", [])
        assert store.snapshot() == before
