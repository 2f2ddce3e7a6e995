"""Carries out a plan: every decision is looked at again in the very transaction that makes it true."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from gpuctl.domain.instance import Instance, Reason, Status
from gpuctl.domain.lifecycle import advance, refreshed, swept, with_facts
from gpuctl.domain.reconcile.actions import Action, ActionKind
from gpuctl.domain.reconcile.deadlines import extended, lacks_granted_deadline
from gpuctl.errors import GpuctlError, UnresolvedError
from gpuctl.services.isolation import run_isolated
from gpuctl.services.reconcile.adopt import adopted, without_used_name
from gpuctl.services.reconcile.observe import Survey
from gpuctl.services.reconcile.timers import lacks_timer, with_timer, write_granted_deadline
from gpuctl.services.runtime import Runtime
from gpuctl.store.base import Change


@dataclass(frozen=True, slots=True)
class ActionResult:
    """The result of one action: the present record (None for an instance without one) and the error.

    `hint` is what to do about the error, None if unknown.
    """

    action: Action
    record: Instance | None
    error: str | None = None
    hint: str | None = None

    @property
    def unresolved(self) -> bool:
        """Whether a person should look."""
        return self.action.unresolved or self.error is not None

    @property
    def terminates(self) -> bool:
        """Whether it terminates the instance, or confirms that it is terminated."""
        return self.action.kind in (ActionKind.TERMINATE, ActionKind.CLOSE)


_NOTED = (ActionKind.REFRESH, ActionKind.ADOPT, ActionKind.WAIT)


class NotDue(GpuctlError):
    """Another attempt was made after the plan was made: nothing is terminated."""


class Applier:
    """Does what a plan says for one account. Doing the same plan twice is harmless.

    With `force`, foreign resources among those of an instance are deleted with it.
    """

    def __init__(self, runtime: Runtime, survey: Survey, *, force: bool = False) -> None:
        self._runtime = runtime
        self._survey = survey
        self._force = force
        self._done: dict[int, ActionResult] = {}

    def apply(self, actions: Sequence[Action]) -> list[ActionResult]:
        """Do all of it, in the plan's order within each kind of step, and tell what became of each action."""
        steps: list[tuple[Callable[[Sequence[Action]], None], list[Action]]] = [
            (self._sweep, [action for action in actions if action.left]),
            (self._note, [action for action in actions if action.record and action.kind in _NOTED and not action.left]),
            (self._close, [action for action in actions if action.kind is ActionKind.CLOSE]),
            (self._end, [action for action in actions if action.kind is ActionKind.TERMINATE]),
            (self._adopt, [action for action in actions if action.record is None and action.kind is ActionKind.ADOPT]),
            (
                self._arm,
                [
                    action
                    for action in actions
                    if action.kind in (ActionKind.ADOPT, ActionKind.REFRESH) and not action.left
                ],
            ),
            (
                self._write_deadline,
                [action for action in actions if action.kind is ActionKind.REFRESH and _lacks_deadline(action)],
            ),
        ]
        for step, batch in steps:
            if batch:
                run_isolated(batch, step, self._on_bug)
        return [self._done.get(id(action)) or ActionResult(action, action.record) for action in actions]

    def _note(self, batch: Sequence[Action]) -> None:
        now = self._survey.session.now

        def facts(fresh: Instance, action: Action) -> Instance:
            if action.observed is not None:
                if _is_outdated(fresh, action):
                    return fresh
                return extended(refreshed(fresh, action.observed, now), action.extended_to, now)
            if fresh.status.is_ended or _is_outdated(fresh, action) or fresh.id not in self._survey.by_id:
                return fresh
            listed_at = self._survey.listed[action.scope]
            return with_facts(fresh, fresh.updated_at, absent_since=fresh.absent_since or listed_at)

        self._write(batch, facts)

    def _sweep(self, batch: Sequence[Action]) -> None:
        now = self._survey.session.now
        for action in batch:
            self._write([action], lambda fresh, action: swept(fresh, action.left or "", now))

    def _arm(self, batch: Sequence[Action]) -> None:
        """Set the timer outside your computer where the create could not and did not live to do it afterwards.

        The present timer is read first and saved in the record, so that nothing is written twice.
        """
        provider = self._survey.session.provider
        if provider.capabilities.timer_in_create:
            return
        for action in batch:
            done = self._done[id(action)]
            if done.record is None or done.error is not None or not lacks_timer(done.record, action.observed):
                continue
            try:
                safeguards = with_timer(provider, done.record, self._survey.session.now)
            except GpuctlError as error:
                self._done[id(action)] = replace(done, error=f"its shutdown timer could not be set: {error.message}")
                continue
            change = partial(with_facts, at=self._survey.session.now, safeguards=safeguards)
            self._runtime.store.update_each([done.record.id], change)

    def _write_deadline(self, batch: Sequence[Action]) -> None:
        """Write a granted deadline to the tags again where an extension on another computer has replaced it."""
        provider = self._survey.session.provider
        for action in batch:
            done = self._done[id(action)]
            if done.record is None or done.error is not None:
                continue
            try:
                write_granted_deadline(provider, done.record)
            except GpuctlError as error:
                message = f"its deadline could not be written to its tags again: {error.message}"
                self._done[id(action)] = replace(done, error=message, hint=error.hint)

    def _close(self, batch: Sequence[Action]) -> None:
        now = self._survey.session.now

        def closed(fresh: Instance, action: Action) -> Instance:
            proof = action.proof
            if proof is None or fresh.status.is_ended or _is_outdated(fresh, action):
                return fresh
            if action.observed is not None:
                fresh = refreshed(fresh, action.observed, now)
            return advance(
                fresh,
                proof.status,
                now,
                proof.reason,
                detail=action.detail or None,
                terminated_at=proof.ended_at,
                end_is_estimate=proof.is_estimate,
            )

        self._write(batch, closed)

    def _end(self, batch: Sequence[Action]) -> None:
        now = self._survey.session.now
        judged_at = self._survey.began_at or now

        def stopping(fresh: Instance, action: Action) -> Instance:
            if fresh.status.is_ended:
                return fresh
            if action.observed is not None and action.observed.cloud_id in fresh.former_cloud_ids:
                raise NotDue("another attempt was made in the meantime")
            fresh = extended(fresh, action.extended_to, now)
            if action.reason is Reason.EXPIRED and fresh.status is not Status.STOPPING and not fresh.is_due(judged_at):
                return fresh
            if action.observed is not None and not _is_outdated(fresh, action):
                fresh = refreshed(fresh, action.observed, now)
            return advance(fresh, Status.STOPPING, now, action.reason)

        self._write(batch, stopping)
        for action in batch:
            self._spare_extended(action)
        actions = [action for action in batch if self._is_still_expired(action)]
        failures = self._request_termination(actions)

        def requested(fresh: Instance, action: Action) -> Instance:
            if fresh.status.is_ended:
                return fresh
            error = failures.get(id(action))
            if error is not None:
                return with_facts(fresh, now, last_error=error.message)
            return with_facts(fresh, now, last_error=None, deleted_by_us_at=fresh.deleted_by_us_at or now)

        self._write(actions, requested)
        for action in actions:
            if id(action) in failures:
                done = self._done[id(action)]
                failure = failures[id(action)]
                self._done[id(action)] = replace(done, error=failure.message, hint=failure.hint)

    def _spare_extended(self, action: Action) -> None:
        """Turn the action into a wait where its deadline was extended after the plan was made."""
        done = self._done[id(action)]
        if done.error is not None or done.record is None or done.record.status.is_ended:
            return
        if done.record.status is not Status.STOPPING:
            waits = replace(action, kind=ActionKind.WAIT, reason=None, detail="extended in the meantime")
            self._done[id(action)] = replace(done, action=waits)

    def _is_still_expired(self, action: Action) -> bool:
        done = self._done[id(action)]
        return done.error is None and done.action.kind is ActionKind.TERMINATE

    def _request_termination(self, actions: Iterable[Action]) -> dict[int, GpuctlError]:
        """Request the termination of these instances, one call per region; the error of each failed action by its
        position.
        """
        failures: dict[int, GpuctlError] = {}
        regions: dict[str, dict[str, Action]] = {}
        for action in actions:
            cloud_id = _cloud_id(action)
            if cloud_id is not None:
                regions.setdefault(action.scope.region, {})[cloud_id] = action
        for region, machines in regions.items():
            try:
                failed: Mapping[str, GpuctlError] = self._survey.session.provider.terminate(
                    region, list(machines), force=self._force
                )
            except GpuctlError as error:
                failed = dict.fromkeys(machines, error)
            failures |= {id(machines[cloud_id]): error for cloud_id, error in failed.items()}
        return failures

    def _adopt(self, batch: Sequence[Action]) -> None:
        now = self._survey.session.now
        for action in batch:
            if action.observed is None:
                continue
            record = adopted(action.observed, self._survey.session.profile, now, self._runtime)
            record = without_used_name(record, self._runtime.store.snapshot().records)
            try:
                self._runtime.store.add([record], partial(_refuse_known, record))
            except UnresolvedError as error:
                self._done[id(action)] = ActionResult(action, None, error.message)
            else:
                self._done[id(action)] = ActionResult(action, record)

    def _write(self, batch: Sequence[Action], change: Callable[[Instance, Action], Instance]) -> None:
        """Change the batch's records in one transaction and keep what became of each."""
        by_record = {action.record.id: action for action in batch if action.record is not None}
        replies = self._runtime.store.update_each(list(by_record), _by_id(by_record, change)) if by_record else {}
        for action in batch:
            reply = replies.get(action.record.id) if action.record else None
            if isinstance(reply, NotDue):
                waits = replace(action, kind=ActionKind.WAIT, reason=None, detail=reply.message)
                self._done[id(action)] = ActionResult(waits, action.record)
            elif isinstance(reply, GpuctlError):
                self._done[id(action)] = ActionResult(action, action.record, reply.message)
            else:
                self._done[id(action)] = ActionResult(action, reply)

    def _on_bug(self, action: Action, trace: str) -> None:
        self._runtime.progress.trace(trace)
        error = f"internal error while processing {action.subject}"
        self._done[id(action)] = ActionResult(action, action.record, error)


def _lacks_deadline(action: Action) -> bool:
    return action.record is not None and lacks_granted_deadline(action.record, action.observed)


def _by_id(actions: Mapping[str, Action], change: Callable[[Instance, Action], Instance]) -> Change:
    return lambda fresh: change(fresh, actions[fresh.id])


def _is_outdated(fresh: Instance, action: Action) -> bool:
    """Whether the record got another instance, or another attempt, after the plan was made."""
    planned = action.record
    if planned is None:
        return False
    if action.observed is not None:
        return (
            fresh.cloud_id not in (None, action.observed.cloud_id) or action.observed.cloud_id in fresh.former_cloud_ids
        )
    return fresh.cloud_id != planned.cloud_id or fresh.attempts != planned.attempts


def _refuse_known(record: Instance, present: Sequence[Instance]) -> None:
    if any(instance.id == record.id for instance in present):
        raise UnresolvedError(f"a record for {record.id} was written in the meantime")


def _cloud_id(action: Action) -> str | None:
    if action.observed is not None:
        return action.observed.cloud_id
    return action.record.cloud_id if action.record else None
