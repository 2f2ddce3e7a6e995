"""The reaper without a state: machines are ended by what their own tags say, and nothing else is done."""

from dataclasses import replace

from gpuctl.domain.reconcile import Action, Kind, Rules, for_strangers
from gpuctl.services.acting import Acting, Done
from gpuctl.services.parts import Parts
from gpuctl.services.reap import Reaped, Reaper
from gpuctl.services.restoring import logins_of, look_everywhere
from gpuctl.store.base import ReapTimes


def reap_by_tags(parts: Parts, state_id: str, times: ReapTimes, reaper: Reaper) -> Reaped:
    """One pass while the state cannot be used: what carries this state's id and is past its own deadline is ended, as
    an orphan is. The store is never touched. Everywhere the reaper has been is asked, and else every region there is.
    """
    everywhere = look_everywhere(parts, logins_of((), times, reaper.places))
    reaped = Reaped(problems=[*everywhere.problems])
    for look in everywhere.looks:
        rules = Rules(state_id, reaper.reap_state_ids, reaper.max_orphans - reaped.orphans)
        # A place that did not answer stands among the problems already.
        view = replace(look.view, unreachable={})
        actions = [_not_adopted(one) for one in for_strangers((), view, rules)]
        reaped.done += [Done(one, None) for one in actions] if reaper.dry_run else Acting(parts, look).apply(actions)
    return reaped


def _not_adopted(action: Action) -> Action:
    if action.kind is not Kind.ADOPT:
        return action
    return replace(action, kind=Kind.WAIT, detail="in time, and its state cannot be used")
