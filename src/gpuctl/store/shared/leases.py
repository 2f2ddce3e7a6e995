"""Leases and the reaper's memory on an engine: documents that are written under conditions."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from gpuctl.clock import Clock
from gpuctl.errors import StateLockedError, StateUnusableError
from gpuctl.store.lease import Lease, LeaseName
from gpuctl.store.reaper import ReapTimes
from gpuctl.store.shared.engine import Document, DocumentKind, Engine, Fence

_TRIES = 50
_MEMORY = "times"


class SharedLeases:
    """`Leases` by the clock of the engine. Making one connects to nothing."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def acquire(self, name: LeaseName, holder: str, duration: timedelta) -> Lease | None:
        try:
            for _ in range(_TRIES):
                document = self._engine.document(DocumentKind.LEASE, name)
                now = document.read_at if document and document.read_at else self._engine.now()
                before = _Entry.read(document)
                if before.is_running(now):
                    return None
                lease = Lease(name, holder, now, now + duration, before.version + 1, before.unfinished_since)
                if self._put(_Entry.of(lease), document):
                    return lease
        except (StateUnusableError, StateLockedError):
            pass
        else:
            # Others take and release it faster than this process can: it has not been free.
            return None
        # Nothing is safe because of a lease, and an engine out of reach must not keep an instance alive.
        now = self._clock.now()
        return Lease(name, holder, now, now + duration, version=0)

    def is_current(self, lease: Lease) -> bool:
        try:
            document = self._engine.document(DocumentKind.LEASE, lease.name)
        except (StateUnusableError, StateLockedError):
            return True
        return not lease.version or _Entry.read(document).version == lease.version

    def release(self, lease: Lease) -> None:
        if not lease.version:
            return
        try:
            document = self._engine.document(DocumentKind.LEASE, lease.name)
            entry = _Entry.read(document)
            if entry.version == lease.version and not entry.is_released:
                self._put(replace(entry, is_released=True), document)
        except (StateUnusableError, StateLockedError):
            # It expires.
            return

    def _put(self, entry: "_Entry", document: Document | None) -> bool:
        new = Document((document.version if document else 0) + 1, entry.body, fence=entry.version)
        return self._engine.put_document(DocumentKind.LEASE, entry.name, new, document.version if document else None)


class SharedReaperMemory:
    """A `ReaperMemory` on an engine, written only by the holder of a lease that nobody has taken since."""

    def __init__(self, engine: Engine, location: Callable[[], str]) -> None:
        self._engine = engine
        self._location = location

    def read(self) -> ReapTimes:
        try:
            return _times(self._engine.document(DocumentKind.REAPER, _MEMORY))
        except (StateUnusableError, StateLockedError):
            return ReapTimes()

    def update(self, change: Callable[[ReapTimes], ReapTimes], lease: Lease | None = None) -> bool:
        fence = Fence(lease.name, lease.version) if lease is not None and lease.version else None
        for _ in range(_TRIES):
            document = self._engine.document(DocumentKind.REAPER, _MEMORY)
            body = change(_times(document)).model_dump_json()
            version = document.version if document else None
            new = Document((version or 0) + 1, body)
            if self._engine.put_document(DocumentKind.REAPER, _MEMORY, new, version, fence):
                return True
            if fence is not None:
                current = self._engine.document(DocumentKind.LEASE, fence.name)
                if current is None or current.fence != fence.version:
                    return False
        raise StateUnusableError(
            f"other processes kept writing to `{self._location()}`", hint="only one reaper should run at a time"
        )


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the document of a lease says. Version 0: nobody ever had it."""

    name: str
    holder: str
    began_at: datetime
    expires_at: datetime
    version: int
    is_released: bool = False

    @classmethod
    def of(cls, lease: Lease) -> "_Entry":
        return cls(lease.name, lease.holder, lease.began_at, lease.expires_at, lease.version)

    @classmethod
    def read(cls, document: Document | None) -> "_Entry":
        """The entry. A document that cannot be read counts as released, because the lease protects nothing."""
        never = datetime.min.replace(tzinfo=UTC)
        if document is None:
            return cls("", "", never, never, 0, is_released=True)
        try:
            stored = json.loads(document.body)
            began_at, expires_at = (datetime.fromisoformat(stored[key]) for key in ("beganAt", "expiresAt"))
            return cls(stored["name"], stored["holder"], began_at, expires_at, document.fence, stored["isReleased"])
        except (ValueError, KeyError, TypeError):
            return cls("", "", never, never, document.fence, is_released=True)

    @property
    def body(self) -> str:
        stored = {"name": self.name, "holder": self.holder, "isReleased": self.is_released}
        times = {"beganAt": self.began_at.isoformat(), "expiresAt": self.expires_at.isoformat()}
        return json.dumps(stored | times)

    @property
    def unfinished_since(self) -> datetime | None:
        return None if self.is_released else self.began_at

    def is_running(self, now: datetime) -> bool:
        # A lease that begins in the future was written by a clock that was wrong.
        return not self.is_released and self.began_at <= now < self.expires_at


def _times(document: Document | None) -> ReapTimes:
    try:
        return ReapTimes.model_validate_json(document.body) if document else ReapTimes()
    except ValidationError:
        return ReapTimes()
