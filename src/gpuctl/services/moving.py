"""Moves a state to another store: copied whole, checked record by record, and only then marked as moved.

The order makes a crash harmless. Until the source is marked, it is in use and the target refuses every command; from
then on the target is complete. Run again, the move continues.
"""

import hashlib
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from gpuctl.domain.instance import Instance
from gpuctl.errors import StateFault, StateLockedError, StateUnusableError, UsageError
from gpuctl.store.admin import Content, Description, StateAdmin
from gpuctl.store.base import State

_AT_ONCE = 500
_PASSES = 20


@dataclass(frozen=True, slots=True)
class Moved:
    """A finished move: numbers of records, and both locations."""

    records: int
    archived: int
    source: str
    target: str


def move(source: State, target: State) -> Moved:
    """Move the state into the target, and mark the source as moved. Run again after a crash it continues.

    UsageError where both are the same. StateUnusableError where the target is not initialized, has another state or
    records of its own, and where the source was moved elsewhere; nothing was changed then.
    """
    source_state, target_state = source.admin.describe(), target.admin.describe()
    if source_state.location == target_state.location:
        raise UsageError(f"the state is at `{source_state.location}` already", hint="use another location: --to URL")
    if source_state.state_id is None:
        raise StateUnusableError(
            f"there is no state at `{source_state.location}`",
            hint="name the state to move: gpuctl --state FILE state move --to URL",
            fault=StateFault.MISSING,
        )
    if source_state.moved_to not in (None, target_state.location):
        raise StateUnusableError(
            f"the state `{source_state.location}` was moved to `{source_state.moved_to}`",
            hint=f"gpuctl --state {shlex.quote(source_state.moved_to or '')} state move --to "
            f"{shlex.quote(target_state.location)}",
            fault=StateFault.MOVED,
        )
    is_moved = source_state.moved_to is not None
    if is_moved and target_state.incoming_from is None and target_state.state_id == source_state.state_id:
        # The last step of an earlier run was done.
        return Moved(target_state.records, target_state.archived, source_state.location, target_state.location)
    _refuse_occupied(source_state, target_state)
    target.admin.begin_filling(source_state.state_id, source_state.location, target_state.serial)
    for _ in range(_PASSES):
        content = _copied(source.admin, target.admin)
        if is_moved or source.admin.mark_moved(target_state.location, content.serial):
            # A copy of a state that was used elsewhere since, and lost there.
            is_old = is_moved and target_state.incoming_from is None
            target.admin.finish_filling(replace(content, is_restored=content.is_restored or is_old))
            after = target.admin.describe()
            return Moved(after.records, after.archived, source_state.location, target_state.location)
        # Somebody wrote to the source in the meantime.
    raise StateLockedError(
        f"other processes kept writing to `{source_state.location}`; it is still in use there",
        hint="stop them, and run it again",
    )


def _refuse_occupied(source_state: Description, target_state: Description) -> None:
    """Raise StateUnusableError where the target has a state that would be lost."""
    is_other = target_state.state_id is not None and target_state.state_id != source_state.state_id
    if is_other and (target_state.is_claimed or target_state.records or target_state.archived):
        raise StateUnusableError(
            f"`{target_state.location}` has the state `{target_state.state_id}`, and `{source_state.location}` is "
            f"`{source_state.state_id}`",
            hint="use an empty database, schema, table or file",
            fault=StateFault.OTHER,
        )
    is_free = target_state.incoming_from == source_state.location or target_state.moved_to is not None
    if not is_free and (target_state.incoming_from is not None or target_state.records or target_state.archived):
        raise StateUnusableError(
            f"`{target_state.location}` has records of its own",
            hint="use an empty database, schema, table or file",
            fault=StateFault.OTHER,
        )


def _copied(source: StateAdmin, target: StateAdmin) -> Content:
    """Copy everything, and return what was copied once the target has exactly that."""
    content = source.content()
    wanted = _digests(source.archive())
    present = _digests(target.archive())
    missing = (record for record in source.archive() if present.get(record.id) != wanted.get(record.id))
    for records in _groups(missing):
        target.fill(None, records)
    target.fill(content, (), [key for key in present if key not in wanted])
    copied, archived = target.content(), _digests(target.archive())
    # What moved into the archive of the source meanwhile is copied by the next pass.
    is_whole = _digests(copied.records) == _digests(content.records) and copied.pools == content.pools
    if not is_whole or not wanted.items() <= archived.items():
        raise StateUnusableError("the copy differs from the state: it was not moved", hint="run the command again")
    return content


def _digests(records: Iterable[Instance]) -> dict[str, bytes]:
    return {record.id: hashlib.sha256(record.model_dump_json().encode()).digest() for record in records}


def _groups(records: Iterable[Instance]) -> Iterator[list[Instance]]:
    iterator = iter(records)
    while group := list(islice(iterator, _AT_ONCE)):
        yield group
