"""The event log: the merged histories of the records, under public names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import takewhile

from gpuctl.domain.instance import HistoryEntry, Instance

PREFIX = "instance:"


class EventName(StrEnum):
    """Every event there is, as histories and the config name it; in output each carries the prefix `instance:`."""

    PROVISIONING = "provisioning"  # the record is on disk, before anything was asked of a cloud
    DECIDED = "decided"  # spot, on-demand or waiting was chosen for work with a deadline
    ATTEMPT = "attempt"  # a numbered try to create the instance begins
    PROVISIONED = "provisioned"  # the cloud gave the instance an id
    READY = "ready"  # it can be used
    RUNNING = "running"  # a task is attached to it
    LEASED = "leased"  # somebody has it on lease, from its pool
    RELEASED = "released"  # its lease is over
    FINISHED = "finished"  # its work with a deadline is over
    EXTENDED = "extended"  # its deadline was moved
    EXPIRING = "expiring"  # its deadline is near: the time to extend it
    ADOPTED = "adopted"  # it was found in the cloud and in no record
    POWERED_OFF = "powered_off"  # the provider reports it as powered off
    POWERED_ON = "powered_on"  # the provider reports it as running again
    STOPPING = "stopping"  # its end is asked for, and is not taken back
    TERMINATED = "terminated"  # it is proven gone, and its cost is final
    ERROR = "error"  # an attempt failed, or nobody knows how it came out


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a record's history: the `number`th, counted from 1. `record` is the record as it is now."""

    record: Instance
    number: int

    @property
    def entry(self) -> HistoryEntry:
        """The entry itself."""
        return self.record.history[self.number - 1]

    @property
    def name(self) -> str:
        """What it is called in output: `instance:ready`."""
        return f"{PREFIX}{self.entry.event}"


def events_of(record: Instance, after: int = 0) -> list[Event]:
    """The events of one record beyond its first `after` ones, in the order they were written."""
    return [Event(record, number) for number in range(after + 1, len(record.history) + 1)]


def new_events(record: Instance, known: Sequence[HistoryEntry]) -> list[Event]:
    """The events of a record that are not among the known entries; all from the first difference if it was rebuilt."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(record.history, known, strict=False))
    return events_of(record, after=sum(1 for _ in same))


def events_in_order(records: Iterable[Instance], since: datetime | None = None) -> list[Event]:
    """Every event of these records, those from `since` on only if given, oldest first."""
    every = [event for record in records for event in events_of(record)]
    return sorted_events(event for event in every if since is None or event.entry.at >= since)


def sorted_events(events: Iterable[Event]) -> list[Event]:
    """Oldest first, each record's own in the order they were written, whatever a clock said meanwhile."""
    latest: dict[str, datetime] = {}
    keyed = []
    for event in events:
        at = max(event.entry.at, latest.get(event.record.id, event.entry.at))
        latest[event.record.id] = at
        keyed.append(((at, event.record.id, event.number), event))
    return [event for _, event in sorted(keyed, key=lambda pair: pair[0])]
