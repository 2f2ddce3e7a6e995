"""Holds what is asked for against the budgets, before it is asked for and in the very transaction that grants it."""

from collections.abc import Collection, Sequence
from datetime import datetime

from gpuctl.domain.instance import Instance
from gpuctl.domain.market.request import Request
from gpuctl.domain.money.budget_check import Limit, Period, Standing, limits, refuse_over, standings, to_end, warnings
from gpuctl.domain.money.budgets import BudgetAction
from gpuctl.services.runtime import Runtime
from gpuctl.store.base import Guard


class Allowance:
    """What the budgets allow as of one instant. Where there are none it reads nothing and refuses nothing.

    Making one reads the state and then the archive of the period. A record that moves from the one to the other later
    is known from the first, so that a guard, which sees only the state, misses nothing.
    """

    def __init__(self, runtime: Runtime, now: datetime, *, allow_unknown_price: bool = False) -> None:
        self._budgets = runtime.budgets
        self._now = now
        self._allow_unknown_price = allow_unknown_price
        self._known: dict[str, Instance] = {}
        if limits(self._budgets):
            present = runtime.store.snapshot().records
            archived = runtime.store.archived(with_present=True, since=Period.MONTH.start(now))
            self._known = {record.id: record for record in (*archived, *present)}

    def check(self, asked: Sequence[Instance]) -> list[str]:
        """What to warn of were these records added, or put in the place of those of their ids. BudgetError if refused.

        A first look, for an answer before anything is asked of a cloud: only a guard makes sure.
        """
        records, ids = self._with(asked), {record.id for record in asked}
        self._refuse(records, ids)
        return warnings(self._budgets, records, self._now, ids)

    def adding(self, asked: Sequence[Instance]) -> Guard:
        """The guard for `Store.add` of these records."""
        return lambda present: self._refuse(self._with([*present, *asked]), {record.id for record in asked})

    def changing(self, *record_ids: str) -> Guard:
        """The guard for `Store.update` of these records: to another price, place, or deadline."""
        return lambda after: self._refuse(self._with(after), record_ids)

    def standings(self) -> list[Standing]:
        """How every limit stands."""
        return standings(self._budgets, list(self._known.values()), self._now)

    @classmethod
    def ending(cls, runtime: Runtime, now: datetime) -> dict[str, Limit]:
        """The machines to end for the sake of the budgets, by id, and for which limit; none where they end none."""
        if runtime.budgets.action is not BudgetAction.TERMINATE:
            return {}
        return to_end(runtime.budgets, list(cls(runtime, now)._known.values()), now)

    def _with(self, records: Sequence[Instance]) -> list[Instance]:
        return list({**self._known, **{record.id: record for record in records}}.values())

    def _refuse(self, records: Sequence[Instance], asked: Collection[str]) -> None:
        refuse_over(self._budgets, records, self._now, asked, allow_unknown_price=self._allow_unknown_price)


def allowance_of(request: Request, runtime: Runtime, now: datetime) -> Allowance:
    """What is allowed to who asks for that."""
    return Allowance(runtime, now, allow_unknown_price=request.allow_unknown_price)
