"""The tests' own store keeps the same promises, so that what holds over it holds over every other."""

from pathlib import Path

from contracts.cooldown import CooldownContract
from contracts.leases import LeaseContract
from contracts.pools import PoolStoreContract
from contracts.reaper_memory import ReaperMemoryContract
from contracts.records import RecordStoreContract
from support.clock import FakeClock
from support.stores import MemoryCooldown, MemoryLeases, MemoryStore, memory_state

from gpuctl.store.base import State, StateKind

_PLACES: dict[tuple[type, Path], object] = {}


class TestMemoryStore(RecordStoreContract):
    def open(self, folder: Path, kind: StateKind = StateKind.REAL) -> MemoryStore:
        return _PLACES.setdefault((MemoryStore, folder), MemoryStore())  # type: ignore[return-value]

    def lose(self, folder: Path) -> None:
        self.open(folder).lose()


class TestMemoryLeases(LeaseContract):
    def open(self, place: Path, clock: FakeClock) -> MemoryLeases:
        return _PLACES.setdefault((MemoryLeases, place), MemoryLeases(clock))  # type: ignore[return-value]


class TestMemoryReaper(ReaperMemoryContract):
    def open(self, place: Path, clock: FakeClock) -> State:
        return _PLACES.setdefault((State, place), memory_state(clock))  # type: ignore[return-value]


class TestMemoryCooldown(CooldownContract):
    def open(self, place: Path) -> MemoryCooldown:
        return _PLACES.setdefault((MemoryCooldown, place), MemoryCooldown())  # type: ignore[return-value]


class TestMemoryPools(PoolStoreContract):
    def open(self, place: Path) -> State:
        return _PLACES.setdefault((PoolStoreContract, place), memory_state(FakeClock()))  # type: ignore[return-value]
