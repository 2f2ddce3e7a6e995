"""The reaper without a state: terminates instances by their own tags, and does nothing else."""

from collections.abc import Sequence
from dataclasses import replace

from gpuctl.domain.reconcile.actions import Action, ActionKind, Rules
from gpuctl.domain.reconcile.orphans import plan_without_record
from gpuctl.services.isolation import run_isolated
from gpuctl.services.reap.reaper import ReapOptions, ReapResult
from gpuctl.services.reap.restore import logins_of, survey_everywhere
from gpuctl.services.reconcile.apply import ActionResult, Applier
from gpuctl.services.reconcile.observe import Survey
from gpuctl.services.runtime import Runtime
from gpuctl.store.reaper import ReapTimes


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


def _not_adopted(action: Action) -> Action:
    if action.kind is not ActionKind.ADOPT:
        return action
    return replace(action, kind=ActionKind.WAIT, detail="before its deadline, and its state is not usable")
