"""The reaper without a state: terminates instances by their own tags, and does nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gpuctl.domain.instance import Reason, Scope
from gpuctl.domain.reconcile.actions import Action, ActionKind, Rules
from gpuctl.domain.reconcile.orphans import plan_without_record
from gpuctl.domain.tags import ownership
from gpuctl.services.isolation import run_isolated
from gpuctl.services.reap.reaper import ReapOptions, ReapResult
from gpuctl.services.reap.restore import ConfiguredRegion, logins_of, survey_everywhere
from gpuctl.services.reconcile.apply import ActionResult, Applier
from gpuctl.services.reconcile.observe import Survey
from gpuctl.services.runtime import Runtime
from gpuctl.store.reaper import ReapTimes


@dataclass(slots=True)
class TerminatedByTags:
    """What was terminated without a state, and what could not be queried."""

    done: list[ActionResult] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def reap_by_tags(runtime: Runtime, state_id: str, times: ReapTimes, options: ReapOptions) -> ReapResult:
    """One run while the state cannot be used: instances with this state's ID past the deadline in their tag are
    terminated like orphans. The store is not written. Queries every region where the reaper has been, else every
    region.
    """
    everywhere = survey_everywhere(runtime, logins_of((), times, options.places))
    result = ReapResult(problems=[str(problem) for problem in everywhere.problems])

    def work(surveys: Sequence[Survey]) -> None:
        for survey in surveys:
            rules = Rules(state_id, options.reap_state_ids, options.max_orphans - result.orphans)
            # A region that did not reply is among the problems already.
            view = replace(survey.view, unreachable={})
            actions = [_not_adopted(action) for action in plan_without_record((), view, rules)]
            done = (
                [ActionResult(action, None) for action in actions]
                if options.dry_run
                else Applier(runtime, survey).apply(actions)
            )
            result.done += done

    def on_bug(survey: Survey, trace: str) -> None:
        runtime.progress.trace(trace)
        result.problems.append(f"{survey.session.provider.name} {survey.session.account}: internal error in this pass")

    for survey in everywhere.surveys:
        run_isolated([survey], work, on_bug)
    return result


def terminate_by_tags(
    runtime: Runtime, state_id: str, record_ids: Sequence[str], times: ReapTimes, places: Sequence[ConfiguredRegion]
) -> TerminatedByTags:
    """Terminate the instances tagged with these complete IDs, this state and a deadline, while the state is unusable.

    The store is never touched. Everywhere the reaper has been is queried, and otherwise every region.
    """
    everywhere = survey_everywhere(runtime, logins_of((), times, places))
    result = TerminatedByTags(problems=[str(problem) for problem in everywhere.problems])
    for survey, observed in everywhere.instances_of(state_id):
        if ownership(observed.tags).record_id in record_ids:
            scope = Scope(provider=observed.provider, account=observed.account, region=observed.region)
            detail = f"{observed.cloud_id} carries the tags of {ownership(observed.tags).record_id}"
            action = Action(ActionKind.TERMINATE, scope, None, observed, Reason.USER, None, detail)
            result.done += Applier(runtime, survey).apply([action])
    return result


def _not_adopted(action: Action) -> Action:
    if action.kind is not ActionKind.ADOPT:
        return action
    return replace(action, kind=ActionKind.WAIT, detail="before its deadline, and its state is not usable")
