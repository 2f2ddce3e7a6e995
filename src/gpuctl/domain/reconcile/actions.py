"""The possible actions, the replies of the providers, and which instance belongs to which record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gpuctl.domain.instance import Instance, Observed, Reason, Scope
from gpuctl.domain.reconcile.evidence import Proof
from gpuctl.domain.tags import ownership


class ActionKind(StrEnum):
    """The kinds of action; `refresh` brings a record up to date and is no news to anybody."""

    TERMINATE = "terminate"
    CLOSE = "close"
    ADOPT = "adopt"
    WAIT = "wait"
    REPORT = "report"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True)
class Action:
    """One decision. `unresolved`: a person should check it; it is printed on stderr and sets the exit code.

    `record` is None for an instance without one; `observed` is None if the instance was not observed. `left` is the
    cloud ID of a leftover that is gone now. `extended_to` is the later deadline that another copy of the state granted.
    """

    kind: ActionKind
    scope: Scope
    record: Instance | None = None
    observed: Observed | None = None
    reason: Reason | None = None
    proof: Proof | None = None
    detail: str = ""
    unresolved: bool = False
    left: str | None = None
    extended_to: datetime | None = None

    @property
    def instance_id(self) -> str | None:
        """The ID of the record, else the one in the tag, else the provider's. None where it is about a whole scope."""
        if self.record:
            return self.record.id
        return (ownership(self.observed.tags).record_id or self.observed.cloud_id) if self.observed else None

    @property
    def subject(self) -> str:
        """The ID of the instance, or the label of the scope, for messages."""
        return self.instance_id or self.scope.label


@dataclass(frozen=True, slots=True)
class View:
    """What one account of one cloud answered in this run, all of it from after that account was checked.

    `now` is the time to judge deadlines by: when the listing began, so that a deadline that was extended before it
    passed is seen. None where no reply of the cloud could confirm our clock. `by_id` holds what querying the instance
    of a single record gave: None means that the cloud knows no such instance.
    """

    now: datetime | None
    listed: Mapping[Scope, datetime]
    observed: Sequence[Observed]
    unreachable: Mapping[Scope, str] = field(default_factory=dict)
    by_id: Mapping[str, Observed | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rules:
    """What this reaper may terminate besides the instances of its own records, and how many of those in one run."""

    state_id: str
    reap_state_ids: frozenset[str] = frozenset()
    max_orphans: int = 3


def scope_of(record: Instance) -> Scope:
    """Where the record's instance is, if it is anywhere."""
    return Scope(provider=record.provider, account=record.account, region=record.region)


class Finder:
    """Finds the instance of a record."""

    def __init__(self, view: View, state_id: str) -> None:
        self._view = view
        self._by_cloud_id = {(observed.region, observed.cloud_id): observed for observed in view.observed}
        self._by_record: dict[str, list[Observed]] = {}
        for observed in view.observed:
            claims = ownership(observed.tags)
            if claims.record_id and claims.state_id == state_id:
                self._by_record.setdefault(claims.record_id, []).append(observed)

    def listed(self, record: Instance) -> Observed | None:
        """The record's instance in the listings: by the id our create returned, else by our tag in our region."""
        if record.cloud_id is not None:
            return self._by_cloud_id.get((record.region, record.cloud_id))
        # The tags of a further attempt say the same record: what earlier ones had is not its instance any more.
        tagged = [
            observed
            for observed in self._by_record.get(record.id, ())
            if observed.region == record.region and observed.cloud_id not in record.former_cloud_ids
        ]
        # Were there ever two, the first launched is the instance; the other is an orphan and judged as one.
        return min(
            tagged, key=lambda observed: (not observed.exists, observed.launched_at or record.expires_at), default=None
        )

    def has(self, region: str, cloud_id: str) -> bool:
        """Whether something of that id exists in the listings of that region."""
        observed = self._by_cloud_id.get((region, cloud_id))
        return observed is not None and observed.exists

    def listed_or_queried(self, record: Instance) -> Observed | None:
        """The record's instance in the listings, or else as the cloud gave it when asked for it alone."""
        return self.listed(record) or self._view.by_id.get(record.id)
