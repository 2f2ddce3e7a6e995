"""The pools of a state on an engine: a document for each, and a history of entries that are only added."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import uuid4

from pydantic import ValidationError

from gpuctl.domain.pools.events import PoolEvent
from gpuctl.domain.pools.spec import Pool
from gpuctl.errors import StateFault, StateLockedError, StateUnusableError
from gpuctl.store.base import RecordStore
from gpuctl.store.pools import PoolChange
from gpuctl.store.shared.engine import Document, DocumentKind, Engine, Write
from gpuctl.store.shared.header import no_longer_target

_TRIES = 100
_AT_ONCE = 500


class SharedPools:
    """A `PoolStore` on an engine. Making one connects to nothing."""

    def __init__(self, engine: Engine, records: RecordStore) -> None:
        self._engine = engine
        self._records = records

    def read(self) -> Mapping[str, Pool]:
        self._records.snapshot()
        return self.documents()

    def documents(self) -> Mapping[str, Pool]:
        """Every pool by its name, also of a state that was moved or is being filled."""
        return {name: self._pool(document) for name, document in self._engine.documents(DocumentKind.POOL).items()}

    def change(self, name: str, change: PoolChange) -> Pool | None:
        for _ in range(_TRIES):
            # Refuses a state that was moved, and makes the ID of a new one final.
            self._records.check_writable()
            if self._is_new():
                self._records.add([], lambda present: None)
            document = self._engine.document(DocumentKind.POOL, name)
            before = self._pool(document) if document is not None else None
            after = change(before)
            if after == before:
                return after
            version = document.version if document is not None else None
            new = Document((version or 0) + 1, after.model_dump_json()) if after is not None else None
            # A move copies what was counted, and nothing is written to a state that was moved.
            if self._engine.put_document(DocumentKind.POOL, name, new, version, counted=Write()):
                return after
        raise StateLockedError(f"other processes kept changing the pool `{name}`", hint="run the command again")

    def replace(self, pools: Mapping[str, Pool]) -> None:
        """Make these the pools of a state that is being filled. StateUnusableError where it no longer is."""
        for name in {**self._engine.documents(DocumentKind.POOL), **pools}:
            self._replace(name, pools.get(name))

    def _replace(self, name: str, pool: Pool | None) -> None:
        for _ in range(_TRIES):
            header = self._engine.header()
            if header is None or header.incoming_from is None:
                raise no_longer_target(self._engine.location)
            present = self._engine.document(DocumentKind.POOL, name)
            version = present.version if present is not None else None
            new = Document((version or 0) + 1, pool.model_dump_json()) if pool is not None else None
            if new is None and present is None:
                return
            counted = Write(header.serial, header)
            if self._engine.put_document(DocumentKind.POOL, name, new, version, counted=counted):
                return
        raise StateLockedError(f"other processes kept changing the pool `{name}`", hint="run the command again")

    def append(self, name: str, entries: Sequence[PoolEvent]) -> None:
        self._append(name, [(entry.at, uuid4().hex, _body(entry)) for entry in entries])

    def copy(self, name: str, entries: Sequence[PoolEvent]) -> None:
        """Add entries of a state that is moved; twice is harmless."""
        counts: Counter[str] = Counter()
        bodies = []
        for entry in entries:
            body = _body(entry)
            counts[body] += 1
            # Equal entries differ by how many came before.
            key = hashlib.sha256(f"{name} {counts[body]} {body}".encode()).hexdigest()
            bodies.append((entry.at, key, body))
        self._append(name, bodies)

    def _append(self, name: str, bodies: Sequence[tuple[datetime, str, str]]) -> None:
        for first in range(0, len(bodies), _AT_ONCE):
            self._engine.append_history(name, bodies[first : first + _AT_ONCE])

    def history(self, name: str, since: datetime) -> Sequence[PoolEvent]:
        entries = []
        for body in self._engine.history(name, since):
            try:
                entries.append(PoolEvent.model_validate_json(body))
            except ValidationError:
                continue
        return sorted(entries, key=lambda entry: entry.at)

    def forget(self, before: datetime) -> None:
        self._engine.forget_history(before)

    def _is_new(self) -> bool:
        header = self._engine.header()
        return header is not None and not header.is_claimed

    def _pool(self, document: Document) -> Pool:
        try:
            return Pool.model_validate_json(document.body)
        except ValidationError as error:
            raise StateUnusableError(
                f"the state `{self._engine.location}` holds a pool that cannot be read: {error.errors()[0]['msg']}",
                hint="restore the database from its backup",
                fault=StateFault.DAMAGED,
            ) from None


def _body(entry: PoolEvent) -> str:
    return entry.model_dump_json(exclude_defaults=True)
