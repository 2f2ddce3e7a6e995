"""The records of a state on an engine: optimistic, so that nothing is held while a change or a guard is computed."""

import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar

from gpuctl.clock import Clock
from gpuctl.domain.instance import Instance
from gpuctl.errors import GpuctlError, NotFoundError, StateLockedError, StateUnusableError, UsageError
from gpuctl.store.base import Change, Guard, Snapshot
from gpuctl.store.kind import StateKind
from gpuctl.store.known_states import KnownState, KnownStates
from gpuctl.store.moves import refuse_moved
from gpuctl.store.shared.bodies import ended_at, every_record, readable
from gpuctl.store.shared.engine import ARCHIVING, Contents, Engine, Header, Write
from gpuctl.store.shared.header import lost, not_initialized, refuse_unusable
from gpuctl.store.state_id import checked_id, new_state_id

_T = TypeVar("_T")
PATIENCE = timedelta(seconds=30)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.002, 0.03


class SharedRecords:
    """A `RecordStore` on an engine. Making one connects to nothing.

    A guard is computed on a consistent read, and its write needs that no other write came since: transactions are
    serializable. A change without a guard needs the version of its own record only.
    """

    def __init__(
        self, engine: Engine, known: KnownStates, *, kind: StateKind, clock: Clock, new_state_id: str | None = None
    ) -> None:
        self._engine = engine
        self._known = known
        self._kind = kind
        self._clock = clock
        self._wanted_id = checked_id(new_state_id)
        self._patience = PATIENCE
        self.has_written = False

    @property
    def location(self) -> str:
        return self._engine.location

    @property
    def state_id(self) -> str | None:
        known = self._known.read(self.location)
        if known is not None:
            return known.state_id
        with suppress(StateUnusableError):
            header = self._engine.header()
            return header.state_id if header else None
        # A function has no memory of earlier runs: out of reach, the ID in its environment is all that it knows.
        return self._wanted_id

    def check_writable(self) -> None:
        self._usable(self._engine.header(), self._known.read(self.location), is_written=True)

    def wait_at_most(self, span: timedelta) -> None:
        self._patience = span
        self._engine.set_patience(span)

    def snapshot(self) -> Snapshot:
        known, contents = self._known.read(self.location), self._engine.load()
        header = self._usable(contents.header if contents else None, known)
        records = every_record(contents, self.location)
        self._remember(header, known)
        is_restored = _is_restored(header, known)
        return Snapshot(header.state_id, header.serial, tuple(records.values()), is_restored, header.moved_to)

    def add(self, records: Sequence[Instance], guard: Guard) -> Snapshot:
        def write(contents: Contents) -> tuple[Write, Snapshot]:
            present = every_record(contents, self.location)
            guard(list(present.values()))
            for record in records:
                if record.id in present:
                    raise ValueError(f"{record.id} exists")
            header = self._claimed(contents.header)
            after = (*present.values(), *records)
            change = {record.id: (None, record) for record in records}
            snapshot = Snapshot(header.state_id, header.serial + 1, after, header.is_restored)
            return Write(header.serial, None if header == contents.header else header, change), snapshot

        return self._written(self._engine.load, write)

    def update(self, record_id: str, change: Change, guard: Guard | None = None) -> Instance:
        if guard is None:
            reply = self.update_each([record_id], change)[record_id]
            if isinstance(reply, GpuctlError):
                raise reply
            return reply

        def write(contents: Contents) -> tuple[Write | None, Instance]:
            present = every_record(contents, self.location)
            if record_id not in present:
                raise _not_found()
            before = present[record_id]
            after = change(before)
            guard([after if record.id == record_id else record for record in present.values()])
            if after == before:
                return None, after
            version = contents.rows[record_id].version
            return Write(contents.header.serial, change={record_id: (version, after)}), after

        return self._written(self._engine.load, write)

    def update_each(self, record_ids: Sequence[str], change: Change) -> Mapping[str, Instance | GpuctlError]:
        ids, size = list(dict.fromkeys(record_ids)), self._engine.largest_write
        replies: dict[str, Instance | GpuctlError] = {}
        for first in range(0, len(ids), size):
            replies |= self._changed(ids[first : first + size], change)
        return replies

    def _changed(self, ids: Sequence[str], change: Change) -> dict[str, Instance | GpuctlError]:
        def write(contents: Contents) -> tuple[Write | None, dict[str, Instance | GpuctlError]]:
            present = every_record(contents, self.location)
            replies: dict[str, Instance | GpuctlError] = {}
            for record_id in ids:
                try:
                    replies[record_id] = change(present[record_id]) if record_id in present else _not_found()
                except GpuctlError as error:
                    replies[record_id] = error
            changed = {
                key: (contents.rows[key].version, record)
                for key, record in replies.items()
                if isinstance(record, Instance) and record != present[key]
            }
            return Write(change=changed) if changed else None, replies

        return self._written(lambda: self._engine.fetch(ids), write)

    def archive(self, ended_before: datetime) -> int:
        def write(contents: Contents) -> tuple[Write | None, int]:
            old = {
                key: (contents.rows[key].version, record)
                for key, record in every_record(contents, self.location).items()
                if record.status.is_ended and ended_at(record) < ended_before
            }
            some = dict(islice(old.items(), self._engine.largest_write // ARCHIVING))
            return Write(archive=some) if some else None, len(some)

        total = 0
        while count := self._written(self._engine.load, write):
            total += count
        return total

    def archived(self, *, with_present: bool = False, since: datetime | None = None) -> Iterable[Instance]:
        known, contents = self._known.read(self.location), self._engine.load()
        self._usable(contents.header if contents else None, known)
        present = contents.rows if contents is not None and not with_present else {}
        yield from readable(item for item in self._engine.archived(since) if item[0] not in present)

    def find_archived(self, text: str) -> Sequence[Instance]:
        known, contents = self._known.read(self.location), self._engine.load()
        self._usable(contents.header if contents else None, known)
        present = contents.rows if contents is not None else {}
        return list(readable(item for item in self._engine.find_archived(text) if item[0] not in present))

    def hand_over(self, ended_before: datetime, keep: Callable[[Sequence[Instance]], None]) -> int:
        old = [record for record in self.archived(with_present=True) if ended_at(record) < ended_before]
        if not old:
            return 0
        keep(old)

        def write(contents: Contents) -> tuple[Write, int]:
            since = max(ended_before, contents.header.counts_from or ended_before)
            header = replace(contents.header, counts_from=since)
            return Write(header.serial, header, forget=[record.id for record in old]), len(old)

        return self._written(lambda: self._engine.fetch([]), write)

    def counts_from(self) -> datetime | None:
        header = self._engine.header()
        return header.counts_from if header else None

    def unreadable(self) -> Sequence[str]:
        items = self._engine.archived()
        return [f"{self.location} {key}" for key, body in items if not list(readable([(key, body)]))]

    def accept_restored(self) -> None:
        known = self._known.read(self.location)

        def write(contents: Contents) -> tuple[Write | None, None]:
            header = contents.header
            if not _is_restored(header, known):
                return None, None
            newest = max(header.serial, known.serial if known else 0)
            return Write(header.serial, replace(header, is_restored=False, serial=newest)), None

        self._written(lambda: self._engine.fetch([]), write)

    def rebuild(self, state_id: str, records: Sequence[Instance]) -> str | None:
        known = self._known.read(self.location)
        try:
            header = self._usable(self._engine.header(), None)
        except StateUnusableError as error:
            if error.fault.is_good:
                raise
        else:
            if header.is_claimed:
                raise UsageError(f"the state `{self.location}` is usable: nothing was replaced", hint="gpuctl list")
        serial = known.serial + 1 if known else 1
        fresh = Header(self._kind, state_id, serial, is_claimed=True, is_restored=True)
        self._engine.replace_header(fresh)
        size = self._engine.largest_write
        for first in range(0, len(records), size):
            change = {record.id: (None, record) for record in records[first : first + size]}
            if not self._engine.commit(Write(serial, change=change)):
                raise _busy(self.location)
            serial += 1
        self._known.save(self.location, KnownState(state_id, serial))
        self.has_written = True
        return None

    def _written(
        self, read: Callable[[], Contents | None], decide: Callable[[Contents], tuple[Write | None, _T]]
    ) -> _T:
        """Read, decide and write until no other write came in between. None is written where `decide` says so."""
        until, pause_s = self._clock.elapsed() + self._patience, _FIRST_PAUSE_S
        while True:
            known, contents = self._known.read(self.location), read()
            header = self._usable(contents.header if contents else None, known, is_written=True)
            write, result = decide(contents or Contents(header, {}))
            if write is None:
                return result
            if self._engine.commit(write):
                self.has_written = True
                after = replace(write.header or header, serial=(write.header or header).serial + 1)
                self._remember(after, known)
                return result
            if self._clock.elapsed() >= until:
                raise _busy(self.location)
            # Random: those who lost the same race must not meet again.
            self._clock.sleep(timedelta(seconds=random.uniform(0, pause_s)))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _usable(self, header: Header | None, known: KnownState | None, *, is_written: bool = False) -> Header:
        """The header of a state that may be used. StateUnusableError otherwise."""
        if header is None:
            raise lost(self.location, known.state_id) if known else not_initialized(self.location)
        ids = (("GPUCTL_STATE_ID", self._wanted_id), ("this computer", known.state_id if known else None))
        refuse_unusable(header, self.location, self._kind, dict(ids))
        if is_written:
            refuse_moved(header.moved_to, self.location)
        return header

    def _claimed(self, header: Header) -> Header:
        if header.is_claimed and header.state_id is not None:
            return header
        return replace(
            header, state_id=header.state_id or self._wanted_id or new_state_id(os.urandom(16)), is_claimed=True
        )

    def _remember(self, header: Header, known: KnownState | None) -> None:
        if header.state_id is None or not header.is_claimed:
            return
        if known is None or known.state_id != header.state_id or known.serial < header.serial:
            self._known.save(self.location, KnownState(header.state_id, header.serial))


def _is_restored(header: Header, known: KnownState | None) -> bool:
    # A serial before the newest one that was seen: the engine was put back to an earlier time.
    return header.is_restored or (known is not None and header.serial < known.serial)


def _not_found() -> NotFoundError:
    return NotFoundError("Instance not found", hint="gpuctl list --all")


def _busy(location: str) -> StateLockedError:
    return StateLockedError(
        f"other processes kept writing to `{location}`; nothing was written", hint="run the command again"
    )
