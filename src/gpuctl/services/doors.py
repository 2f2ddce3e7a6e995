"""Removes what opens port 22 for a state where the state has had no machine for a week."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from gpuctl.domain.actions import scope_of
from gpuctl.domain.instance import Instance
from gpuctl.errors import GpuctlError
from gpuctl.services.parts import Parts
from gpuctl.store.base import Door

KEPT = timedelta(days=7)
ASKED_AGAIN = timedelta(days=1)


def doors_of(known: Sequence[Door], records: Sequence[Instance], now: datetime) -> list[Door]:
    """Every place where something may stand open, with when a machine last needed it: what was known, and the records'.

    A machine that was adopted may have been let in by another state file that shares this state's id.
    """
    doors = {(one.scope, one.profile): one for one in known}
    for record in records:
        if record.ssh_from is None and not any(one.event == "adopted" for one in record.history):
            continue
        needed_at = now if record.is_live else record.terminated_at or record.updated_at
        key = (scope_of(record), record.profile)
        before = doors.get(key)
        if before is None or before.needed_at < needed_at:
            doors[key] = Door(scope=key[0], profile=record.profile, needed_at=needed_at)
    return list(doors.values())


def close_unneeded(parts: Parts, doors: Sequence[Door], state_id: str) -> list[Door]:
    """Ask for the end of those that nobody has needed for a week, and return what is left to be closed.

    They bill nothing: one that cannot be removed is told of, tried again a day later, and is no failure of the reap.
    """
    now = parts.clock.now()
    in_use = {one.scope for one in doors if now - one.needed_at <= KEPT}
    left = []
    for door in doors:
        is_due = now - door.needed_at > KEPT and door.scope not in in_use
        if not is_due or (door.asked_at is not None and timedelta(0) <= now - door.asked_at < ASKED_AGAIN):
            left.append(door)
            continue
        scope = door.scope
        try:
            session = parts.sessions.of_account(scope.provider, scope.account, door.profile)
            if session.provider.close_ingress(scope.region, state_id):
                continue
        except GpuctlError as error:
            parts.talk.say(f"{error.message}; it bills nothing")
        left.append(door.model_copy(update={"asked_at": now}))
    return left
