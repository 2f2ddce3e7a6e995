"""What every store of records must do; services see only this."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from pydantic import AwareDatetime, Field

from gpuctl.domain.instance import Instance, ProviderName, Scope
from gpuctl.domain.value import Value
from gpuctl.errors import GpuctlError

Change = Callable[[Instance], Instance]
Guard = Callable[[Sequence[Instance]], None]
REFUSED_FOR = timedelta(minutes=3)


class Kind(StrEnum):
    """Whether a state's records stand for real machines or for those of the sandbox; the two never mix."""

    REAL = "real"
    SANDBOX = "sandbox"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state as it was at one moment. `state_id` is None, and `records` empty, where no state exists yet.

    `is_restored`: it is older than what was written last, or was rebuilt, and no complete look at the clouds has been
    merged since: its deadlines may have been moved, and machines may live that it does not know.
    """

    state_id: str | None
    serial: int
    records: tuple[Instance, ...]
    is_restored: bool = False


class Store(Protocol):
    """Records that survive crashes and other writers.

    Every method raises StateUnusableError where the state is missing though it existed, damaged, of a newer format or
    of the other kind, or cannot be written, and StateLockedError when another process holds it for 30 s. Whatever is
    raised, nothing of the call was written.
    """

    @property
    def location(self) -> str:
        """Where it is, for messages and hints."""
        ...

    @property
    def has_written(self) -> bool:
        """Whether this object has changed any record."""
        ...

    def snapshot(self) -> Snapshot:
        """Every record that is live or ended lately. Takes no lock: a write in progress is not seen."""
        ...

    def add(self, records: Sequence[Instance], guard: Guard) -> Snapshot:
        """Write new records in one transaction and return the state with them; the state is born if there is none.

        `guard` is called with the records already there, under the lock, and refuses by raising. On return the
        records are durable. An id that is already there is a ValueError.
        """
        ...

    def update(self, record_id: str, change: Change, guard: Guard | None = None) -> Instance:
        """Replace one record by `change` of it as it is now, and return the new one.

        `guard` is called with every record as it would then stand, under the lock, and refuses by raising.

        `change` is pure and may be called again after a lost race; what it raises is passed on and nothing is
        written. NotFoundError if there is no such record (archived ones are out of reach). A change that returns
        its argument writes nothing.
        """
        ...

    def update_each(self, record_ids: Sequence[str], change: Change) -> Mapping[str, Instance | GpuctlError]:
        """`update` for many in one transaction; a GpuctlError that `change` raises stands in the answer for its id.

        Any other exception is passed on and nothing at all is written.
        """
        ...

    def archive(self, ended_before: datetime) -> int:
        """Move the records that ended before then to the archive and return how many; twice is harmless."""
        ...

    def archived(self, *, with_present: bool = False, since: datetime | None = None) -> Iterable[Instance]:
        """Every record in the archive that is not in the state (or all of them), each once.

        Unreadable lines are skipped; with `since` so may be records that ended before that.
        """
        ...

    def hand_over(self, ended_before: datetime, keep: Callable[[Sequence[Instance]], None]) -> int:
        """Take the records that ended before then out of the archive, once `keep` has them durably; returns how many.

        If `keep` raises, nothing was taken out. After a crash in between they may be in both places, never in neither.
        """
        ...

    def counts_from(self) -> datetime | None:
        """The instant before which ended records were taken out of the archive; None if none ever were."""
        ...

    def unreadable_archive_lines(self) -> Sequence[str]:
        """`FILE:LINE` of every archive line that cannot be read; empty when all is well."""
        ...

    def accept_restored(self) -> None:
        """Say that a complete look at the clouds has been merged, so that deadlines count again; twice is harmless."""
        ...

    def rescue(self, record: Instance) -> str:
        """Write a record down beside the state, durably and without touching it; returns where."""
        ...

    def rescued(self) -> Sequence[Instance]:
        """The records that were written down beside the state and not forgotten since."""
        ...

    def forget_rescued(self, record_id: str) -> None:
        """Remove one of them; twice is harmless."""
        ...


class Rebuildable(Store, Protocol):
    """A store that can be lost, and put together again from a backup and from what the clouds show."""

    @property
    def remembered_id(self) -> str | None:
        """The state's id as it is remembered outside of the state, which may be lost; None where it never was born."""
        ...

    def backup(self, name: str) -> Snapshot:
        """What a backup holds. StateUnusableError where it cannot be read or is of another kind."""
        ...

    def rebuild(self, state_id: str, records: Sequence[Instance]) -> str | None:
        """Put these records in the place of a state that is lost, as restored. Returns where what stood there is kept.

        UsageError if the state can be used: nothing is replaced that could still be read.
        """
        ...


class Sweep(Value):
    """When a scope was last listed completely, by which profile, and how many machines of ours were there."""

    scope: Scope
    profile: str | None = None
    at: AwareDatetime
    ours: int = 0


class Door(Value):
    """An address range to which port 22 was opened in one place (None: whatever an adopted instance has).

    `needed_at` is when an instance last needed it, `asked_at` when closing it was last requested, and `is_closed`
    whether that has succeeded since.
    """

    scope: Scope
    profile: str | None = None
    cidr: str | None = None
    needed_at: AwareDatetime
    asked_at: AwareDatetime | None = None
    is_closed: bool = False


class Unreached(Value):
    """A region that the reaper's last run could not query, and why. `account` is None where no record names one."""

    provider: ProviderName
    account: str | None
    region: str
    message: str

    @property
    def label(self) -> str:
        """`aws 123456789012 us-east-1`, for messages."""
        return " ".join(part for part in (self.provider, self.account, self.region) if part)


class ReapTimes(Value):
    """What the reaper remembers between runs. Losing it only means that the next run sweeps at once.

    `unreached` is what the last run could not query. `doors` is where port 22 was opened. `reported` maps an unresolved
    matter's text to when it was last printed, `hooks_reported` a failing hook's name.
    """

    last_reap_at: AwareDatetime | None = None
    last_reap_exit: int | None = None
    sweeps: tuple[Sweep, ...] = ()
    unreached: tuple[Unreached, ...] = ()
    doors: tuple[Door, ...] = ()
    reported: dict[str, AwareDatetime] = Field(default_factory=dict)
    hooks_reported: dict[str, AwareDatetime] = Field(default_factory=dict)

    def failure(self, scope: Scope) -> Unreached | None:
        """What kept the last run from querying that region of that account; None where nothing did."""
        wanted = (scope.provider, scope.region)
        failed = [unreached for unreached in self.unreached if (unreached.provider, unreached.region) == wanted]
        return next((unreached for unreached in failed if unreached.account in (None, scope.account)), None)


class Installed(Value):
    """A schedule that was installed for a state: which kind it is, how often it runs, and since when."""

    kind: str
    every: timedelta
    installed_at: AwareDatetime


class ReapLog(Protocol):
    """Where the reaper's memory is kept, beside the state."""

    def read(self) -> ReapTimes:
        """The times, or empty ones where they are missing or cannot be read. Never raises."""
        ...

    def write(self, times: ReapTimes) -> None:
        """Keep these times, replacing what was there. Raises StateUnusableError when it cannot."""
        ...

    def turn(self, now: datetime) -> AbstractContextManager[datetime | None]:
        """Hold the reaper's own lock for one pass.

        Gives None when the lock was free; else the instant at which its holder began (the caller then decides).
        """
        ...

    def delivering(self) -> AbstractContextManager[bool]:
        """Hold the right to tell hooks, so that two runs do not tell them the same; False if somebody else has it."""
        ...


class Refusals(Protocol):
    """The doors behind which a cloud had no room in the last three minutes. Losing one costs one more question."""

    def since(self, now: datetime) -> dict[str, datetime]:
        """Each door and when it was refused. Never raises."""
        ...

    def remember(self, door: str, at: datetime) -> None:
        """Keep one for the others, if that can be done. Never raises."""
        ...


class Forgetful:
    """`Refusals` that remember nothing."""

    def since(self, now: datetime) -> dict[str, datetime]:
        return {}

    def remember(self, door: str, at: datetime) -> None:
        return None
