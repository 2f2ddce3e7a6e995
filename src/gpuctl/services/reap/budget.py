"""The instances that the reaper terminates for a budget, also while a restored state is not complete."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.money.budget_check import Limit, limits
from gpuctl.domain.money.budgets import BudgetAction, Budgets
from gpuctl.domain.reconcile.actions import scope_of
from gpuctl.services.budgets import Allowance
from gpuctl.services.reap.restore import FullSurvey, machine_of
from gpuctl.services.runtime import Runtime


def over_budget(runtime: Runtime, everywhere: FullSurvey | None, now: datetime) -> dict[str, Limit]:
    """The instances to terminate for a budget, by ID, and for which limit. Loads no SDK and sends no request.

    `everywhere` is what a restored state was merged with; none are terminated while there is no such survey.
    """
    state = runtime.store.snapshot()
    if not state.is_restored:
        return Allowance.ending(runtime.store, runtime.budgets, now)
    if everywhere is None:
        return {}
    counted = partial(counted_while_restored, everywhere=everywhere, state_id=state.state_id or "", now=now)
    return Allowance.ending(runtime.store, runtime.budgets, now, counted)


def note_on_budgets(budgets: Budgets, everywhere: FullSurvey) -> list[str]:
    """What to say where budgets terminate instances and regions could not be listed."""
    if budgets.action is not BudgetAction.TERMINATE or not limits(budgets) or not everywhere.problems:
        return []
    return ["budgets count what the records say of the regions that could not be queried, until their deadlines"]


def counted_while_restored(
    records: Sequence[Instance], everywhere: FullSurvey, state_id: str, now: datetime
) -> list[Instance]:
    """The records that count before every region was listed.

    An active one counts if its instance was listed; in a region that could not be listed it counts until its deadline.
    The others have ended at a time that the older state does not know.
    """
    listed = {scope for survey in everywhere.surveys for scope in survey.listed}
    counted = []
    for record in records:
        if record.is_active and scope_of(record) not in listed and record.is_due(now):
            counted.append(record.with_fields(status=Status.TERMINATED, terminated_at=record.expires_at))
        elif not record.is_active or scope_of(record) not in listed or machine_of(record, everywhere, state_id):
            counted.append(record)
    return counted
