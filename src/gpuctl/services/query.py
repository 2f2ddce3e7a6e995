"""Finds records: all of them, some by a selection, one by what a person calls it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gpuctl.domain.duration import as_typed
from gpuctl.domain.instance import Instance, ProviderName, Status
from gpuctl.domain.tags import RECORD_ID_LENGTH, RECORD_ID_PREFIX
from gpuctl.errors import NotFoundError, StateUnusableError, UsageError
from gpuctl.store.base import RecordStore, Snapshot

_SHORTEST = 4
_WHOLE = len(RECORD_ID_PREFIX) + RECORD_ID_LENGTH


@dataclass(frozen=True, slots=True)
class Selection:
    """Which instances are meant; None and empty ask nothing of that side."""

    user: str | None = None
    task: str | None = None
    name: str | None = None
    statuses: frozenset[Status] = frozenset()
    provider: ProviderName | None = None
    instance_type: str | None = None
    region: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    older_than: timedelta | None = None

    def matches(self, record: Instance, now: datetime) -> bool:
        """Whether that instance is meant."""
        return (
            self.user in (None, record.user)
            and self.task in (None, record.task)
            and self.name in (None, record.name)
            and (not self.statuses or record.status in self.statuses)
            and self.provider in (None, record.provider)
            and (self.instance_type is None or self.instance_type.casefold() == record.instance_type.casefold())
            and self.region in (None, record.region)
            and all(record.tags.get(key) == value for key, value in self.tags.items())
            and (self.older_than is None or now - record.created_at > self.older_than)
        )


def all_records(
    store: RecordStore,
    *,
    with_archived: bool,
    since: datetime | None = None,
    note: Callable[[Snapshot], None] = lambda snapshot: None,
) -> list[Instance]:
    """Every record, newest first; with `with_archived` also those of the archive that ended after `since`.

    Some that ended before may be among them. `note` receives the snapshot that was read.
    """
    snapshot = store.snapshot()
    note(snapshot)
    records = list(snapshot.records)
    if with_archived:
        records += store.archived(since=since)
    return sorted(records, key=lambda record: (record.created_at, record.id), reverse=True)


def records_of(store: RecordStore, record_ids: Iterable[str]) -> list[Instance]:
    """The records of these ids that are in the state now, in the same order."""
    present = {record.id: record for record in store.snapshot().records}
    return [present[text] for text in record_ids if text in present]


def current_records(store: RecordStore, records: Iterable[Instance]) -> list[Instance]:
    """These records as they are now, in the same order; one that is not in the state any more as it is given."""
    present = {record.id: record for record in store.snapshot().records}
    return [present.get(record.id, record) for record in records]


def last_known_records(store: RecordStore, records: Sequence[Instance]) -> list[Instance]:
    """These records as they are now; as they are given where the state cannot be read, which the caller reports."""
    try:
        return current_records(store, records)
    except StateUnusableError:
        return list(records)


def current_record(store: RecordStore, record: Instance) -> Instance:
    """This record as it is now; as it is given if it is not in the state any more."""
    return current_records(store, [record])[0]


def resolve(store: RecordStore, text: str, *, whole_only: bool = False) -> Instance:
    """The record with this ID, this name, or this prefix of at least 4 characters of the ID's random part.

    Active records come before terminated ones, those before archived ones. UsageError if several match or the text is
    empty, NotFoundError if none matches.
    """
    text = text.strip()
    if not text:
        raise UsageError("ID is empty", hint="gpuctl list")
    present = all_records(store, with_archived=False)
    active = [record for record in present if record.is_active]
    ended = [record for record in present if not record.is_active]
    for group in (active, ended):
        match = _match(group, text, whole_only=whole_only)
        if match is not None:
            return match
    archived = store.find_archived(text) or store.find_archived(_prefix(text))
    match = _match(archived, text, whole_only=whole_only)
    if match is not None:
        return match
    if whole_only and _by_id_prefix(present, _prefix(text)):
        raise NotFoundError("Instance not found", hint="without a terminal a complete ID or name is required")
    raise NotFoundError("Instance not found", hint="gpuctl list --all")


def _match(records: Sequence[Instance], text: str, *, whole_only: bool) -> Instance | None:
    named = [record for record in records if text in (record.id, record.name)]
    if named:
        return max(named, key=lambda record: record.created_at)
    candidates = [] if whole_only else _by_id_prefix(records, _prefix(text))
    if len(candidates) > 1:
        several = ", ".join(f"`{record.id}`" for record in candidates[:5])
        raise UsageError(f"{as_typed(text)} matches {len(candidates)} instances", hint=f"one of {several}")
    return candidates[0] if candidates else None


def _prefix(text: str) -> str:
    return text if text.startswith(RECORD_ID_PREFIX) else f"{RECORD_ID_PREFIX}{text}"


def _by_id_prefix(records: Sequence[Instance], prefix: str) -> list[Instance]:
    if not len(RECORD_ID_PREFIX) + _SHORTEST <= len(prefix) < _WHOLE:
        return []
    return [record for record in records if record.id.startswith(prefix)]
