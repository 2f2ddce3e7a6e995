"""One pass over some records: observe, plan, apply; shared by waiting commands and the reaper."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from gpuctl.domain.instance import Instance, ProviderName
from gpuctl.domain.reconcile.actions import Action, ActionKind, Rules, scope_of
from gpuctl.domain.reconcile.plan import Decide, Isolate, plan_records
from gpuctl.domain.reconcile.recovery import confirmed_by_tags
from gpuctl.errors import GpuctlError, UnreachableError
from gpuctl.services.isolation import run_isolated
from gpuctl.services.progress import Progress
from gpuctl.services.reconcile.apply import ActionResult, Applier
from gpuctl.services.reconcile.observe import Survey
from gpuctl.services.reconcile.report import record_near_deadlines
from gpuctl.services.runtime import Runtime


@dataclass(slots=True)
class ReconcileResult:
    """The results of one pass over some records, and the error of each record that could not be queried."""

    done: list[ActionResult] = field(default_factory=list)
    unasked: dict[str, GpuctlError] = field(default_factory=dict)


Wanted = Callable[[Action], bool]


def settle(
    runtime: Runtime, record_ids: Collection[str], wanted: Wanted = lambda action: True, *, force: bool = False
) -> ReconcileResult:
    """Update these records from their providers, close what is confirmed terminated and terminate what is expired.

    Notes a deadline that is near. Touches no other record and no instance without one. `wanted` selects the actions to
    apply. `force` also deletes resources that others added to those of an instance.
    """
    settled = ReconcileResult()
    before = runtime.store.snapshot()
    record_near_deadlines(runtime.store, runtime.clock.now(), before, record_ids)
    chosen = [record for record in before.records if record.id in record_ids and record.is_active]
    for (name, account, profile), group in by_login(chosen).items():
        try:
            session = runtime.sessions.of_account(name, account, profile)
        except GpuctlError as error:
            settled.unasked |= {record.id: error for record in group}
            continue
        survey = Survey(session)
        survey.list_scopes(dict.fromkeys(scope_of(record) for record in group), group)
        settled.unasked |= {
            record.id: UnreachableError(survey.unreachable[scope_of(record)], hint=survey.hints[scope_of(record)])
            for record in group
            if scope_of(record) in survey.unreachable
        }
        state = runtime.store.snapshot()
        rules = Rules(state_id=state.state_id or "")
        ids = {record.id for record in group}
        fresh = [record for record in state.records if record.id in ids]
        survey.query_by_id(fresh, rules)
        actions = plan_records(fresh, survey.view, rules, isolated(runtime.progress))
        if state.is_restored:
            actions = confirmed_by_tags(actions, survey.view.now)
        settled.done += Applier(runtime, survey, force=force).apply([action for action in actions if wanted(action)])
    return settled


def refresh(runtime: Runtime, record_ids: Collection[str]) -> Mapping[str, GpuctlError]:
    """Update these records from their providers, and return the error of each that could not be queried.

    Closes records whose instance is confirmed terminated. Terminates nothing, not even expired instances.
    """
    return settle(runtime, record_ids, wanted=lambda action: action.kind is not ActionKind.TERMINATE).unasked


def isolated(progress: Progress) -> Isolate:
    """Turns a bug in the decision about one record into a report about that record."""

    def isolate(decide: Decide) -> Decide:
        def decided(record: Instance) -> list[Action]:
            actions: list[Action] = []

            def on_bug(record: Instance, trace: str) -> None:
                progress.trace(trace)
                detail = f"internal error while deciding about {record.id}"
                actions.append(Action(ActionKind.REPORT, scope_of(record), record, detail=detail, unresolved=True))

            run_isolated([record], lambda alone: actions.extend(decide(alone[0])), on_bug)
            return actions

        return decided

    return isolate


def by_login(records: Iterable[Instance]) -> dict[tuple[ProviderName, str, str | None], list[Instance]]:
    """The records grouped by the login they need: provider, account and profile."""
    groups: dict[tuple[ProviderName, str, str | None], list[Instance]] = {}
    for record in records:
        groups.setdefault((record.provider, record.account, record.profile), []).append(record)
    return groups
