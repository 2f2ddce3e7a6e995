"""Delivers events to hooks: at least once, each instance's in order, in a bounded time; the rest waits for a next run.

The record counts the entries that were delivered. The count is written after the hook has accepted the event: after a
crash in between it is delivered again, and never lost.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from gpuctl.clock import Clock
from gpuctl.domain.events import Event, events_of
from gpuctl.domain.instance import Instance
from gpuctl.domain.lifecycle import with_facts
from gpuctl.services.isolation import run_isolated
from gpuctl.services.progress import Progress
from gpuctl.store.base import RecordStore

HOOK_TIMEOUT = timedelta(seconds=10)  # for one hook and one event
DELIVER_WITHIN = timedelta(seconds=30)  # for everything a run delivers
DROPPED_AFTER = timedelta(hours=24)

# Sends one event within a time; returns None if the hook accepted it, else why not.
Send = Callable[[Event, timedelta], str | None]


@dataclass(slots=True)
class DeliveryResult:
    """What a run did: the events it delivered, dropped as too old and left, and why which hook failed."""

    count: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    dropped: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One run over everything that is not delivered yet. `hooks` are the senders by event name.

    `may_continue` is asked before each event: a process that hung must not deliver what another one has delivered.
    """

    store: RecordStore
    clock: Clock
    progress: Progress
    hooks: Mapping[str, Send]
    may_continue: Callable[[], bool] = lambda: True

    def run(self, within: timedelta = DELIVER_WITHIN) -> DeliveryResult:
        """Deliver what is pending until the time is up. A hook that failed once is not called again in this run.

        Raises what the store raises.
        """
        done = DeliveryResult()
        ends_at = self.clock.elapsed() + within
        horizon = self.clock.now() - DROPPED_AFTER
        self._drop_old(done, horizon)
        before = None
        # Again, for what other processes wrote in the meantime and left to this one.
        while done.count != before:
            before = done.count
            for record in self._waiting(horizon):
                run_isolated([record], partial(self._deliver, done, ends_at, horizon), self._on_bug)
        done.left = sum(len(self._pending(record, horizon)) for record in self._waiting(horizon))
        return done

    def _waiting(self, horizon: datetime) -> list[Instance]:
        """The records with pending events, that of the oldest event first."""
        waiting = [
            (pending[0].entry.at, record)
            for record in self.store.snapshot().records
            if (pending := self._pending(record, horizon))
        ]
        return [record for _, record in sorted(waiting, key=lambda pair: pair[0])]

    def _deliver(
        self, done: DeliveryResult, ends_at: timedelta, horizon: datetime, records: Sequence[Instance]
    ) -> None:
        for record in records:
            while pending := self._pending(record, horizon):
                event, left = pending[0], ends_at - self.clock.elapsed()
                name = event.entry.event
                if name in done.failures or left <= timedelta(0) or not self.may_continue():
                    break
                reason = self.hooks[name](event, min(HOOK_TIMEOUT, left))
                if reason is not None:
                    done.failures[name] = reason
                    break
                done.count += 1
                # The record as it is now: entries written in the meantime are delivered, too.
                record = self.store.update(record.id, partial(_without_given_up, number=event.number))

    def _drop_old(self, done: DeliveryResult, horizon: datetime) -> None:
        """Skip what is too old: a hook that failed for a day, or is new, does not get the past."""
        old = {}
        for record in self.store.snapshot().records:
            overdue = [event for event in self._undelivered(record) if event.entry.at < horizon]
            if overdue:
                old[record.id] = overdue[-1].number
                done.dropped += len(overdue)
        self.store.update_each(list(old), lambda fresh: _without_given_up(fresh, number=old[fresh.id]))

    def _pending(self, record: Instance, horizon: datetime) -> list[Event]:
        return [event for event in self._undelivered(record) if event.entry.at >= horizon]

    def _undelivered(self, record: Instance) -> list[Event]:
        return [event for event in events_of(record, after=record.delivered) if event.entry.event in self.hooks]

    def _on_bug(self, record: Instance, trace: str) -> None:
        self.progress.trace(trace)


def _without_given_up(record: Instance, *, number: int) -> Instance:
    # A delivery is no change of the instance, so its update time stays.
    return with_facts(record, record.updated_at, delivered=max(record.delivered, number))
