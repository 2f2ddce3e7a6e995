"""The state on this computer: a TinyDB file that is replaced whole, under a lock, and never in doubt."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from gpuctl.clock import Clock
from gpuctl.domain.instance import Instance
from gpuctl.errors import GpuctlError, StateFault, StateUnusableError, UsageError
from gpuctl.files import Disk, make_path_private, private_folder, write_whole
from gpuctl.store.base import Change, Guard, Snapshot
from gpuctl.store.kind import StateKind
from gpuctl.store.local import backups
from gpuctl.store.local.archive import Archive
from gpuctl.store.local.format import TABLE, FileHeader, Tables, UnreadableState, decode, encode
from gpuctl.store.local.lock import Lock, LockContent
from gpuctl.store.local.promises import refuse_unwritable
from gpuctl.store.local.record import instance
from gpuctl.store.local.verified import refuse_other_kind, translated, unusable, verified
from gpuctl.store.moves import refuse_incoming, refuse_moved
from gpuctl.store.state_id import checked_id, new_state_id

if TYPE_CHECKING:
    from gpuctl.store.local.transaction import Transaction


class LocalStore:
    """A `RecordStore` in one file beside its lock, backups and archive. Making one touches nothing.

    A symlink is followed once, so that the file it points at is the one that is replaced. `new_state_id` names a state
    that is born here; one that exists under another id is refused.
    """

    def __init__(
        self, path: Path, *, kind: StateKind, clock: Clock, new_state_id: str | None = None, disk: Disk | None = None
    ) -> None:
        self._path = Path(os.path.realpath(path))
        self._kind = kind
        self._clock = clock
        self._wanted_id = checked_id(new_state_id)
        self._disk = disk or Disk()
        self._state_id: str | None = None
        self.has_written = False
        self._computer: str | None = None
        self._on_moved: Callable[[], None] | None = None
        self._lock = Lock(self._path.with_name(f"{self._path.name}.lock"), clock)
        self._archive = Archive(self._path, self._disk)

    @property
    def location(self) -> str:
        return str(self._path)

    @property
    def state_id(self) -> str | None:
        if self._state_id is None:
            with self._translated("read"):
                remembered = self._lock.remembered()
            self._state_id = remembered.state_id if remembered and remembered.is_created else None
        return self._state_id

    def check_writable(self) -> None:
        refuse_unwritable(self._path.parent)

    def wait_at_most(self, span: timedelta) -> None:
        self._lock.patience = span

    def runs_on(self, computer: str | None, on_moved: Callable[[], None]) -> None:
        self._computer, self._on_moved = computer, on_moved

    def tables(self) -> Tables:
        """What the state file holds; nothing where no state exists yet."""
        return (self._read() or (None, {}))[1]

    def snapshot(self) -> Snapshot:
        with self._translated("read"):
            stored = self._read()
            if stored is None:
                return Snapshot(None, 0, ())
            snapshot = self._snapshot(*stored)
        if self._is_elsewhere(stored[0]):
            self._note_computer()
        return snapshot

    def add(self, records: Sequence[Instance], guard: Guard) -> Snapshot:
        from gpuctl.store.local.transaction import document

        with self.transaction(may_create=True) as transaction:
            guard(transaction.records())
            transaction.table.insert_multiple(document(record) for record in records)
        written = replace(transaction.header, serial=transaction.header.serial + 1)
        return self._snapshot(written, transaction.storage.read())

    def update(self, record_id: str, change: Change, guard: Guard | None = None) -> Instance:
        with self.transaction(may_create=False) as transaction:
            reply = transaction.change(record_id, change)
            if isinstance(reply, GpuctlError):
                raise reply
            if guard is not None:
                guard(transaction.records())
            return reply

    def update_each(self, record_ids: Sequence[str], change: Change) -> Mapping[str, Instance | GpuctlError]:
        if not record_ids:
            return {}
        with self.transaction(may_create=False) as transaction:
            return {text: transaction.change(text, change) for text in dict.fromkeys(record_ids)}

    def archive(self, ended_before: datetime) -> int:
        with self.transaction(may_create=False) as transaction:
            old = [
                record
                for record in transaction.records()
                if record.status.is_ended and _ended_at(record) < ended_before
            ]
            if old:
                # First there, then gone from here: a crash in between leaves them in both, never in neither.
                self._archive.append(old)
                transaction.table.remove(doc_ids=[record.id for record in old])
            return len(old)

    def archived(self, *, with_present: bool = False, since: datetime | None = None) -> Iterable[Instance]:
        with self._translated("read"):
            stored = self._read()
            present = stored[1].get(TABLE, {}) if stored and not with_present else {}
            yield from self._archive.records(leaving_out=set(present), since=since)

    def find_archived(self, text: str) -> Sequence[Instance]:
        with self._translated("read"):
            stored = self._read()
            return self._archive.find(text, leaving_out=set(stored[1].get(TABLE, {})) if stored else ())

    def hand_over(self, ended_before: datetime, keep: Callable[[Sequence[Instance]], None]) -> int:
        with self._translated("written"):
            stored = self._read()
            if stored is None:
                return 0
            with self._lock.hold():
                # What a crash left in both places is the state's.
                return self._archive.hand_over(ended_before, set(stored[1].get(TABLE, {})), keep)

    def counts_from(self) -> datetime | None:
        return self._archive.counts_from()

    def unreadable(self) -> Sequence[str]:
        with self._translated("read"):
            return self._archive.unreadable()

    def accept_restored(self) -> None:
        with self.transaction(may_create=False) as transaction:
            if transaction.header.is_restored:
                transaction.accept()

    def backup(self, name: str) -> Snapshot:
        try:
            header, tables = decode(Path(name).read_bytes())
            snapshot = self._snapshot(header, tables)
        except (OSError, UnreadableState) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            newest = backups.list_backups(self._path)[:3]
            raise StateUnusableError(
                f"the backup `{name}` cannot be used: {reason}",
                hint=f"the newest backups: {', '.join(map(str, newest))}" if newest else None,
                fault=StateFault.DAMAGED,
            ) from None
        refuse_other_kind(header, self._kind, name)
        return snapshot

    def rebuild(self, state_id: str, records: Sequence[Instance]) -> str | None:
        with self._translated("written"):
            private_folder(self._path.parent)
            with self._lock.hold() as lock:
                self._require_unusable(lock)
                aside = self._save_previous()
                remembered = self._lock.remembered(lock)
                header = FileHeader(state_id, self._kind, remembered.serial + 1 if remembered else 1, is_restored=True)
                header = header.written_on(self._computer)
                table = {record.id: record.model_dump(mode="json") for record in records}
                self._lock.remember(lock, LockContent(state_id, True, header.serial))
                write_whole(self._disk, self._path, encode(header, {TABLE: table}), self._lock.require_held)
                return aside

    @contextmanager
    def transaction(self, *, may_create: bool) -> Iterator["Transaction"]:
        # TinyDB is loaded only to write: most commands read.
        from gpuctl.store.local.tinydb import StateStorage
        from gpuctl.store.local.transaction import Transaction

        with self._translated("written"):
            if may_create:
                private_folder(self._path.parent)
            elif self._read() is None:
                # Nothing to change, and nothing is made for it.
                yield Transaction(FileHeader(self._wanted_id or "", self._kind, 0), StateStorage({}))
                return
            with self._lock.hold() as lock:
                header, tables = self._read(lock) or (self._new_header(lock), {})
                refuse_moved(header.moved_to, self.location)
                transaction = Transaction(header.written_on(self._computer), StateStorage(tables))
                yield transaction
                check = self._lock.require_held
                if transaction.storage.commit(self._path, transaction.header, self._disk, self._clock.now(), check):
                    self._remember(lock, transaction.header)
                    self.has_written = True

    def _is_elsewhere(self, header: FileHeader) -> bool:
        """Whether the state was only ever written on other computers: it was copied here, or moved."""
        return self._computer is not None and bool(header.computers) and self._computer not in header.computers

    def _note_computer(self) -> None:
        """Write down that the state is here now, and call `on_moved`, once for each process."""
        if self._on_moved is None:
            return
        on_moved, self._on_moved = self._on_moved, None
        on_moved()
        has_written, patience = self.has_written, self._lock.patience
        self._lock.patience = timedelta(0)
        try:
            # A state that cannot be written, or is being written, is noted by a later command.
            with suppress(GpuctlError), self.transaction(may_create=False) as transaction:
                transaction.storage.write(transaction.storage.read())
        finally:
            self.has_written, self._lock.patience = has_written, patience

    def _new_header(self, lock: int) -> FileHeader:
        remembered = self._lock.remembered(lock)
        state_id = self._wanted_id or (remembered.state_id if remembered else new_state_id(os.urandom(16)))
        self._lock.remember(lock, LockContent(state_id, is_created=False))
        self._disk.sync_folder(self._path.parent)
        return FileHeader(state_id, self._kind, 0)

    def _remember(self, lock: int, header: FileHeader) -> None:
        self._state_id = header.state_id
        remembered = self._lock.remembered(lock)
        if remembered is None or (remembered.state_id, remembered.is_created) != (header.state_id, True):
            self._lock.remember(lock, LockContent(header.state_id, True, header.serial + 1))
        else:
            self._lock.remember_serial(lock, header.serial + 1)

    def _read(self, lock: int | None = None) -> tuple[FileHeader, Tables] | None:
        """The state on the disk, verified; None if there never was one. `lock` is the content of the held lock."""
        remembered = self._lock.remembered(lock)
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            if remembered is not None and remembered.is_created:
                raise unusable(self._path, "is missing", StateFault.MISSING) from None
            if lock is None and remembered is None:
                self._lock.require_readable()
            return None
        ids = {"GPUCTL_STATE_ID": self._wanted_id, "its lock file": remembered.state_id if remembered else None}
        header, tables = verified(self._path, raw, self._kind, ids)
        refuse_incoming(header.incoming_from, self.location)
        self._state_id = header.state_id
        if self._path.stat().st_mode & 0o077:
            make_path_private(self._path)
        if remembered is not None and remembered.serial > header.serial:
            # An older file was put back by hand.
            header = replace(header, serial=remembered.serial, is_restored=True)
        if self._is_elsewhere(header):
            # The copy that stayed behind may have extended deadlines and started instances since.
            header = replace(header, is_restored=True)
        return header, tables

    def _require_unusable(self, lock: int) -> None:
        try:
            stored = self._read(lock)
        except UnreadableState as error:
            if error.fault is StateFault.NEWER:
                raise
        except StateUnusableError as error:
            if error.fault is StateFault.OTHER:
                raise
        else:
            if stored is not None:
                raise UsageError(f"the state `{self._path}` is usable: nothing was replaced", hint="gpuctl list")

    def _save_previous(self) -> str | None:
        """Save the present file of that path under another name too, so that replacing it loses nothing."""
        aside = self._path.with_name(f"{self._path.name}.unusable-{self._clock.now():%Y%m%dT%H%M%SZ}")
        try:
            with suppress(FileExistsError):
                self._disk.link(self._path, aside)
        except FileNotFoundError:
            return None
        return str(aside)

    def _snapshot(self, header: FileHeader, tables: Tables) -> Snapshot:
        records = tuple(instance(table) for table in tables.get(TABLE, {}).values())
        return Snapshot(header.state_id, header.serial, records, header.is_restored, header.moved_to)

    def _translated(self, done: str) -> AbstractContextManager[None]:
        return translated(self._path, done)


def _ended_at(record: Instance) -> datetime:
    return record.terminated_at or record.updated_at
