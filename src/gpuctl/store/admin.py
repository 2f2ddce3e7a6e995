"""What the owner of a state does with all of it: describe it, create it, move it elsewhere."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from gpuctl.domain.instance import Instance
from gpuctl.store.kind import StateKind
from gpuctl.store.reaper import ReapTimes

# Commands that only read records load no pools.
if TYPE_CHECKING:
    from gpuctl.domain.pools.events import PoolEvent
    from gpuctl.domain.pools.spec import Pool


@dataclass(frozen=True, slots=True)
class Description:
    """A state as it is now. `state_id` is None where none exists yet. `is_claimed`: its ID was chosen or used.

    `records` and `archived` are numbers of records. `moved_to` is where it went, `incoming_from` where a move that has
    not finished reads.
    """

    location: str
    state_id: str | None
    kind: StateKind
    format: int
    serial: int
    records: int
    archived: int
    is_claimed: bool = True
    moved_to: str | None = None
    incoming_from: str | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """Everything of a state that a move copies, but for the archive."""

    state_id: str
    serial: int
    is_restored: bool
    counts_from: datetime | None
    records: Sequence[Instance]
    times: ReapTimes
    pools: "Mapping[str, Pool]"
    pool_events: "Mapping[str, Sequence[PoolEvent]]"


class StateAdmin(Protocol):
    """The administration of one state. Every method raises what the methods of `RecordStore` raise."""

    @property
    def script(self) -> str | None:
        """What an administrator of the engine runs, for people whose rights end there; None where nothing is needed."""
        ...

    def describe(self) -> Description:
        """The state, also one that was moved or is being filled."""
        ...

    def create(self) -> Description:
        """Create the state with whatever it needs on its engine. Twice is harmless."""
        ...

    def content(self) -> Content:
        """Everything but the archive, also of a state that was moved or is being filled."""
        ...

    def archive(self) -> Iterable[Instance]:
        """Every archived record, also of a state that was moved or is being filled."""
        ...

    def begin_filling(self, state_id: str, source: str, serial: int) -> None:
        """Make it the state of that ID, which nobody can use until `finish_filling`. Twice is harmless.

        StateLockedError if it was written since that serial; nothing is changed then.
        """
        ...

    def fill(self, content: Content | None, archived: Sequence[Instance], leaving: Sequence[str] = ()) -> None:
        """Put this content in the place of what is there, and these records into the archive; `leaving` leave it.

        StateUnusableError if the state is not being filled.
        """
        ...

    def finish_filling(self, content: Content) -> None:
        """From now on the state can be used, as newer than that content. Twice is harmless."""
        ...

    def mark_moved(self, to: str, serial: int) -> bool:
        """From now on nothing can be written, and everybody learns where the state is; False if it was written since
        that serial."""
        ...
