"""Queries providers, account by account, for the observations that a plan is made of."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from gpuctl.domain.instance import Instance, Observed, Reason, Scope, Status
from gpuctl.domain.reconcile.actions import Rules, View, scope_of
from gpuctl.domain.reconcile.plan import records_to_query
from gpuctl.domain.tags import STATE
from gpuctl.errors import GpuctlError
from gpuctl.services.sessions import Session


@dataclass(slots=True)
class Survey:
    """What one account answered, as it comes in: listings first; then, on records read afresh, single questions."""

    session: Session
    began_at: datetime | None = None
    listed: dict[Scope, datetime] = field(default_factory=dict)
    observed: list[Observed] = field(default_factory=list)
    unreachable: dict[Scope, str] = field(default_factory=dict)
    hints: dict[Scope, str | None] = field(default_factory=dict)
    by_id: dict[str, Observed | None] = field(default_factory=dict)

    @property
    def view(self) -> View:
        """The answers so far, with the time they are judged by: the moment before the first of them was requested."""
        return View(
            now=self.began_at,
            listed=self.listed,
            observed=self.observed,
            unreachable=self.unreachable,
            by_id=self.by_id,
        )

    def list_scopes(self, scopes: Iterable[Scope], records: Sequence[Instance]) -> None:
        """List every one of these places; one that fails is noted as unreachable and never stops the others."""
        self.began_at = self.began_at or self.session.checked_now
        for scope in scopes:
            starting = [record.cloud_id for record in records if scope_of(record) == scope and _is_starting(record)]
            try:
                observed = self.session.provider.list_instances(scope.region, [text for text in starting if text])
            except GpuctlError as error:
                self.unreachable[scope] = error.message
                self.hints[scope] = error.hint
            else:
                self.listed[scope] = self.session.now
                self.observed += observed

    def query_by_id(self, records: Iterable[Instance], rules: Rules) -> None:
        """Query the instance of each record by itself where a complete listing lacked it, or where a listing failed and
        its deadline has passed; a failed query stays open.

        Where one has ended and its listing says neither when nor why, query that as well.
        """
        records = list(records)
        self._query_reason(records)
        unanswered = set[Scope]()
        for record in records_to_query(records, self.view, rules):
            if scope_of(record) in unanswered:
                continue
            try:
                self.by_id[record.id] = self._ask(record, rules)
            except GpuctlError:
                if scope_of(record) in self.unreachable:
                    # Each failure may take minutes.
                    unanswered.add(scope_of(record))

    def _query_reason(self, records: Iterable[Instance]) -> None:
        """Query each instance of which a listing shows only that it has ended: a query by id may find when and why."""
        places = {(observed.region, observed.cloud_id): place for place, observed in enumerate(self.observed)}
        for record in records:
            place = places.get((record.region, record.cloud_id or ""))
            if place is None or not record.is_active or record.reason is not None:
                continue
            observed = self.observed[place]
            is_listed = observed.ended_at is not None and record.idle is None
            if observed.exists or observed.end_reason is not None or is_listed:
                continue
            with suppress(GpuctlError):
                self.observed[place] = self._by_id(record, observed.cloud_id) or observed

    def _ask(self, record: Instance, rules: Rules) -> Observed | None:
        provider = self.session.provider
        if record.cloud_id is not None:
            return self._by_id(record, record.cloud_id)
        tagged = [
            observed
            for observed in provider.find(record.region, record.id)
            if observed.tags.get(STATE) == rules.state_id and observed.cloud_id not in record.former_cloud_ids
        ]
        return tagged[0] if tagged else None

    def _by_id(self, record: Instance, cloud_id: str) -> Observed | None:
        observed = self.session.provider.get(record.region, cloud_id)
        if observed is not None and observed.end_reason is Reason.IDLE and record.idle is None:
            # Anybody on the instance can write the words of an idle watch, which this instance does not have.
            return observed.model_copy(update={"end_reason": None})
        return observed


def _is_starting(record: Instance) -> bool:
    return record.status in (Status.PROVISIONING, Status.CONFIGURING)
