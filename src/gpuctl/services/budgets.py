"""Checks requests against the budgets: before anything is created, and in the transaction that saves the records."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from gpuctl.domain.instance import Instance
from gpuctl.domain.market.request import Request
from gpuctl.domain.money.budget_check import (
    BudgetStatus,
    Limit,
    Period,
    budget_statuses,
    instances_to_terminate,
    limits,
    refuse_over,
    warnings,
)
from gpuctl.domain.money.budgets import BudgetAction, Budgets
from gpuctl.store.base import Guard, RecordStore


class Allowance:
    """What the budgets allow as of one instant. Where there are none it reads nothing and refuses nothing.

    Making one reads the state and then the archive of the period. A record that moves from the one to the other later
    is known from the first, so that a guard, which sees only the state, misses nothing.
    """

    def __init__(
        self, store: RecordStore, budgets: Budgets, now: datetime, *, allow_unknown_price: bool = False
    ) -> None:
        self._budgets = budgets
        self._now = now
        self._allow_unknown_price = allow_unknown_price
        self._known: dict[str, Instance] = {}
        if limits(self._budgets):
            present = store.snapshot().records
            archived = store.archived(with_present=True, since=Period.MONTH.start(now))
            self._known = {record.id: record for record in (*archived, *present)}

    def check(self, requested: Sequence[Instance]) -> list[str]:
        """The warnings if these records were added or replaced. BudgetError if a limit is exceeded.

        An early check, before any request to a provider: only a guard is decisive.
        """
        records, ids = self._with_requested(requested), {record.id for record in requested}
        self._refuse(records, ids)
        return warnings(self._budgets, records, self._now, ids)

    def adding(self, requested: Sequence[Instance]) -> Guard:
        """The guard for `Store.add` of these records."""
        return lambda present: self._refuse(
            self._with_requested([*present, *requested]), {record.id for record in requested}
        )

    def changing(self, *record_ids: str) -> Guard:
        """The guard for `Store.update` of these records: to another price, place, or deadline."""
        return lambda after: self._refuse(self._with_requested(after), record_ids)

    def statuses(self) -> list[BudgetStatus]:
        """The status of every limit."""
        return budget_statuses(self._budgets, list(self._known.values()), self._now)

    @classmethod
    def ending(
        cls,
        store: RecordStore,
        budgets: Budgets,
        now: datetime,
        counted: Callable[[Sequence[Instance]], Sequence[Instance]] = lambda records: records,
    ) -> dict[str, Limit]:
        """The instances to end for the sake of the budgets, by id, and for which limit; none where they end none.

        `counted` selects the records that count.
        """
        if budgets.action is not BudgetAction.TERMINATE:
            return {}
        return instances_to_terminate(budgets, counted(list(cls(store, budgets, now)._known.values())), now)

    def _with_requested(self, records: Sequence[Instance]) -> list[Instance]:
        return list({**self._known, **{record.id: record for record in records}}.values())

    def _refuse(self, records: Sequence[Instance], requested: Collection[str]) -> None:
        refuse_over(self._budgets, records, self._now, requested, allow_unknown_price=self._allow_unknown_price)


def allowance_of(request: Request, store: RecordStore, budgets: Budgets, now: datetime) -> Allowance:
    """What the budgets allow for that request."""
    return Allowance(store, budgets, now, allow_unknown_price=request.allow_unknown_price)
