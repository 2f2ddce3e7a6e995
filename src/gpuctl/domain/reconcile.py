"""What to do about every machine, decided from the records and from what the clouds answered; nothing is done here.

Weak evidence is reported, only strong evidence kills: a record is closed on proof alone (`evidence`), a machine without
a record is ended only if its tags are whole and name this state, or one that the user listed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from gpuctl.domain.evidence import Proof, absence_proves, end_of, is_the_same_machine
from gpuctl.domain.instance import CloudState, Instance, Observed, Reason, Scope, Status
from gpuctl.domain.tags import STATE, Ownership, ownership

ORPHAN_AGE = timedelta(minutes=15)
STUBBORN_AFTER = timedelta(minutes=10)


class Kind(StrEnum):
    """The kinds of action; `refresh` brings a record up to date and is no news to anybody."""

    TERMINATE = "terminate"
    CLOSE = "close"
    ADOPT = "adopt"
    WAIT = "wait"
    REPORT = "report"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True)
class Action:
    """One decision. `unresolved` means that a person should look: it shows on stderr and in the exit code.

    `record` is the record it is about, None for a machine without one; `seen` the machine, None where it was not seen.
    """

    kind: Kind
    scope: Scope
    record: Instance | None = None
    seen: Observed | None = None
    reason: Reason | None = None
    proof: Proof | None = None
    detail: str = ""
    unresolved: bool = False

    @property
    def subject(self) -> str:
        """The id to show: the record's, else the one its tag claims, else the cloud's."""
        if self.record:
            return self.record.id
        if self.seen:
            return ownership(self.seen.tags).record_id or self.seen.cloud_id
        return self.scope.label


@dataclass(frozen=True, slots=True)
class View:
    """What one account of one cloud answered in this run, all of it from after that account was checked.

    `now` is the time to judge deadlines by, None where no reply of the cloud could confirm ours. `by_id` holds what
    asking for a single record's machine gave: None means that the cloud knows no such machine.
    """

    now: datetime | None
    listed: Mapping[Scope, datetime]
    observed: Sequence[Observed]
    unreachable: Mapping[Scope, str] = field(default_factory=dict)
    by_id: Mapping[str, Observed | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rules:
    """What this reaper may end beside its own records' machines, and how many of those in one run."""

    state_id: str
    reap_state_ids: frozenset[str] = frozenset()
    max_orphans: int = 3


def scope_of(record: Instance) -> Scope:
    """Where the record's machine is, if it is anywhere."""
    return Scope(provider=record.provider, account=record.account, region=record.region)


def to_ask_by_id(records: Iterable[Instance], view: View, rules: Rules) -> list[Instance]:
    """The live records whose machine a complete listing lacked: each is asked for by itself before `plan`."""
    found = Finder(view, rules.state_id)
    return [one for one in records if one.is_live and scope_of(one) in view.listed and found.listed(one) is None]


def plan(records: Sequence[Instance], view: View, rules: Rules) -> list[Action]:
    """Everything to do about these records and machines, in the order it should be done.

    The records are all of this account's, the closed ones too; whatever scope the view neither listed nor failed to
    list is left alone.
    """
    found = Finder(view, rules.state_id)
    return [
        *(action for record in records for action in for_record(record, found, view, rules)),
        *for_strangers(records, view, rules),
    ]


def for_record(record: Instance, found: "Finder", view: View, rules: Rules) -> list[Action]:
    """What to do about one record, whatever becomes of the others."""
    scope = scope_of(record)
    if scope not in view.listed and scope not in view.unreachable:
        return []
    return list(_about(record, found, view, rules))


def for_strangers(records: Sequence[Instance], view: View, rules: Rules) -> list[Action]:
    """What to do about the machines that stand for none of the records, and about places that did not answer."""
    found, by_id = Finder(view, rules.state_id), {one.id: one for one in records}
    known = {one.cloud_id for one in records} | {seen.cloud_id for one in records if (seen := found.listed(one))}
    strangers = [seen for seen in view.observed if seen.exists and seen.cloud_id not in known]
    decided = [_stranger(seen, by_id, view, rules) for seen in strangers]
    unreachable = [Action(Kind.REPORT, scope, detail=why, unresolved=True) for scope, why in view.unreachable.items()]
    return [*_within_limit(decided, rules.max_orphans), *unreachable]


class Finder:
    """Which machine stands for which record."""

    def __init__(self, view: View, state_id: str) -> None:
        self._view = view
        self._by_cloud_id = {(one.region, one.cloud_id): one for one in view.observed}
        self._by_record: dict[str, list[Observed]] = {}
        for one in view.observed:
            claims = ownership(one.tags)
            if claims.record_id and claims.state_id == state_id:
                self._by_record.setdefault(claims.record_id, []).append(one)

    def listed(self, record: Instance) -> Observed | None:
        """The record's machine in the listings: by the id our create returned, else by our tag in our region."""
        if record.cloud_id is not None:
            return self._by_cloud_id.get((record.region, record.cloud_id))
        tagged = [one for one in self._by_record.get(record.id, ()) if one.region == record.region]
        # Were there ever two, the first launched is the machine; the other is an orphan and judged as one.
        return min(tagged, key=lambda one: (not one.exists, one.launched_at or record.expires_at), default=None)

    def anywhere(self, record: Instance) -> Observed | None:
        """The record's machine in the listings, or else as the cloud gave it when asked for it alone."""
        return self.listed(record) or self._view.by_id.get(record.id)


def _about(record: Instance, found: Finder, view: View, rules: Rules) -> Iterable[Action]:
    seen = found.anywhere(record)
    act = _Acting(record, scope_of(record), seen)
    if seen is not None and not is_the_same_machine(record, seen, rules.state_id):
        if seen.exists:
            yield act(
                Kind.REPORT, detail=f"{seen.cloud_id} carries somebody else's tags now", unresolved=record.is_live
            )
    elif record.status.is_ended:
        if seen is not None and seen.exists:
            yield act(Kind.TERMINATE, Reason.ORPHAN, detail="alive though its record is closed")
    elif seen is not None:
        yield from _present(record, seen, view, act)
    else:
        yield from _absent(record, view, act)


class _Acting:
    """Makes actions about one record."""

    def __init__(self, record: Instance, scope: Scope, seen: Observed | None) -> None:
        self._about = (scope, record, seen)

    def __call__(
        self,
        kind: Kind,
        reason: Reason | None = None,
        *,
        detail: str = "",
        proof: Proof | None = None,
        unresolved: bool = False,
    ) -> Action:
        scope, record, seen = self._about
        return Action(kind, scope, record, seen, reason, proof, detail, unresolved)


def _present(record: Instance, seen: Observed, view: View, act: _Acting) -> Iterable[Action]:
    if not seen.exists:
        yield act(Kind.CLOSE, proof=end_of(record, seen, view.now))
        return
    if record.status is Status.PROVISIONING:
        yield act(Kind.ADOPT, detail=f"its machine is {seen.cloud_id}")
    else:
        yield act(Kind.REFRESH)
    if record.status is Status.STOPPING:
        stubborn = _is_stubborn(record, view.now)
        yield act(
            Kind.TERMINATE,
            record.reason,
            detail="still there long after its end was accepted" if stubborn else "",
            unresolved=stubborn,
        )
    elif seen.state is CloudState.FAILED:
        yield act(Kind.TERMINATE, Reason.REFUSED, detail="the cloud could not bring it up")
    else:
        yield from _if_due(record, view, act)


def _absent(record: Instance, view: View, act: _Acting) -> Iterable[Action]:
    scope = scope_of(record)
    if scope in view.unreachable:
        yield from _unseen_end(record, view, act)
        return
    asked = record.id in view.by_id
    if not asked:
        yield act(Kind.WAIT, detail="not in the listing, and could not be asked by id", unresolved=True)
        return
    proof = absence_proves(record, listed_at=view.listed[scope], now=view.now)
    if proof is not None:
        yield act(Kind.CLOSE, proof.reason, proof=proof)
        return
    yield act(Kind.WAIT, detail="not seen in the cloud; not yet proven gone")
    yield from _unseen_end(record, view, act)


def _unseen_end(record: Instance, view: View, act: _Acting) -> Iterable[Action]:
    # Should the listing lie or fail, the end is asked for all the same, but only by an id that our own create returned.
    if record.id_is_from_create and record.status is Status.STOPPING:
        yield act(Kind.TERMINATE, record.reason, detail="asked by its id, not seen in a listing")
    elif record.id_is_from_create:
        yield from _if_due(record, view, act)


def _if_due(record: Instance, view: View, act: _Acting) -> Iterable[Action]:
    if view.now is None:
        yield act(Kind.REPORT, detail="the cloud's clock could not be read: not ended by its deadline", unresolved=True)
    elif record.is_due(view.now):
        yield act(Kind.TERMINATE, Reason.EXPIRED)


def _is_stubborn(record: Instance, now: datetime | None) -> bool:
    return now is not None and record.deleted_by_us_at is not None and now - record.deleted_by_us_at > STUBBORN_AFTER


def _stranger(seen: Observed, records: Mapping[str, Instance], view: View, rules: Rules) -> Action:
    scope = Scope(provider=seen.provider, account=seen.account, region=seen.region)

    def act(kind: Kind, reason: Reason | None = None, *, detail: str, unresolved: bool = False) -> Action:
        return Action(kind, scope, None, seen, reason, None, detail, unresolved)

    claims = ownership(seen.tags)
    ours = claims.state_id == rules.state_id
    if not ours and claims.state_id not in rules.reap_state_ids:
        return act(Kind.REPORT, detail=f"{seen.cloud_id} belongs to state {seen.tags.get(STATE, '')!r}")
    if claims.record_id is None or claims.expires_at is None or seen.launched_at is None:
        return act(
            Kind.REPORT,
            detail=f"{seen.cloud_id} carries our state's tag but no readable id or deadline",
            unresolved=True,
        )
    if view.now is None:
        return act(
            Kind.REPORT, detail="the cloud's clock could not be read: not judged by its deadline", unresolved=True
        )
    if _is_ripe(claims, seen, view.now, ours):
        return act(Kind.TERMINATE, Reason.ORPHAN, detail=f"{seen.cloud_id} is past its deadline and in no record")
    if not ours or view.now >= claims.expires_at:
        return act(Kind.WAIT, detail=f"{seen.cloud_id} is in no record")
    if claims.record_id in records:
        standing = records[claims.record_id].cloud_id
        return act(Kind.REPORT, detail=f"{seen.cloud_id} claims the record of {standing}", unresolved=True)
    return act(Kind.ADOPT, detail=f"{seen.cloud_id} was in no record")


def _is_ripe(claims: Ownership, seen: Observed, now: datetime, ours: bool) -> bool:
    if claims.expires_at is None or seen.launched_at is None:
        return False
    patience = timedelta(0) if ours else ORPHAN_AGE
    return now >= claims.expires_at + patience and now - seen.launched_at > ORPHAN_AGE


def _within_limit(actions: Iterable[Action], max_orphans: int) -> Iterable[Action]:
    ended = 0
    for action in actions:
        if action.kind is Kind.TERMINATE:
            ended += 1
            if ended > max_orphans:
                spared = f"{action.detail}; more orphans than --max-orphans {max_orphans} allows in one run"
                yield Action(Kind.REPORT, action.scope, None, action.seen, Reason.ORPHAN, None, spared, True)
                continue
        yield action
