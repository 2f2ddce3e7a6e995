"""What the pools of every store must do; each implementation runs all of it."""

from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from support.instances import NOON
from support.pools import a_leased_member, a_pool

from gpuctl.domain.instance import Instance
from gpuctl.domain.membership import CleanUp
from gpuctl.domain.pools.events import PoolEvent, PoolEventName
from gpuctl.domain.pools.leasing import BeingCleaned, Dirty, being_cleaned
from gpuctl.domain.pools.spec import Pool, PoolStatus, Reuse
from gpuctl.errors import StateUnusableError, UsageError
from gpuctl.store.base import State

MINUTE = timedelta(minutes=1)


def an_event(at_minute: float, **facts: object) -> PoolEvent:
    return PoolEvent(at=NOON + at_minute * MINUTE, **{"event": PoolEventName.LEASED, **facts})  # type: ignore[arg-type]


class PoolStoreContract(ABC):
    """Subclass it, say how a process opens the state at a place, and every test runs against its pools."""

    @abstractmethod
    def open(self, folder: Path) -> State: ...

    @pytest.fixture
    def state(self, tmp_path: Path) -> State:
        return self.open(tmp_path)

    def test_there_is_no_pool_at_first(self, state: State) -> None:
        assert state.pools.read() == {}

    def test_a_pool_is_read_by_every_process_as_it_was_written(self, state: State, tmp_path: Path) -> None:
        pool = a_pool(max_age=timedelta(hours=3), queue="cmd:echo 3", updated_at=NOON + timedelta(microseconds=1))
        assert state.pools.change("train", lambda present: pool) == pool
        assert self.open(tmp_path).pools.read() == {"train": pool}

    def test_the_first_pool_creates_the_state(self, state: State, tmp_path: Path) -> None:
        state.pools.change("train", lambda present: a_pool())
        state_id = self.open(tmp_path).records.snapshot().state_id
        assert state_id is not None
        assert self.open(tmp_path).records.state_id == state_id

    def test_a_change_gets_the_pool_as_it_is_now(self, state: State, tmp_path: Path) -> None:
        state.pools.change("train", lambda present: a_pool())
        self.open(tmp_path).pools.change("train", lambda present: a_pool(max=3))
        calls: list[Pool | None] = []

        def pause(present: Pool | None) -> Pool | None:
            calls.append(present)
            return present and present.with_fields(status=PoolStatus.PAUSED)

        paused = state.pools.change("train", pause)
        assert calls[-1] == a_pool(max=3)
        assert paused == a_pool(max=3, status=PoolStatus.PAUSED)

    def test_a_change_that_raises_writes_nothing(self, state: State) -> None:
        def refuse(present: Pool | None) -> Pool | None:
            raise UsageError("no")

        state.pools.change("train", lambda present: a_pool())
        with pytest.raises(UsageError, match="no"):
            state.pools.change("train", refuse)
        assert state.pools.read() == {"train": a_pool()}

    def test_a_change_that_returns_none_deletes_the_pool_and_no_other(self, state: State) -> None:
        for name in ("train", "test"):
            state.pools.change(name, lambda present, name=name: a_pool(name))  # type: ignore[misc]
        assert state.pools.change("train", lambda present: None) is None
        assert state.pools.read() == {"test": a_pool("test")}
        assert state.pools.change("train", lambda present: None) is None

    def test_records_and_pools_do_not_disturb_each_other(self, state: State) -> None:
        from support.instances import an_instance

        state.records.add([an_instance()], lambda present: None)
        state.pools.change("train", lambda present: a_pool())
        state.records.update(an_instance().id, lambda record: record.with_fields(task="t"))
        assert [record.task for record in state.records.snapshot().records] == ["t"]
        assert state.pools.read() == {"train": a_pool()}

    def test_one_release_at_a_time_cleans_an_instance(self, state: State, tmp_path: Path) -> None:
        leased, pool = a_leased_member(), a_pool(reuse=Reuse.ANY, on_release="rm -rf work")
        state.records.add([leased], lambda present: None)

        def mark(by: str, now: datetime) -> Instance:
            clean_up = CleanUp(by=by, until=now + MINUTE)
            change = partial(being_cleaned, pool=pool, lease_id="lease-000000000001", clean_up=clean_up, now=now)
            return self.open(tmp_path).records.update(leased.id, change)

        marked = mark("one", NOON)
        assert self.open(tmp_path).records.snapshot().records == (marked,)
        with pytest.raises(BeingCleaned) as busy:
            mark("two", NOON)
        assert busy.value.until == NOON + MINUTE
        with pytest.raises(Dirty):
            mark("two", NOON + MINUTE)

    def test_a_history_is_ordered_by_time_and_read_from_an_instant_on(self, state: State, tmp_path: Path) -> None:
        state.pools.append("train", [an_event(5, lease="lease-b", figures={"price": 1.5})])
        self.open(tmp_path).pools.append("train", [an_event(1, lease="lease-a"), an_event(9, waiting=3)])
        state.pools.append("test", [an_event(2)])
        every = state.pools.history("train", NOON)
        assert [(event.lease, event.waiting) for event in every] == [("lease-a", None), ("lease-b", None), (None, 3)]
        assert every[1] == an_event(5, lease="lease-b", figures={"price": 1.5})
        assert [event.at for event in state.pools.history("train", NOON + 5 * MINUTE)] == [
            NOON + 5 * MINUTE,
            NOON + 9 * MINUTE,
        ]

    def test_a_history_spans_months_and_old_entries_are_forgotten(self, state: State) -> None:
        days = [an_event(day * 24 * 60) for day in (0, 40, 100)]
        for day in days:
            state.pools.append("train", [day])
        assert list(state.pools.history("train", NOON)) == days
        state.pools.forget(NOON + timedelta(days=39))
        remaining = state.pools.history("train", NOON + timedelta(days=39))
        assert list(remaining) == days[1:]
        state.pools.forget(NOON + timedelta(days=39))
        state.pools.forget(NOON + timedelta(days=400))
        assert list(state.pools.history("train", NOON + timedelta(days=200))) == []

    def test_the_history_of_an_unknown_pool_is_empty(self, state: State) -> None:
        assert list(state.pools.history("nobody", NOON)) == []


class MovablePoolStoreContract(PoolStoreContract):
    """What holds besides for a state that can be moved to another store."""

    def test_a_change_counts_as_a_write_of_the_state_so_that_a_move_copies_it(self, state: State) -> None:
        state.pools.change("train", lambda present: a_pool())
        before = state.records.snapshot().serial
        state.pools.change("train", lambda present: a_pool(max=3))
        assert not state.admin.mark_moved("elsewhere", before)
        assert state.admin.mark_moved("elsewhere", state.records.snapshot().serial)
        with pytest.raises(StateUnusableError, match="was moved to `elsewhere`"):
            state.pools.change("train", lambda present: a_pool(max=4))
        assert state.pools.read() == {"train": a_pool(max=3)}
