"""The administration of a state on an engine."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from gpuctl.domain.instance import Instance
from gpuctl.errors import StateFault, StateUnusableError
from gpuctl.store.admin import Content, Description
from gpuctl.store.kind import StateKind
from gpuctl.store.known_states import KnownState, KnownStates
from gpuctl.store.moves import changed_meanwhile
from gpuctl.store.reaper import ReaperMemory
from gpuctl.store.shared.bodies import every_record, readable
from gpuctl.store.shared.engine import Engine, Header, Write
from gpuctl.store.shared.header import lost, no_longer_target, not_initialized, refuse_unusable
from gpuctl.store.shared.pools import SharedPools
from gpuctl.store.state_id import new_state_id

_TRIES = 20
_AT_ONCE = 500
_EVER = datetime.min.replace(tzinfo=UTC)
_Change = Callable[[Header], Header]


class SharedAdmin:
    """A `StateAdmin` on an engine. Making one connects to nothing."""

    def __init__(
        self,
        engine: Engine,
        known: KnownStates,
        memory: ReaperMemory,
        pools: SharedPools,
        *,
        kind: StateKind,
        wanted_id: str | None,
    ) -> None:
        self._engine = engine
        self._known = known
        self._memory = memory
        self._pools = pools
        self._kind = kind
        self._wanted_id = wanted_id

    @property
    def script(self) -> str | None:
        return self._engine.script

    def describe(self) -> Description:
        contents, location = self._engine.load(), self._engine.location
        if contents is None:
            known = self._known.read(location)
            raise lost(location, known.state_id) if known else not_initialized(location)
        header = contents.header
        self._check(header)
        return Description(
            location,
            header.state_id,
            header.kind,
            header.format,
            header.serial,
            len(contents.rows),
            self._engine.count_archived(),
            header.is_claimed,
            header.moved_to,
            header.incoming_from,
        )

    def create(self) -> Description:
        location = self._engine.location
        known = self._known.read(location)
        header = self._engine.header()
        if header is None and known is not None:
            # A new state here would leave the instances of the old one without records.
            raise lost(location, known.state_id)
        if header is None:
            state_id = self._wanted_id or new_state_id(os.urandom(16))
            self._engine.create(Header(self._kind, state_id, is_claimed=self._wanted_id is not None))
        elif header.state_id is None:
            state_id = self._wanted_id or new_state_id(os.urandom(16))
            self._check(header)
            is_created = replace(header, state_id=state_id, is_claimed=self._wanted_id is not None)
            # Whoever was first decides.
            self._engine.commit(Write(header.serial, is_created))
        description = self.describe()
        if self._wanted_id is not None and description.state_id != self._wanted_id:
            raise StateUnusableError(
                f"the state `{location}` has the id `{description.state_id}`, and GPUCTL_STATE_ID says "
                f"`{self._wanted_id}`",
                hint="use another `--state`, or correct the ID",
                fault=StateFault.OTHER,
            )
        return description

    def content(self) -> Content:
        contents = self._engine.load()
        if contents is None:
            raise not_initialized(self._engine.location)
        header = contents.header
        self._check(header)
        known = self._known.read(self._engine.location)
        is_restored = header.is_restored or (known is not None and header.serial < known.serial)
        records = list(every_record(contents, self._engine.location).values())
        events = {name: self._pools.history(name, _EVER) for name in self._engine.histories()}
        return Content(
            header.state_id or "",
            header.serial,
            is_restored,
            header.counts_from,
            records,
            self._memory.read(),
            self._pools.documents(),
            events,
        )

    def archive(self) -> Iterable[Instance]:
        return readable(self._engine.archived())

    def begin_filling(self, state_id: str, source: str, serial: int) -> None:
        header = self._header()
        filling = replace(header, state_id=state_id, is_claimed=True, incoming_from=source, moved_to=None)
        # Another process that does the same move may be done by now, and then the state is in use.
        if header.serial != serial or not self._engine.commit(Write(serial, filling)):
            raise changed_meanwhile(self._engine.location)

    def fill(self, content: Content | None, archived: Sequence[Instance], leaving: Sequence[str] = ()) -> None:
        self._engine.fill(content.records if content else None, archived)
        if content is not None:
            times = content.times
            self._memory.update(lambda _: times)
            self._pools.replace(content.pools)
            for name, events in content.pool_events.items():
                self._pools.copy(name, events)
        for first in range(0, len(leaving), _AT_ONCE):
            header = self._header()
            if header.incoming_from is None:
                raise no_longer_target(self._engine.location)
            self._engine.commit(Write(header.serial, header, forget=leaving[first : first + _AT_ONCE]))

    def finish_filling(self, content: Content) -> None:
        def finished(header: Header) -> Header:
            return replace(
                header,
                serial=max(header.serial, content.serial),
                incoming_from=None,
                is_restored=content.is_restored,
                counts_from=content.counts_from,
            )

        if self._header().incoming_from is not None:
            self._changed(finished)
        header = self._header()
        self._known.save(self._engine.location, KnownState(content.state_id, header.serial))

    def mark_moved(self, to: str, serial: int) -> bool:
        header = self._header()
        if header.serial != serial:
            return False
        return self._engine.commit(Write(serial, replace(header, moved_to=to)))

    def _changed(self, change: _Change) -> None:
        for _ in range(_TRIES):
            header = self._header()
            if self._engine.commit(Write(header.serial, change(header))):
                return
        raise changed_meanwhile(self._engine.location)

    def _header(self) -> Header:
        header = self._engine.header()
        if header is None:
            raise not_initialized(self._engine.location)
        return header

    def _check(self, header: Header) -> None:
        refuse_unusable(replace(header, incoming_from=None), self._engine.location, self._kind, {})
