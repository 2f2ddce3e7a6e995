"""What budgets still allow: spent in their period plus committed by active instances, against their limits.

A budget is judged by money that is all in. What an instance could still cost until its deadline counts in the present
day and month in full, though a part of it may fall into the next: rather too much than too little.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_UP, Decimal
from enum import StrEnum

from gpuctl.domain.instance import Instance, Reason, Status
from gpuctl.domain.money.budgets import BudgetAction, Budgets, Limits
from gpuctl.domain.money.cost import remaining, spent_between, to_cents
from gpuctl.domain.money.report import CostSum, cost_sum, start_of_day
from gpuctl.domain.money.shares import shares
from gpuctl.domain.reconcile.actions import Action, ActionKind
from gpuctl.errors import BudgetError

NEAR = Decimal("0.8")
_ZERO = Decimal(0)


class Period(StrEnum):
    """How long a limit counts before it begins anew; both are of UTC."""

    DAY = "day"
    MONTH = "month"

    def start(self, at: datetime) -> datetime:
        """When the one began in which that instant falls."""
        day = start_of_day(at)
        return day if self is Period.DAY else day.replace(day=1)


@dataclass(frozen=True, slots=True)
class Limit:
    """Dollars a period, for everybody or for those with that user, or with that tag as `key=value`."""

    usd: Decimal
    period: Period
    user: str | None = None
    tag: str | None = None

    def covers(self, record: Instance) -> bool:
        """Whether what that instance costs counts in it."""
        if self.tag is not None:
            key, _, value = self.tag.partition("=")
            return record.tags.get(key) == value
        return self.user in (None, record.user)

    @property
    def label(self) -> str:
        """`$20.00 a day for user `ana``."""
        suffix = f" for user `{self.user}`" if self.user is not None else ""
        suffix = f" for tag `{self.tag}`" if self.tag is not None else suffix
        return f"{_usd(self.usd)} a {self.period}{suffix}"


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """A limit with what counts against it: spent in its period, committed by active instances, and requested now."""

    limit: Limit
    spent: CostSum
    ahead: CostSum
    requested: CostSum

    @property
    def total(self) -> Decimal:
        """All of it in dollars, as far as prices are known."""
        return self.spent.total + self.ahead.total + self.requested.total

    @property
    def is_over(self) -> bool:
        """Whether it is more than the limit."""
        return self.total > self.limit.usd

    @property
    def is_near(self) -> bool:
        """Whether it is 80 % of the limit or more."""
        return self.total > 0 and self.total >= self.limit.usd * NEAR

    @property
    def unknown_price_count(self) -> int:
        """How many instances of unknown price belong in it, and cannot be counted; those that live are among them."""
        return self.spent.unknown_price_count

    @property
    def summary(self) -> str:
        """The sum in words: `$3.10 spent + $0.60 committed + $0.54 requested = $4.24`."""
        requested = f" + {_usd(self.requested.total)} requested" if self.requested != CostSum() else ""
        bare = f", {self.spent.compute_only_count} without disk or public IP" if self.spent.compute_only_count else ""
        return (
            f"{_usd(self.spent.total)} spent + {_usd(self.ahead.total)} committed{requested} = "
            f"{_usd(self.total.quantize(Decimal('0.01'), ROUND_UP))}{bare}"
        )


def limits(budgets: Budgets) -> list[Limit]:
    """Every limit there is: of everybody, of users, of tags."""
    return [
        *_limits_of(Limits(budgets.daily_usd, budgets.monthly_usd)),
        *(limit for user, some in budgets.per_user.items() for limit in _limits_of(some, user=user)),
        *(limit for tag, some in budgets.per_tag.items() for limit in _limits_of(some, tag=tag)),
    ]


def budget_statuses(
    budgets: Budgets, records: Sequence[Instance], now: datetime, requested: Collection[str] = ()
) -> list[BudgetStatus]:
    """The status of every limit that covers any of the records in `requested`, by ID; of all limits if that is empty.

    `records` are all records, with the terminated and archived ones of the period.
    """
    wanted = [record for record in records if record.id in requested]
    return [
        _status(limit, records, now, requested)
        for limit in limits(budgets)
        if not requested or any(limit.covers(record) for record in wanted)
    ]


def refuse_over(
    budgets: Budgets,
    records: Sequence[Instance],
    now: datetime,
    requested: Collection[str],
    *,
    allow_unknown_price: bool = False,
) -> None:
    """Raise BudgetError if the requested records would exceed a limit, or if unknown prices prevent the check.

    Nothing is refused where budgets only warn.
    """
    if budgets.action is BudgetAction.WARN:
        return
    for status in budget_statuses(budgets, records, now, requested):
        if status.is_over:
            raise BudgetError(
                f"budget of {status.limit.label} exceeded: {status.summary}",
                hint="gpuctl list shows active instances; terminate one, or raise `[budget]` in the config",
            )
        if status.unknown_price_count and not allow_unknown_price:
            raise BudgetError(
                f"cannot check the budget of {status.limit.label}: "
                f"{status.unknown_price_count} instances of unknown price",
                hint="add `--allow-unknown-price` to skip the check for them",
            )


def warnings(budgets: Budgets, records: Sequence[Instance], now: datetime, requested: Collection[str]) -> list[str]:
    """A line for each limit that the requested records come near to or exceed, or that cannot be checked."""
    parts = []
    for status in budget_statuses(budgets, records, now, requested):
        if status.is_over:
            parts.append(f"budget of {status.limit.label} exceeded: {status.summary}")
        elif status.is_near:
            parts.append(
                f"{status.total * 100 / status.limit.usd:.0f} % of the budget of {status.limit.label}: {status.summary}"
            )
        if status.unknown_price_count:
            parts.append(
                f"{status.unknown_price_count} of unknown price not counted in the budget of {status.limit.label}"
            )
    return parts


def instances_to_terminate(budgets: Budgets, records: Sequence[Instance], now: datetime) -> dict[str, Limit]:
    """The instances to terminate, newest first, so that spent and committed cost fit every limit, with the exceeded
    limit.

    Empty unless budgets terminate instances. An instance that is being terminated counts with its cost so far, so that
    one excess terminates no second instance; one of unknown price is left alone.
    """
    if budgets.action is not BudgetAction.TERMINATE:
        return {}
    chosen: dict[str, Limit] = {}
    for limit in limits(budgets):
        covered = _covered(limit, records, now)
        running = [record for record in covered if record.is_active and record.status is not Status.STOPPING]
        frees = {record.id: remaining(record, now).counted or _ZERO for record in running}
        spent = cost_sum(spent_between(record, limit.period.start(now), now) for record in covered).total
        total = spent + sum((usd for record_id, usd in frees.items() if record_id not in chosen), _ZERO)
        for record in sorted(running, key=lambda instance: (instance.created_at, instance.id), reverse=True):
            if total <= limit.usd:
                break
            if record.id not in chosen and frees[record.id] > 0:
                chosen[record.id] = limit
                total -= frees[record.id]
    return chosen


def ends_for(actions: Iterable[Action], chosen: Mapping[str, Limit]) -> list[Action]:
    """A termination of every chosen instance that exists and that the plan does not terminate anyway."""
    planned = list(actions)
    ended = {
        action.record.id
        for action in planned
        if action.record and action.kind in (ActionKind.TERMINATE, ActionKind.CLOSE)
    }
    return [
        replace(
            action,
            kind=ActionKind.TERMINATE,
            reason=Reason.BUDGET,
            detail=f"budget of {chosen[action.record.id].label} exceeded",
        )
        for action in planned
        if action.kind in (ActionKind.REFRESH, ActionKind.ADOPT)
        and action.record
        and action.record.id in chosen.keys() - ended
        and action.observed
        and action.observed.exists
    ]


def _status(limit: Limit, records: Iterable[Instance], now: datetime, requested: Collection[str]) -> BudgetStatus:
    covered = _covered(limit, records, now)
    return BudgetStatus(
        limit,
        spent=cost_sum(spent_between(record, limit.period.start(now), now) for record in covered),
        ahead=cost_sum(remaining(record, now) for record in covered if record.id not in requested),
        requested=cost_sum(remaining(record, now) for record in covered if record.id in requested),
    )


def _covered(limit: Limit, records: Iterable[Instance], now: datetime) -> list[Instance]:
    """What counts in the limit. Of an instance of a pool a user pays for their own leases only."""
    if limit.user is not None:
        records = (share for record in records for share in shares(record, now))
    return [record for record in records if limit.covers(record)]


def _limits_of(limits: Limits, user: str | None = None, tag: str | None = None) -> list[Limit]:
    text = ((limits.daily_usd, Period.DAY), (limits.monthly_usd, Period.MONTH))
    return [Limit(usd, period, user, tag) for usd, period in text if usd is not None]


def _usd(amount: Decimal) -> str:
    return f"${to_cents(amount):,.2f}"
