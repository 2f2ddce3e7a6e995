"""The administration of a state file."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from gpuctl.clock import Clock
from gpuctl.domain.instance import Instance
from gpuctl.errors import StateFault, StateUnusableError
from gpuctl.files import Disk, private_folder, write_whole
from gpuctl.store.admin import Content, Description
from gpuctl.store.kind import StateKind
from gpuctl.store.local import backups
from gpuctl.store.local.archive import Archive
from gpuctl.store.local.format import FORMAT, TABLE, FileHeader, Tables, decode, encode
from gpuctl.store.local.lock import Lock, LockContent
from gpuctl.store.local.pools import TABLE as POOLS
from gpuctl.store.local.pools import LocalPools, read_pool
from gpuctl.store.local.record import instance
from gpuctl.store.local.verified import refuse_other_kind, translated, unusable
from gpuctl.store.moves import changed_meanwhile
from gpuctl.store.reaper import ReaperMemory
from gpuctl.store.state_id import checked_id, new_state_id


class LocalAdmin:
    """A `StateAdmin` of one file. Making one touches nothing."""

    script: str | None = None

    def __init__(
        self,
        path: Path,
        memory: ReaperMemory,
        pools: LocalPools,
        *,
        kind: StateKind,
        clock: Clock,
        wanted_id: str | None = None,
    ) -> None:
        self._path = Path(os.path.realpath(path))
        self._memory = memory
        self._pools = pools
        self._kind = kind
        self._clock = clock
        self._wanted_id = checked_id(wanted_id)
        self._disk = Disk()
        self._lock = Lock(self._path.with_name(f"{self._path.name}.lock"), clock)
        self._archive = Archive(self._path, self._disk)

    def describe(self) -> Description:
        with translated(self._path, "read"):
            stored = self._read()
            if stored is None:
                return Description(str(self._path), None, self._kind, FORMAT, 0, 0, 0, is_claimed=False)
            header, tables = stored
            return Description(
                str(self._path),
                header.state_id,
                header.kind,
                FORMAT,
                header.serial,
                len(tables.get(TABLE, {})),
                sum(1 for _ in self.archive()),
                moved_to=header.moved_to,
                incoming_from=header.incoming_from,
            )

    def create(self) -> Description:
        with self._changing() as (lock, stored):
            if stored is None:
                remembered = self._lock.remembered(lock)
                state_id = self._wanted_id or (remembered.state_id if remembered else new_state_id(os.urandom(16)))
                self._write(lock, FileHeader(state_id, self._kind, 0), {})
        return self.describe()

    def content(self) -> Content:
        with translated(self._path, "read"):
            stored = self._read()
            if stored is None:
                raise self._missing()
            header, tables = stored
            records = [instance(table) for table in tables.get(TABLE, {}).values()]
            remembered = self._lock.remembered()
            is_restored = header.is_restored or (remembered is not None and remembered.serial > header.serial)
            counts_from = self._archive.counts_from()
            return Content(
                header.state_id,
                header.serial,
                is_restored,
                counts_from,
                records,
                self._memory.read(),
                {name: read_pool(stored) for name, stored in tables.get(POOLS, {}).items()},
                self._pools.every_history(),
            )

    def archive(self) -> Iterable[Instance]:
        stored = self._read()
        return self._archive.records(leaving_out=set(stored[1].get(TABLE, {})) if stored else ())

    def begin_filling(self, state_id: str, source: str, serial: int) -> None:
        with self._changing() as (lock, stored):
            if serial != (stored[0].serial if stored else 0):
                raise changed_meanwhile(str(self._path))
            header, tables = stored or (FileHeader(state_id, self._kind, 0), {})
            filling = replace(header, state_id=state_id, moved_to=None, incoming_from=source)
            self._write(lock, filling, tables)

    def fill(self, content: Content | None, archived: Sequence[Instance], leaving: Sequence[str] = ()) -> None:
        with self._changing() as (lock, stored):
            if stored is None or stored[0].incoming_from is None:
                raise StateUnusableError(
                    f"the state `{self._path}` is no longer the target of this move: nothing was copied"
                )
            if archived:
                self._archive.append(archived)
            if leaving:
                self._archive.remove(leaving)
            if content is not None:
                table = {record.id: record.model_dump(mode="json") for record in content.records}
                pools = {name: pool.model_dump(mode="json") for name, pool in content.pools.items()}
                self._write(lock, stored[0], {**stored[1], TABLE: table, POOLS: pools})
                self._pools.replace_histories(content.pool_events)
                times = content.times
                self._memory.update(lambda _: times)

    def finish_filling(self, content: Content) -> None:
        with self._changing() as (lock, stored):
            if stored is None or stored[0].incoming_from is None:
                return
            header, tables = stored
            if content.counts_from is not None:
                self._archive.count_from(content.counts_from)
            serial = max(header.serial, content.serial)
            finished = replace(header, serial=serial, is_restored=content.is_restored, incoming_from=None)
            self._write(lock, finished, tables)

    def mark_moved(self, to: str, serial: int) -> bool:
        with self._changing() as (lock, stored):
            if stored is None:
                raise self._missing()
            header, tables = stored
            if header.serial != serial:
                return False
            self._write(lock, replace(header, moved_to=to), tables)
            return True

    @contextmanager
    def _changing(self) -> Iterator[tuple[int, tuple[FileHeader, Tables] | None]]:
        with translated(self._path, "written"):
            private_folder(self._path.parent)
            with self._lock.hold() as lock:
                yield lock, self._read(lock)

    def _write(self, lock: int, header: FileHeader, tables: Tables) -> None:
        """Replace the file, keeping a backup of the old one."""
        is_created = LockContent(header.state_id, True, header.serial + 1)
        if header.serial:
            backups.back_up(self._path, self._clock.now())
        else:
            self._lock.remember(lock, LockContent(header.state_id, is_created=False))
        content = encode(replace(header, serial=header.serial + 1), tables)
        write_whole(self._disk, self._path, content, self._lock.require_held)
        self._lock.remember(lock, is_created)

    def _read(self, lock: int | None = None) -> tuple[FileHeader, Tables] | None:
        try:
            header, tables = decode(self._path.read_bytes())
        except FileNotFoundError:
            remembered = self._lock.remembered(lock)
            if remembered is not None and remembered.is_created:
                raise unusable(self._path, "is missing", StateFault.MISSING) from None
            return None
        refuse_other_kind(header, self._kind, str(self._path))
        return header, tables

    def _missing(self) -> StateUnusableError:
        return StateUnusableError(
            f"state file `{self._path}` does not exist", hint="check `--state`", fault=StateFault.MISSING
        )
