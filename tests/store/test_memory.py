from pathlib import Path

from store.contract import StoreContract
from support.stores import MemoryStore

from gpuctl.store.base import Kind

_PLACES: dict[Path, MemoryStore] = {}


class TestMemoryStore(StoreContract):
    """The tests' own store keeps the same promises, so that what holds over it holds over the real one."""

    def open(self, place: Path, kind: Kind = Kind.REAL) -> MemoryStore:
        return _PLACES.setdefault(place, MemoryStore())
