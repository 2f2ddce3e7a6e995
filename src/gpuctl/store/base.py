"""What every store must do; services see only this, `reaper.py`, `lease.py`, `cooldown.py` and `pools.py`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from gpuctl.domain.instance import Instance
from gpuctl.errors import GpuctlError
from gpuctl.store.admin import StateAdmin
from gpuctl.store.cooldown import Cooldown
from gpuctl.store.kind import StateKind as StateKind
from gpuctl.store.lease import Leases
from gpuctl.store.pools import PoolStore
from gpuctl.store.reaper import ReaperMemory

Change = Callable[[Instance], Instance]
Guard = Callable[[Sequence[Instance]], None]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state as it was at one instant. `state_id` is None, and `records` empty, where no state exists yet.

    `serial` grows with every write. `is_restored`: the state is older than the newest one that was written, or was
    rebuilt, and no complete sweep has been merged since: deadlines may have been moved, and instances may exist that
    have no record. `moved_to`: where the state was moved to; None where it is in use.
    """

    state_id: str | None
    serial: int
    records: tuple[Instance, ...]
    is_restored: bool = False
    moved_to: str | None = None


class RecordStore(Protocol):
    """The records of one state. They survive crashes and other writers.

    Every method raises StateUnusableError where the state is missing though it existed, damaged, of a newer format or
    of the other kind, cannot be reached or cannot be written, and StateLockedError where other writers keep the store
    busy for 30 s. Whatever is raised, nothing of the call was written. No method calls a cloud. A state that was moved
    elsewhere can be read; every method that writes raises StateUnusableError.
    """

    @property
    def location(self) -> str:
        """Where the state is, for messages and hints. Contains no secret."""
        ...

    @property
    def state_id(self) -> str | None:
        """The state's ID as far as this computer knows it, also where the state is lost; None where it never existed.

        Costs less than a snapshot.
        """
        ...

    def check_writable(self) -> None:
        """Raise StateUnusableError if a first record could not be written. Changes nothing."""
        ...

    def wait_at_most(self, span: timedelta) -> None:
        """From now on wait at most that long for other writers, for a process that has little time left."""
        ...

    @property
    def has_written(self) -> bool:
        """Whether this object has changed any record."""
        ...

    def snapshot(self) -> Snapshot:
        """Every record that is active or ended lately. Sees nothing of a write that is not committed, and never waits
        for one."""
        ...

    def add(self, records: Sequence[Instance], guard: Guard) -> Snapshot:
        """Write new records in one transaction and return the state with them; creates the state if there is none.

        `guard` is called with the records before them, inside the transaction, and refuses by raising; no other write
        comes between. On return the records are durable. An ID that exists is a ValueError.
        """
        ...

    def update(self, record_id: str, change: Change, guard: Guard | None = None) -> Instance:
        """Replace one record by `change` of its present value, and return the new one.

        `guard` is called inside the transaction with all records as they would be, and refuses by raising.

        `change` is pure and may be called again after a lost race; an exception of it is passed on and nothing is
        written. NotFoundError if there is no such record (archived ones cannot be changed). A change that returns its
        argument writes nothing.
        """
        ...

    def update_each(self, record_ids: Sequence[str], change: Change) -> Mapping[str, Instance | GpuctlError]:
        """`update` for many records; a GpuctlError that `change` raises is in the result for its ID.

        Any other exception is passed on and nothing at all is written.
        """
        ...

    def archive(self, ended_before: datetime) -> int:
        """Move the records that ended before then to the archive and return how many; twice is harmless."""
        ...

    def archived(self, *, with_present: bool = False, since: datetime | None = None) -> Iterable[Instance]:
        """Every record in the archive that is not in the state (or all of them), each once.

        Unreadable records are skipped; with `since` so may be records that ended before that.
        """
        ...

    def find_archived(self, text: str) -> Sequence[Instance]:
        """The records of the archive that are not in the state, and whose name is this text or whose ID begins so."""
        ...

    def hand_over(self, ended_before: datetime, keep: Callable[[Sequence[Instance]], None]) -> int:
        """Take the records that ended before then out of the archive, once `keep` has them durably; returns how many.

        If `keep` raises, nothing was taken out. After a crash in between they may be in both places, never in neither.
        """
        ...

    def counts_from(self) -> datetime | None:
        """The instant before which ended records were taken out of the archive; None if none ever were."""
        ...

    def unreadable(self) -> Sequence[str]:
        """Where each archived record is that cannot be read, as the store names it; empty if all can."""
        ...

    def accept_restored(self) -> None:
        """Mark a restored state as complete, because a complete sweep was merged; twice is harmless."""
        ...

    def rebuild(self, state_id: str, records: Sequence[Instance]) -> str | None:
        """Put these records in the place of a state that is lost, as restored. Returns where the lost one is kept.

        UsageError if the state can be used: nothing is replaced that could still be read.
        """
        ...


class Backups(Protocol):
    """Copies of earlier states that a store makes by itself."""

    def backup(self, name: str) -> Snapshot:
        """The content of one backup. StateUnusableError where it cannot be read or is of another kind."""
        ...

    def runs_on(self, computer: str | None, on_moved: Callable[[], None]) -> None:
        """Set the ID of this computer; None where it has none.

        A state that was only written on others counts as restored, and `on_moved` is called when that is noticed: once,
        because the state remembers the computers on which it was written.
        """
        ...


@dataclass(frozen=True, slots=True)
class State:
    """One state and everything its store keeps of it. Making one neither reads nor writes.

    `admin` describes, creates and moves it. `backups` is None where the engine makes backups by its own means.
    """

    records: RecordStore
    reaper: ReaperMemory
    leases: Leases
    cooldown: Cooldown
    pools: PoolStore
    admin: StateAdmin
    backups: Backups | None = None
