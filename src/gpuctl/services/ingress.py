"""Closes port 22 to the address ranges that no active instance needs any more."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from gpuctl.domain.events import EventName
from gpuctl.domain.instance import Instance, Scope
from gpuctl.domain.reconcile.actions import scope_of
from gpuctl.errors import GpuctlError
from gpuctl.services.runtime import Runtime
from gpuctl.store.reaper import Door

# A terminated instance holds its security group for some minutes more, and the next one often has the same range.
KEPT = timedelta(hours=1)
RETRIED_AFTER = timedelta(days=1)

_Key = tuple[Scope, str | None, str | None]


def doors_of(known: Sequence[Door], records: Sequence[Instance], now: datetime) -> list[Door]:
    """Every range that port 22 was opened to, with the time when an instance last needed it.

    Those `known` from the last run are updated by the records. A closed one is kept while a record names it, so that it
    is closed once.
    """
    doors = {_key(door): door for door in known}
    named = set()
    for record in records:
        needed_at = now if record.is_live else record.terminated_at or record.updated_at
        for key in _opened(record):
            named.add(key)
            before = doors.get(key)
            if before is None or before.needed_at < needed_at:
                scope, profile, cidr = key
                doors[key] = Door(scope=scope, profile=profile, cidr=cidr, needed_at=needed_at)
    return [door for key, door in doors.items() if key in named or not door.is_closed]


def close_unneeded(runtime: Runtime, doors: Sequence[Door], state_id: str) -> list[Door]:
    """Close what no instance has needed for an hour, with one request for each place, and return all doors as they are.

    What cannot be closed costs nothing: it is reported, tried again a day later, and is no failure of the reap.
    """
    now = runtime.clock.now()
    due = [door for door in doors if _is_due(door, now)]
    after = {_key(door): door for door in doors}
    for scope, profile in dict.fromkeys((door.scope, door.profile) for door in due):
        needed = {door.cidr for door in doors if door.scope == scope and now - door.needed_at <= KEPT}
        is_closed = _closed(runtime, scope, profile, state_id, needed)
        for door in due:
            if (door.scope, door.profile) == (scope, profile):
                after[_key(door)] = door.model_copy(update={"asked_at": now, "is_closed": is_closed})
    return list(after.values())


def _closed(runtime: Runtime, scope: Scope, profile: str | None, state_id: str, needed: set[str | None]) -> bool:
    try:
        session = runtime.sessions.of_account(scope.provider, scope.account, profile)
        return session.provider.close_ingress(scope.region, state_id, {cidr for cidr in needed if cidr is not None})
    except GpuctlError as error:
        runtime.progress.info(f"{error.message}; it costs nothing")
        return False


def _opened(record: Instance) -> Iterator[_Key]:
    """Where the record's attempts opened port 22, and to which range."""
    scopes = {scope_of(record)}
    scopes |= {
        Scope(provider=attempt.provider, account=record.account, region=attempt.region)
        for attempt in record.attempts
        if attempt.provider is record.provider
    }
    if record.ssh_from is not None:
        yield from ((scope, record.profile, record.ssh_from) for scope in scopes)
    elif any(entry.event == EventName.ADOPTED for entry in record.history):
        # Another state file with the same state id may have opened it.
        yield scope_of(record), record.profile, None


def _is_due(door: Door, now: datetime) -> bool:
    if door.is_closed or now - door.needed_at <= KEPT:
        return False
    return door.asked_at is None or not timedelta(0) <= now - door.asked_at < RETRIED_AFTER


def _key(door: Door) -> _Key:
    return door.scope, door.profile, door.cidr
