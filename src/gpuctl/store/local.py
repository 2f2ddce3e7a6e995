"""The state on this machine: a TinyDB file that is replaced whole, under a lock, and never in doubt."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from tinydb.table import Document

from gpuctl.clock import Clock
from gpuctl.domain.instance import Instance
from gpuctl.errors import GpuctlError, NotFoundError, StateUnusableError, UsageError
from gpuctl.store import backups
from gpuctl.store.archive import Archive
from gpuctl.store.base import Change, Guard, Kind, Snapshot
from gpuctl.store.disk import Disk, private_folder
from gpuctl.store.lock import Lock, Remembered
from gpuctl.store.statefile import TABLE, Header, Tables, Unreadable, decode, is_state_id, new_state_id
from gpuctl.store.storage import StateStorage, records_of


class LocalStore:
    """A `Store` in one file beside its lock, backups and archive. Making one touches nothing.

    A symlink is followed once, so that the file it points at is the one that is replaced. `new_state_id` names a state
    that is born here; one that exists under another id is refused.
    """

    def __init__(
        self,
        path: Path,
        *,
        kind: Kind,
        clock: Clock,
        new_state_id: str | None = None,
        disk: Disk | None = None,
    ) -> None:
        if new_state_id is not None and not is_state_id(new_state_id):
            raise UsageError(
                "a state id has 8 to 40 characters of `a-z0-9-`",
                hint="set `GPUCTL_STATE_ID` to such a one, or unset it",
            )
        self._path = Path(os.path.realpath(path))
        self._kind = kind
        self._clock = clock
        self._wanted_id = new_state_id
        self._disk = disk or Disk()
        self._lock = Lock(self._path.with_name(f"{self._path.name}.lock"), clock)
        self._archive = Archive(self._path, self._disk)

    @property
    def location(self) -> str:
        return str(self._path)

    def snapshot(self) -> Snapshot:
        with self._translated("read"):
            found = self._read()
            return Snapshot(None, 0, ()) if found is None else self._snapshot(*found)

    def add(self, records: Sequence[Instance], guard: Guard) -> Snapshot:
        with self._transaction(may_create=True) as transaction:
            guard(transaction.records())
            transaction.table.insert_multiple(_document(one) for one in records)
        written = replace(transaction.header, serial=transaction.header.serial + 1)
        return self._snapshot(written, transaction.storage.read())

    def update(self, record_id: str, change: Change) -> Instance:
        answer = self.update_each([record_id], change)[record_id]
        if isinstance(answer, GpuctlError):
            raise answer
        return answer

    def update_each(self, record_ids: Sequence[str], change: Change) -> Mapping[str, Instance | GpuctlError]:
        if not record_ids:
            return {}
        with self._transaction(may_create=False) as transaction:
            return {one: transaction.change(one, change) for one in dict.fromkeys(record_ids)}

    def archive(self, ended_before: datetime) -> int:
        with self._transaction(may_create=False) as transaction:
            old = [one for one in transaction.records() if one.status.is_ended and _ended_at(one) < ended_before]
            if old:
                # First there, then gone from here: a crash in between leaves them in both, never in neither.
                self._archive.append(old)
                transaction.table.remove(doc_ids=[one.id for one in old])
            return len(old)

    def archived(self) -> Iterable[Instance]:
        with self._translated("read"):
            found = self._read()
            present = found[1].get(TABLE, {}) if found else {}
            yield from self._archive.records(leaving_out=set(present))

    def unreadable_archive_lines(self) -> Sequence[str]:
        with self._translated("read"):
            return self._archive.unreadable()

    @contextmanager
    def _transaction(self, *, may_create: bool) -> Iterator["_Transaction"]:
        with self._translated("written"):
            if may_create:
                private_folder(self._path.parent)
            elif self._read() is None:
                # Nothing to change, and nothing is made for it.
                yield _Transaction(Header(self._wanted_id or "", self._kind, 0), StateStorage({}))
                return
            with self._lock.held() as lock:
                header, tables = self._read() or (self._birth(lock), {})
                transaction = _Transaction(header, StateStorage(tables))
                yield transaction
                if transaction.storage.commit(self._path, header, self._disk, self._clock.now()):
                    self._remember(lock, header)

    def _birth(self, lock: int) -> Header:
        remembered = self._lock.remembered()
        state_id = self._wanted_id or (remembered.state_id if remembered else new_state_id(os.urandom(16)))
        self._lock.remember(lock, Remembered(state_id, is_born=False))
        self._disk.sync_folder(self._path.parent)
        return Header(state_id, self._kind, 0)

    def _remember(self, lock: int, header: Header) -> None:
        born = Remembered(header.state_id, is_born=True)
        if self._lock.remembered() != born:
            self._lock.remember(lock, born)

    def _read(self) -> tuple[Header, Tables] | None:
        """The state as it stands on the disk, verified; None where there never was one."""
        remembered = self._lock.remembered()
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            if remembered is not None and remembered.is_born:
                raise self._unusable("is missing") from None
            return None
        header, tables = decode(raw)
        if header.kind is not self._kind:
            with_or_without = "add `--sandbox`" if header.kind is Kind.SANDBOX else "leave out `--sandbox`"
            raise StateUnusableError(f"the state `{self._path}` is of kind {header.kind}", hint=with_or_without)
        for other, where in (
            (self._wanted_id, "GPUCTL_STATE_ID"),
            (remembered and remembered.state_id, "its lock file"),
        ):
            if other and other != header.state_id:
                raise StateUnusableError(
                    f"the state `{self._path}` has the id `{header.state_id}`, and {where} says `{other}`",
                    hint="use another `--state`, or mend the id",
                )
        if self._path.stat().st_mode & 0o077:
            self._path.chmod(0o600)
        return header, tables

    def _snapshot(self, header: Header, tables: Tables) -> Snapshot:
        return Snapshot(header.state_id, header.serial, tuple(_instance(one) for one in tables.get(TABLE, {}).values()))

    def _unusable(self, why: str) -> StateUnusableError:
        newest = backups.kept(self._path)[:3]
        return StateUnusableError(
            f"the state `{self._path}` {why}; it was left as it is",
            hint=f"the newest backups: {', '.join(map(str, newest))}" if newest else "there is no backup of it",
        )

    @contextmanager
    def _translated(self, done: str) -> Iterator[None]:
        try:
            yield
        except Unreadable as error:
            raise self._unusable(str(error)) from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise StateUnusableError(
                f"the state `{self._path}` could not be {done}: {reason}",
                hint=f"ls -ld {self._path.parent} {self._path}",
            ) from error


class _Transaction:
    """The state under the lock."""

    def __init__(self, header: Header, storage: StateStorage) -> None:
        self.header = header
        self.storage = storage
        # TinyDB's own annotations know only numbers as document ids; ours are text.
        self.table: Any = records_of(storage)

    def records(self) -> list[Instance]:
        return [_instance(one) for one in self.storage.read().get(TABLE, {}).values()]

    def change(self, record_id: str, change: Change) -> Instance | GpuctlError:
        document = self.table.get(doc_id=record_id)
        if document is None:
            return NotFoundError("Instance not found", hint="gpuctl list --all")
        before = _instance(document)
        try:
            after = change(before)
        except GpuctlError as error:
            return error
        if after != before:
            self.table.update(_replaced(_document(after)), doc_ids=[record_id])
        return after


def _document(record: Instance) -> Document:
    doc_id: Any = record.id
    return Document(record.model_dump(mode="json"), doc_id=doc_id)


def _replaced(document: Document) -> Callable[[Any], None]:
    def put(stored: Any) -> None:
        stored.clear()
        stored.update(document)

    return put


def _instance(stored: Mapping[str, Any]) -> Instance:
    try:
        return Instance.model_validate(dict(stored))
    except ValidationError as error:
        raise Unreadable(f"holds a record that cannot be read: {error.errors()[0]['msg']}") from None


def _ended_at(record: Instance) -> datetime:
    return record.terminated_at or record.updated_at
