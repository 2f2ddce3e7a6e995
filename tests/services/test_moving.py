"""Moving a state: whole, checked, and after a crash at any point run again."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.clock import FakeClock
from support.instances import NOON, an_instance
from support.pools import THREE_IDS, a_pool, filled

from gpuctl.domain.instance import Instance
from gpuctl.errors import GpuctlError, StateFault, StateUnusableError
from gpuctl.services.moving import move
from gpuctl.store.base import State
from gpuctl.store.kind import StateKind
from gpuctl.store.local import open_state

ONE, TWO, THREE = THREE_IDS


class Crash(BaseException):
    """The process ends here."""


class Crashing:
    """An administration that crashes before or after the n-th call that writes."""

    WRITING = ("begin_filling", "fill", "finish_filling", "mark_moved")

    def __init__(self, inner: object, budget: list[int], *, after: bool) -> None:
        self._inner, self._budget, self._after = inner, budget, after

    def __getattr__(self, name: str) -> Callable[..., object]:
        method: Callable[..., object] = getattr(self._inner, name)
        if name not in self.WRITING:
            return method

        def call(*arguments: object) -> object:
            self._budget[0] -= 1
            if self._budget[0] == 0 and not self._after:
                raise Crash
            result = method(*arguments)
            if self._budget[0] == 0:
                raise Crash
            return result

        return call


def opened(path: Path) -> State:
    return open_state(str(path), kind=StateKind.REAL, clock=FakeClock())


@pytest.fixture
def source(tmp_path: Path) -> State:
    return filled(opened(tmp_path / "source.json"))


def records(state: State) -> tuple[list[Instance], list[Instance]]:
    return list(state.records.snapshot().records), list(state.records.archived())


def test_a_move_copies_everything_and_the_old_state_refuses_writes_and_names_the_new_one(
    source: State, tmp_path: Path
) -> None:
    before, snapshot = records(source), source.records.snapshot()
    target = opened(tmp_path / "target.json")
    moved = move(source, target)
    assert (moved.records, moved.archived) == (2, 1)
    assert records(target) == before
    after = target.records.snapshot()
    assert (after.state_id, after.is_restored, after.serial > snapshot.serial) == (snapshot.state_id, False, True)
    assert target.reaper.read().last_reap_at == NOON
    assert target.pools.read() == {"train": a_pool()}
    assert len(target.pools.history("train", NOON)) == 2
    with pytest.raises(StateUnusableError, match=r"moved to .*target\.json") as refused:
        source.records.update(TWO, lambda record: record.with_fields(user="bob"))
    assert refused.value.fault is StateFault.MOVED
    target.records.update(TWO, lambda record: record.with_fields(user="bob"))


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(1, 6))
def test_a_move_that_crashed_anywhere_loses_nothing_and_is_completed_by_the_next_run(
    source: State, tmp_path: Path, step: int, after: bool
) -> None:
    before = records(source)
    target, budget = opened(tmp_path / "target.json"), [step]
    crashing = [replace(state, admin=Crashing(state.admin, budget, after=after)) for state in (source, target)]
    with pytest.raises(Crash):
        move(*crashing)
    usable = 0
    for state in (opened(tmp_path / "source.json"), opened(tmp_path / "target.json")):
        # A target that was not reached yet has no such record.
        with suppress(GpuctlError):
            state.records.update(TWO, lambda record: record.with_fields(task="written"))
            usable += 1
    assert usable <= 1
    move(opened(tmp_path / "source.json"), opened(tmp_path / "target.json"))
    after_move = records(opened(tmp_path / "target.json"))
    task = "written" if usable else None
    expected = [record.with_fields(task=task) if record.id == TWO else record for record in before[0]]
    assert (after_move[0], after_move[1]) == (expected, before[1])


def test_what_is_written_during_a_move_is_moved_too(source: State, tmp_path: Path) -> None:
    target = opened(tmp_path / "target.json")

    class Busy:
        written = False

        def __getattr__(self, name: str) -> object:
            return getattr(source.admin, name)

        def mark_moved(self, to: str, serial: int) -> bool:
            if not self.written:
                self.written = True
                source.records.update(TWO, lambda record: record.with_fields(user="bob"))
            return source.admin.mark_moved(to, serial)

    move(replace(source, admin=Busy()), target)
    assert [record.user for record in target.records.snapshot().records] == ["bob", "ana"]


def test_nothing_moves_onto_another_state_or_onto_records(source: State, tmp_path: Path) -> None:
    other = opened(tmp_path / "other.json")
    other.records.add([an_instance(ONE)], lambda present: None)
    before = records(other)
    with pytest.raises(StateUnusableError, match="has the state") as refused:
        move(source, other)
    assert refused.value.fault is StateFault.OTHER
    assert records(other) == before
    source.records.update(TWO, lambda record: record.with_fields(user="bob"))


def test_a_state_moves_back(source: State, tmp_path: Path) -> None:
    target = opened(tmp_path / "target.json")
    move(source, target)
    target.records.update(TWO, lambda record: record.with_fields(user="bob"))
    target.records.hand_over(NOON + timedelta(days=1), lambda records: None)
    move(target, source)
    assert [record.user for record in source.records.snapshot().records] == ["bob", "ana"]
    assert list(source.records.archived()) == []
    assert source.records.counts_from() == NOON + timedelta(days=1)


def test_a_copy_that_differs_is_not_moved(source: State, tmp_path: Path) -> None:
    target = opened(tmp_path / "target.json")

    class Losing:
        def __getattr__(self, name: str) -> object:
            return getattr(target.admin, name)

        def fill(self, content: object, archived: object, leaving: object = ()) -> None:
            target.admin.fill(content, (), ())  # type: ignore[arg-type]

    with pytest.raises(StateUnusableError, match="differs"):
        move(source, replace(target, admin=Losing()))
    source.records.update(TWO, lambda record: record.with_fields(user="bob"))


def test_a_state_that_was_lost_after_its_move_is_copied_again_as_restored(source: State, tmp_path: Path) -> None:
    move(source, opened(tmp_path / "target.json"))
    for path in tmp_path.glob("target.json*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    move(source, opened(tmp_path / "target.json"))
    # Deadlines may have been moved in the copy that is lost.
    assert opened(tmp_path / "target.json").records.snapshot().is_restored
