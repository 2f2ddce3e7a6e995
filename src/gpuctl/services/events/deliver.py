"""Tells hooks of events: at least once, each machine's in order, in a bounded time; what is left waits for a next run.

The record counts how many of its entries were delivered, and the count is written after the hook has taken the event: a
crash in between tells it again, and never loses it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from gpuctl.clock import Clock
from gpuctl.domain.events import Event, events_of
from gpuctl.domain.instance import Instance
from gpuctl.domain.lifecycle import with_facts
from gpuctl.services.isolation import each_alone
from gpuctl.services.progress import Progress
from gpuctl.store.base import RecordStore

PATIENCE = timedelta(seconds=10)  # for one hook and one event
IN_ALL = timedelta(seconds=30)  # for everything a run delivers
GIVEN_UP_AFTER = timedelta(hours=24)

# Hands one event over within a time; None if it was taken, else why not.
Tell = Callable[[Event, timedelta], str | None]


@dataclass(slots=True)
class Delivered:
    """What a run delivered: how many events, why which hook took none, how many were too old and how many are left."""

    count: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    given_up: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One run over everything that is not delivered yet. `hooks` go from an event's bare name to who is told of it."""

    store: RecordStore
    clock: Clock
    progress: Progress
    hooks: Mapping[str, Tell]

    def run(self, in_all: timedelta = IN_ALL) -> Delivered:
        """Deliver what is owed until the time is out. One failure of a hook spares it for the rest of this run.

        Raises what the store raises.
        """
        done = Delivered()
        ends_at = self.clock.elapsed() + in_all
        horizon = self.clock.now() - GIVEN_UP_AFTER
        self._give_up(done, horizon)
        before = None
        # Again, for what others wrote meanwhile and left to us.
        while done.count != before:
            before = done.count
            for record in self._waiting(horizon):
                each_alone([record], partial(self._deliver, done, ends_at, horizon), self._on_bug)
        done.left = sum(len(self._owed(record, horizon)) for record in self._waiting(horizon))
        return done

    def _waiting(self, horizon: datetime) -> list[Instance]:
        """The records with something to tell, that of the oldest event first."""
        waiting = [
            (owed[0].entry.at, record)
            for record in self.store.snapshot().records
            if (owed := self._owed(record, horizon))
        ]
        return [record for _, record in sorted(waiting, key=lambda pair: pair[0])]

    def _deliver(self, done: Delivered, ends_at: timedelta, horizon: datetime, records: Sequence[Instance]) -> None:
        for record in records:
            while owed := self._owed(record, horizon):
                event, left = owed[0], ends_at - self.clock.elapsed()
                name = event.entry.event
                if name in done.failures or left <= timedelta(0):
                    break
                why = self.hooks[name](event, min(PATIENCE, left))
                if why is not None:
                    done.failures[name] = why
                    break
                done.count += 1
                # As it is now: what was written meanwhile is delivered, too.
                record = self.store.update(record.id, partial(_counted, number=event.number))

    def _give_up(self, done: Delivered, horizon: datetime) -> None:
        """Pass over what is too old: a hook that was away for a day, or is new, is not told of the past."""
        old = {}
        for record in self.store.snapshot().records:
            late = [event for event in self._wanted(record) if event.entry.at < horizon]
            if late:
                old[record.id] = late[-1].number
                done.given_up += len(late)
        self.store.update_each(list(old), lambda fresh: _counted(fresh, number=old[fresh.id]))

    def _owed(self, record: Instance, horizon: datetime) -> list[Event]:
        return [event for event in self._wanted(record) if event.entry.at >= horizon]

    def _wanted(self, record: Instance) -> list[Event]:
        return [event for event in events_of(record, after=record.delivered) if event.entry.event in self.hooks]

    def _on_bug(self, record: Instance, trace: str) -> None:
        self.progress.trace(trace)


def _counted(record: Instance, *, number: int) -> Instance:
    # Telling somebody about a machine is no change of it.
    return with_facts(record, record.updated_at, delivered=max(record.delivered, number))
