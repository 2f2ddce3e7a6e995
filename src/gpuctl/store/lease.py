"""Leases: the exclusive right to do one kind of work, which expires, so that a process that hangs blocks nobody."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol


class LeaseName(StrEnum):
    """The kinds of work that one process at a time does for a state."""

    REAP = "reap"
    HOOKS = "hooks"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of `holder` to do that work until `expires_at`, by the clock of the store.

    `version` is higher than that of every earlier lease of this name, and 0 where the store cannot exclude anybody.
    `unfinished_since`: when the holder before this one began, if its lease expired before it was released. That holder
    may still be at work.
    """

    name: LeaseName
    holder: str
    began_at: datetime
    expires_at: datetime
    version: int
    unfinished_since: datetime | None = None


class Leases(Protocol):
    """The leases of one state. No method waits, and none raises: where the store cannot answer, the lease is given.

    A lease saves duplicate work. Every decision about an instance is safe without one, and a store that cannot give
    one must not keep an instance alive.
    """

    def acquire(self, name: LeaseName, holder: str, duration: timedelta) -> Lease | None:
        """Take the lease for that long; None while another holder has it and it has not expired.

        The lease of a holder that is known to be dead is free at once.
        """
        ...

    def is_current(self, lease: Lease) -> bool:
        """Whether nobody else has taken it since. A lease that expired and that nobody took is current."""
        ...

    def release(self, lease: Lease) -> None:
        """Give it back. Twice is harmless, and so is a lease that another holder has taken."""
        ...


@contextmanager
def leased(leases: Leases, name: LeaseName, holder: str, duration: timedelta) -> Iterator[Lease | None]:
    """Hold that lease, and release it at the end; None where another holder has it."""
    lease = leases.acquire(name, holder, duration)
    try:
        yield lease
    finally:
        if lease is not None:
            leases.release(lease)
