"""What budgets still allow: what is spent in their period and what lives could still cost, against their limits.

A budget is judged by money that is all in. What a machine could still cost until its deadline counts in the present
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
from gpuctl.domain.money.report import Sum, start_of_day, together
from gpuctl.domain.reconcile.actions import Action, Kind
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

    def covers(self, one: Instance) -> bool:
        """Whether what that machine costs counts in it."""
        if self.tag is not None:
            key, _, value = self.tag.partition("=")
            return one.tags.get(key) == value
        return self.user in (None, one.user)

    @property
    def label(self) -> str:
        """`$20.00 a day for user `ana``."""
        whose = f" for user `{self.user}`" if self.user is not None else ""
        whose = f" for tag `{self.tag}`" if self.tag is not None else whose
        return f"{_usd(self.usd)} a {self.period}{whose}"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a limit stands: what is spent in its period, what lives could still cost, and what is asked for could."""

    limit: Limit
    spent: Sum
    ahead: Sum
    asked: Sum

    @property
    def total(self) -> Decimal:
        """All of it in dollars, as far as prices are known."""
        return self.spent.total + self.ahead.total + self.asked.total

    @property
    def is_over(self) -> bool:
        """Whether it is more than the limit."""
        return self.total > self.limit.usd

    @property
    def is_near(self) -> bool:
        """Whether it is 80 % of the limit or more."""
        return self.total > 0 and self.total >= self.limit.usd * NEAR

    @property
    def unpriced(self) -> int:
        """How many machines of unknown price belong in it, and cannot be counted; those that live are among them."""
        return self.spent.unpriced

    @property
    def told(self) -> str:
        """The sum in words: `$3.10 spent + $0.60 committed + $0.54 requested = $4.24`."""
        this = f" + {_usd(self.asked.total)} requested" if self.asked != Sum() else ""
        bare = f", {self.spent.bare} without disk or public IP" if self.spent.bare else ""
        return (
            f"{_usd(self.spent.total)} spent + {_usd(self.ahead.total)} committed{this} = "
            f"{_usd(self.total.quantize(Decimal('0.01'), ROUND_UP))}{bare}"
        )


def limits(budgets: Budgets) -> list[Limit]:
    """Every limit there is: of everybody, of users, of tags."""
    return [
        *_of(Limits(budgets.daily_usd, budgets.monthly_usd)),
        *(one for user, some in budgets.per_user.items() for one in _of(some, user=user)),
        *(one for tag, some in budgets.per_tag.items() for one in _of(some, tag=tag)),
    ]


def standings(
    budgets: Budgets, records: Sequence[Instance], now: datetime, asked: Collection[str] = ()
) -> list[Standing]:
    """How the limits stand that cover any of the records `asked` for by id, or all of them where none is.

    `records` are all there are, the ended and archived ones of the period and those asked for among them.
    """
    wanted = [one for one in records if one.id in asked]
    return [
        _standing(limit, records, now, asked)
        for limit in limits(budgets)
        if not asked or any(limit.covers(one) for one in wanted)
    ]


def refuse_over(
    budgets: Budgets,
    records: Sequence[Instance],
    now: datetime,
    asked: Collection[str],
    *,
    allow_unknown_price: bool = False,
) -> None:
    """Raise BudgetError if the records asked for would pass a limit, or if unknown prices keep it from being told.

    Nothing is refused where budgets only warn.
    """
    if budgets.action is BudgetAction.WARN:
        return
    for one in standings(budgets, records, now, asked):
        if one.is_over:
            raise BudgetError(
                f"budget of {one.limit.label} exceeded: {one.told}",
                hint="gpuctl list shows active instances; terminate one, or raise `[budget]` in the config",
            )
        if one.unpriced and not allow_unknown_price:
            raise BudgetError(
                f"cannot check the budget of {one.limit.label}: {one.unpriced} instances of unknown price",
                hint="add `--allow-unknown-price` to skip the check for them",
            )


def warnings(budgets: Budgets, records: Sequence[Instance], now: datetime, asked: Collection[str]) -> list[str]:
    """What to say of the limits that the records asked for come near to, pass, or cannot be held against."""
    told = []
    for one in standings(budgets, records, now, asked):
        if one.is_over:
            told.append(f"budget of {one.limit.label} exceeded: {one.told}")
        elif one.is_near:
            told.append(f"{one.total * 100 / one.limit.usd:.0f} % of the budget of {one.limit.label}: {one.told}")
        if one.unpriced:
            told.append(f"{one.unpriced} of unknown price not counted in the budget of {one.limit.label}")
    return told


def to_end(budgets: Budgets, records: Sequence[Instance], now: datetime) -> dict[str, Limit]:
    """The machines to end so that what is spent and what the others could still cost fits every limit, and why.

    The newest first. None where budgets do not end machines. What is being ended counts with what it cost so far, so
    that one machine too many never ends a second; what has no known price frees nothing and is left alone.
    """
    if budgets.action is not BudgetAction.TERMINATE:
        return {}
    chosen: dict[str, Limit] = {}
    for limit in limits(budgets):
        covered = [one for one in records if limit.covers(one)]
        running = [one for one in covered if one.is_live and one.status is not Status.STOPPING]
        frees = {one.id: remaining(one, now).counted or _ZERO for one in running}
        spent = together(spent_between(one, limit.period.start(now), now) for one in covered).total
        total = spent + sum((usd for record_id, usd in frees.items() if record_id not in chosen), _ZERO)
        for one in sorted(running, key=lambda one: (one.created_at, one.id), reverse=True):
            if total <= limit.usd:
                break
            if one.id not in chosen and frees[one.id] > 0:
                chosen[one.id] = limit
                total -= frees[one.id]
    return chosen


def ends_for(actions: Iterable[Action], chosen: Mapping[str, Limit]) -> list[Action]:
    """The end of every machine among those chosen that the plan saw there and does not end anyway."""
    planned = list(actions)
    ended = {one.record.id for one in planned if one.record and one.kind in (Kind.TERMINATE, Kind.CLOSE)}
    return [
        replace(
            one,
            kind=Kind.TERMINATE,
            reason=Reason.BUDGET,
            detail=f"budget of {chosen[one.record.id].label} exceeded",
        )
        for one in planned
        if one.kind in (Kind.REFRESH, Kind.ADOPT)
        and one.record
        and one.record.id in chosen.keys() - ended
        and one.seen
        and one.seen.exists
    ]


def _standing(limit: Limit, records: Iterable[Instance], now: datetime, asked: Collection[str]) -> Standing:
    covered = [one for one in records if limit.covers(one)]
    return Standing(
        limit,
        spent=together(spent_between(one, limit.period.start(now), now) for one in covered),
        ahead=together(remaining(one, now) for one in covered if one.id not in asked),
        asked=together(remaining(one, now) for one in covered if one.id in asked),
    )


def _of(some: Limits, user: str | None = None, tag: str | None = None) -> list[Limit]:
    told = ((some.daily_usd, Period.DAY), (some.monthly_usd, Period.MONTH))
    return [Limit(usd, period, user, tag) for usd, period in told if usd is not None]


def _usd(amount: Decimal) -> str:
    return f"${to_cents(amount):,.2f}"
