"""Follows the event log by reading the state again and again: every event once, none missed."""

from collections.abc import Iterable
from datetime import datetime

from gpuctl.domain.events import Event, events_in_order, new_events, sorted_events
from gpuctl.domain.instance import HistoryEntry, Instance
from gpuctl.store.base import RecordStore, Snapshot

# A record that came and went between two looks was added, ended and archived: a write each.
_MOST_WRITES = 3


class Follower:
    """A reader of the event log that remembers what it has returned. It may be polled at any interval."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store
        self._seen: dict[str, tuple[HistoryEntry, ...]] = {}
        self._present: set[str] = set()
        self._serial = 0

    def past_events(self, since: datetime | None = None) -> list[Event]:
        """The events until now (from `since` on), oldest first, with those of the archive. `news` continues here."""
        state = self._store.snapshot()
        records = _longest((*state.records, *self._store.archived()))
        self._remember(state, records)
        return events_in_order(records, since)

    def new_events(self) -> list[Event]:
        """What was written since the last look, oldest first."""
        state = self._store.snapshot()
        records = list(state.records)
        if self._may_be_stale(state):
            # After the snapshot, so that a record on its way from there to here is in one of them at least.
            records = _longest((*records, *self._store.archived()))
        events = [event for record in records for event in new_events(record, self._seen.get(record.id, ()))]
        self._remember(state, records)
        return sorted_events(events)

    def _may_be_stale(self, state: Snapshot) -> bool:
        """Whether the archive may hold something new: a record left the state, or one had the time to pass through."""
        removed = self._present - {record.id for record in state.records}
        return bool(removed) or not 0 <= state.serial - self._serial < _MOST_WRITES

    def _remember(self, state: Snapshot, records: Iterable[Instance]) -> None:
        self._seen |= {record.id: record.history for record in records}
        self._present = {record.id for record in state.records}
        self._serial = state.serial


def _longest(records: Iterable[Instance]) -> list[Instance]:
    """Each record once: one that was archived between two reads came twice, and the later read knows more."""
    matching: dict[str, Instance] = {}
    for record in records:
        if record.id not in matching or len(record.history) > len(matching[record.id].history):
            matching[record.id] = record
    return list(matching.values())
