"""What an engine must do to keep a state: a header, records with versions, an archive by time, and small documents."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from gpuctl.domain.instance import Instance
from gpuctl.store.kind import StateKind

FORMAT = 1
# An archived record takes so much of the size of a write.
ARCHIVING = 4


@dataclass(frozen=True, slots=True)
class Header:
    """What the state says of itself. `state_id` is None where the tables exist and no state was created in them.

    `is_claimed`: its ID was chosen, or a record was written under it; otherwise a state that is moved here may replace
    it. `moved_to` is where the state went; `incoming_from` is where a move that is not finished reads.
    """

    kind: StateKind
    state_id: str | None
    serial: int = 0
    format: int = FORMAT
    is_claimed: bool = False
    is_restored: bool = False
    counts_from: datetime | None = None
    moved_to: str | None = None
    incoming_from: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A record as the engine has it. `version` grows with every write of the record."""

    version: int
    body: str


@dataclass(frozen=True, slots=True)
class Contents:
    """The header, and records by ID in the order in which they were added."""

    header: Header
    rows: Mapping[str, Row]


@dataclass(frozen=True, slots=True)
class Write:
    """One transaction. It is refused as a whole where a condition does not hold.

    `serial`: no other write came since that serial; None where that does not matter. `header` replaces the header, and
    the new serial is one more than its serial; None keeps the header, and needs a state that was not moved and is not
    being filled. `change` has the new
    records with the version of each that was read, None for one that must not exist. `archive` leaves the records for
    the archive, under the same condition, and `forget` leaves the archive.
    """

    serial: int | None = None
    header: Header | None = None
    change: Mapping[str, tuple[int | None, Instance]] = field(default_factory=dict)
    archive: Mapping[str, tuple[int, Instance]] = field(default_factory=dict)
    forget: Sequence[str] = ()


class DocumentKind(StrEnum):
    """The kinds of documents."""

    LEASE = "lease"
    REAPER = "reaper"
    COOLDOWN = "cooldown"
    POOL = "pool"


@dataclass(frozen=True, slots=True)
class Document:
    """A small JSON text. `version` grows with every write; `fence` is the version of a lease, else 0.

    `read_at` is the time by the clock of the engine.
    """

    version: int
    body: str
    fence: int = 0
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Fence:
    """The condition that the document of that lease still has that version of the lease."""

    name: str
    version: int


class Engine(Protocol):
    """The engine of one state. Every method raises StateUnusableError or StateLockedError as `RecordStore` says.

    A method that writes returns False where a condition did not hold; then nothing was written. A reply that was lost
    is settled before it returns.
    """

    @property
    def largest_write(self) -> int:
        """How many records one write may change, and `ARCHIVING` times as many as it may archive."""
        ...

    @property
    def location(self) -> str:
        """Where the state is. Contains no secret."""
        ...

    def set_patience(self, span: timedelta) -> None:
        """From now on wait at most that long for the engine."""
        ...

    def create(self, header: Header) -> None:
        """Create the tables if they are missing, and the header if it is missing. Twice is harmless."""
        ...

    def replace_header(self, header: Header) -> None:
        """Write this header whatever there is, and remove all records but not the archive. For a state that is lost."""
        ...

    def header(self) -> Header | None:
        """The header; None where there is none, or no table."""
        ...

    def load(self) -> Contents | None:
        """Header and all records, as they were at one instant; None without a header."""
        ...

    def fetch(self, ids: Sequence[str]) -> Contents | None:
        """Header and these records, each as it is now; None without a header."""
        ...

    def commit(self, write: Write) -> bool:
        """Do that write."""
        ...

    @property
    def script(self) -> str:
        """What an administrator runs to make the tables, for people whose rights end there."""
        ...

    def fill(self, records: Sequence[Instance] | None, archived: Sequence[Instance]) -> None:
        """Put these into a state that is being filled. `records` replace all that are there, None leaves them.

        StateUnusableError if the state is not being filled.
        """
        ...

    def archived(self, since: datetime | None = None) -> Iterable[tuple[str, str]]:
        """ID and body of every archived record, the latest end first; with `since` those that ended from then on."""
        ...

    def find_archived(self, text: str) -> Sequence[tuple[str, str]]:
        """ID and body of the archived records with that name, or whose ID begins so."""
        ...

    def count_archived(self) -> int:
        """How many records the archive has."""
        ...

    def document(self, kind: DocumentKind, name: str) -> Document | None:
        """That document."""
        ...

    def documents(self, kind: DocumentKind) -> Mapping[str, Document]:
        """Every document of that kind, by name."""
        ...

    def put_document(
        self,
        kind: DocumentKind,
        name: str,
        document: Document | None,
        expected: int | None,
        fence: Fence | None = None,
        *,
        counted: Write | None = None,
    ) -> bool:
        """Replace the document that had the `expected` version (None: there was none); None removes it.

        `counted` is a write of the header in the same transaction, with its conditions.
        """
        ...

    def append_history(self, name: str, entries: Sequence[tuple[datetime, str, str]]) -> None:
        """Add entries to a history: instant, a key of its own, and body. Twice is harmless."""
        ...

    def history(self, name: str, since: datetime) -> Iterable[str]:
        """The bodies of the entries from then on, in any order."""
        ...

    def histories(self) -> Sequence[str]:
        """The names of all histories."""
        ...

    def forget_history(self, before: datetime) -> None:
        """Remove the entries before then from every history; some may stay."""
        ...

    def now(self) -> datetime:
        """The time by the clock of the engine."""
        ...
