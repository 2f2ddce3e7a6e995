"""The pools of one state as a store keeps them: a small document each, and a history that is only appended."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

# Commands that only read records load no pools.
if TYPE_CHECKING:
    from gpuctl.domain.pools.events import PoolEvent
    from gpuctl.domain.pools.spec import Pool

PoolChange = Callable[["Pool | None"], "Pool | None"]


class PoolStore(Protocol):
    """The pools of one state. Every method raises what the methods of `RecordStore` raise, and for the same reasons.

    Leases are no documents of their own: they are in the records of the instances, and change with them.
    """

    def read(self) -> "Mapping[str, Pool]":
        """Every pool by its name; empty where no state exists yet."""
        ...

    def change(self, name: str, change: PoolChange) -> "Pool | None":
        """Replace one pool by `change` of it as it is now, and return the new one. None stands for no pool.

        `change` is pure and may be called again after a lost race; what it raises is passed on, and nothing is
        written. Nor is anything where it returns its argument. Creates the state if there is none.
        """
        ...

    def append(self, name: str, entries: "Sequence[PoolEvent]") -> None:
        """Add entries to the history of a pool, whether the pool exists or not."""
        ...

    def history(self, name: str, since: datetime) -> "Sequence[PoolEvent]":
        """The entries of that pool from then on, ordered by time. Entries that cannot be read are left out."""
        ...

    def forget(self, before: datetime) -> None:
        """Remove entries older than that from every history. Some of them may stay; a second call is harmless."""
        ...
