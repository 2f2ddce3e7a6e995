"""Closes port 22 to the address ranges that no active instance needs any more."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from gpuctl.domain.events import EventName
from gpuctl.domain.instance import Instance, Scope
from gpuctl.domain.reconcile.actions import scope_of
from gpuctl.errors import GpuctlError
from gpuctl.services.progress import Progress
from gpuctl.services.sessions import Sessions
from gpuctl.store.reaper import OpenedRange

# A terminated instance holds its security group for some minutes more, and the next one often has the same range.
NEEDED_FOR = timedelta(hours=1)
RETRIED_AFTER = timedelta(days=1)

_Key = tuple[Scope, str | None, str | None]


def opened_ranges(known: Sequence[OpenedRange], records: Sequence[Instance], now: datetime) -> list[OpenedRange]:
    """Every range that port 22 was opened to, with the time when an instance last needed it.

    Those `known` from the last run are updated by the records. A closed one is kept while a record names it, so that it
    is closed once.
    """
    ranges = {_key(opened): opened for opened in known}
    named = set()
    for record in records:
        needed_at = now if record.is_active else record.terminated_at or record.updated_at
        for key in _opened(record):
            named.add(key)
            before = ranges.get(key)
            if before is None or before.needed_at < needed_at:
                scope, profile, cidr = key
                ranges[key] = OpenedRange(scope=scope, profile=profile, cidr=cidr, needed_at=needed_at)
    return [opened for key, opened in ranges.items() if key in named or not opened.is_closed]


def close_unneeded(
    sessions: Sessions, progress: Progress, ranges: Sequence[OpenedRange], state_id: str, now: datetime
) -> tuple[OpenedRange, ...]:
    """Close what no instance has needed for an hour, with one request for each scope, and return all ranges.

    What cannot be closed costs nothing: it is reported, tried again a day later, and is no failure of the reap.
    """
    due = [opened for opened in ranges if _is_due(opened, now)]
    after = {_key(opened): opened for opened in ranges}
    for scope, profile in dict.fromkeys((opened.scope, opened.profile) for opened in due):
        needed = {opened.cidr for opened in ranges if opened.scope == scope and now - opened.needed_at <= NEEDED_FOR}
        is_closed = _closed(sessions, progress, scope, profile, state_id, needed)
        for opened in due:
            if (opened.scope, opened.profile) == (scope, profile):
                after[_key(opened)] = opened.model_copy(update={"close_requested_at": now, "is_closed": is_closed})
    return tuple(after.values())


def _closed(
    sessions: Sessions,
    progress: Progress,
    scope: Scope,
    profile: str | None,
    state_id: str,
    needed: set[str | None],
) -> bool:
    try:
        session = sessions.of_account(scope.provider, scope.account, profile)
        return session.provider.close_ingress(scope.region, state_id, {cidr for cidr in needed if cidr is not None})
    except GpuctlError as error:
        progress.info(f"{error.message}; it costs nothing")
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


def _is_due(opened: OpenedRange, now: datetime) -> bool:
    if opened.is_closed or now - opened.needed_at <= NEEDED_FOR:
        return False
    return opened.close_requested_at is None or not timedelta(0) <= now - opened.close_requested_at < RETRIED_AFTER


def _key(opened: OpenedRange) -> _Key:
    return opened.scope, opened.profile, opened.cidr
