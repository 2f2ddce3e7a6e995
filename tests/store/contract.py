"""What every store must do; each implementation runs all of it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from support.instances import NOON, a_ready_instance, an_instance

from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.lifecycle import advance
from gpuctl.errors import NotFoundError, UsageError
from gpuctl.store.base import Kind, Store

ONE, TWO, THREE = (f"inst-00000000000{number}" for number in (1, 2, 3))


def anyone(present: Sequence[Instance]) -> None:
    return None


def refuse(present: Sequence[Instance]) -> None:
    raise UsageError(f"there are {len(present)} already")


class StoreContract(ABC):
    """Subclass it, say how to open a store at a place, and every test below runs against that."""

    @abstractmethod
    def open(self, place: Path, kind: Kind = Kind.REAL) -> Store: ...

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return self.open(tmp_path)

    def test_a_store_that_was_never_written_is_empty_and_stays_so(self, store: Store, tmp_path: Path) -> None:
        assert store.snapshot().records == ()
        assert store.snapshot().state_id is None
        assert list(tmp_path.iterdir()) == []

    def test_a_store_reports_that_it_has_changed_a_record(self, store: Store) -> None:
        store.snapshot()
        assert not store.has_written
        store.add([an_instance(ONE)], anyone)
        assert store.has_written

    def test_what_was_added_is_there_for_everyone(self, store: Store, tmp_path: Path) -> None:
        added = store.add([an_instance(ONE), an_instance(TWO)], anyone)
        assert self.open(tmp_path).snapshot() == added
        assert [record.id for record in added.records] == [ONE, TWO]

    def test_every_fact_of_a_record_comes_back_as_it_was(self, store: Store) -> None:
        record = a_ready_instance(ONE, name="n", tags={"a": "b"}, zone="us-east-1a", absent_since=NOON)
        record = advance(record, Status.STOPPING, NOON + timedelta(microseconds=1))
        store.add([record], anyone)
        assert store.snapshot().records == (record,)

    def test_a_guard_that_refuses_leaves_nothing_behind(self, store: Store) -> None:
        store.add([an_instance(ONE)], anyone)
        with pytest.raises(UsageError, match="there are 1 already"):
            store.add([an_instance(TWO)], refuse)
        assert [record.id for record in store.snapshot().records] == [ONE]

    def test_a_guard_sees_a_change_among_all_the_records_and_can_refuse_it(self, store: Store) -> None:
        store.add([an_instance(ONE), an_instance(TWO)], anyone)
        seen: list[list[str | None]] = []

        def guard(after: Sequence[Instance]) -> None:
            seen.append([record.task for record in after])
            if len(seen) > 1:
                raise UsageError("no more")

        store.update(TWO, lambda record: record.having(task="a"), guard)
        with pytest.raises(UsageError, match="no more"):
            store.update(ONE, lambda record: record.having(task="b"), guard)
        assert seen == [[None, "a"], ["b", "a"]]
        assert [record.task for record in store.snapshot().records] == [None, "a"]

    def test_an_id_that_is_there_is_never_replaced_by_adding(self, store: Store) -> None:
        store.add([an_instance(ONE)], anyone)
        with pytest.raises(ValueError, match="exists"):
            store.add([an_instance(ONE, user="bob")], anyone)
        assert store.snapshot().records[0].user == "ana"

    def test_a_change_replaces_one_record_and_spares_the_rest(self, store: Store) -> None:
        store.add([an_instance(ONE), an_instance(TWO)], anyone)
        changed = store.update(ONE, lambda record: record.having(user="bob", name=None))
        assert changed.user == "bob"
        assert [record.user for record in store.snapshot().records] == ["bob", "ana"]

    def test_a_change_sees_the_record_as_it_is_now(self, store: Store, tmp_path: Path) -> None:
        store.add([an_instance(ONE)], anyone)
        self.open(tmp_path).update(ONE, lambda record: record.having(user="bob"))
        seen = []
        store.update(ONE, lambda record: seen.append(record.user) or record)
        assert seen == ["bob"]

    def test_a_change_that_raises_writes_nothing(self, store: Store) -> None:
        before = store.add([an_instance(ONE)], anyone)
        with pytest.raises(UsageError):
            store.update(ONE, lambda record: refuse([record]))  # type: ignore[func-returns-value]
        assert store.snapshot() == before

    def test_a_change_that_changes_nothing_writes_nothing(self, store: Store) -> None:
        before = store.add([an_instance(ONE)], anyone)
        store.update(ONE, lambda record: record)
        assert store.snapshot().serial == before.serial

    def test_a_record_that_is_not_there_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFoundError, match="^Instance not found$"):
            store.update(ONE, lambda record: record)
        store.add([an_instance(ONE)], anyone)
        with pytest.raises(NotFoundError, match="^Instance not found$"):
            store.update(TWO, lambda record: record)

    def test_many_are_changed_in_one_write_and_a_refusal_of_one_spares_the_rest(self, store: Store) -> None:
        before = store.add([an_instance(ONE), an_instance(TWO)], anyone)

        def change(record: Instance) -> Instance:
            if record.id == ONE:
                raise UsageError("not this one")
            return record.having(user="bob")

        answers = store.update_each([ONE, TWO, THREE], change)
        assert isinstance(answers[ONE], UsageError)
        assert isinstance(answers[THREE], NotFoundError)
        assert [record.user for record in store.snapshot().records] == ["ana", "bob"]
        assert store.snapshot().serial == before.serial + 1

    def test_a_bug_in_one_change_of_many_writes_nothing_at_all(self, store: Store) -> None:
        before = store.add([an_instance(ONE), an_instance(TWO)], anyone)

        def change(record: Instance) -> Instance:
            if record.id == TWO:
                raise ZeroDivisionError
            return record.having(user="bob")

        with pytest.raises(ZeroDivisionError):
            store.update_each([ONE, TWO], change)
        assert store.snapshot() == before

    def test_what_ended_long_ago_moves_to_the_archive_and_stays_readable(self, store: Store) -> None:
        old = a_ready_instance(ONE, status=Status.TERMINATED, terminated_at=NOON)
        fresh = a_ready_instance(TWO, status=Status.TERMINATED, terminated_at=NOON + timedelta(days=1))
        store.add([old, fresh, an_instance(THREE)], anyone)
        assert store.archive(NOON + timedelta(hours=1)) == 1
        assert [record.id for record in store.snapshot().records] == [TWO, THREE]
        assert list(store.archived()) == [old]
        assert store.archive(NOON + timedelta(hours=1)) == 0
        assert list(store.archived()) == [old]

    def test_what_lives_is_never_archived(self, store: Store) -> None:
        store.add([an_instance(ONE)], anyone)
        assert store.archive(NOON + timedelta(days=999)) == 0
        assert len(store.snapshot().records) == 1

    def test_a_new_store_is_not_restored_and_accepting_it_changes_nothing(self, store: Store) -> None:
        store.add([an_instance(ONE)], anyone)
        store.accept_restored()
        assert not store.snapshot().is_restored
        assert [record.id for record in store.snapshot().records] == [ONE]

    def test_what_is_rescued_waits_beside_the_state_until_it_is_forgotten(self, store: Store) -> None:
        store.rescue(a_ready_instance(ONE))
        store.rescue(a_ready_instance(ONE, user="ben"))
        assert [(record.id, record.user) for record in store.rescued()] == [(ONE, "ben")]
        assert store.snapshot().records == ()
        store.forget_rescued(ONE)
        store.forget_rescued(ONE)
        assert store.rescued() == []
