"""Budgets: the sum, the limits it is held against, who is refused, who is warned, and whom the reaper ends."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from support.instances import a_ready_instance, an_instance

from gpuctl.domain.instance import Instance, Price, Status
from gpuctl.domain.money.budget_check import (
    Limit,
    Period,
    budget_statuses,
    instances_to_terminate,
    limits,
    refuse_over,
    warnings,
)
from gpuctl.domain.money.budgets import BudgetAction, Budgets, Limits
from gpuctl.errors import BudgetError

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def priced(usd: str) -> Price:
    return Price(usd_per_hour=Decimal(usd), source="a test", as_of=date(2026, 8, 20))


ALL_IN: dict[str, Any] = {"price": priced("0.90"), "disk_price": priced("0.08"), "address_price": priced("0.02")}


def asked(number: int, **facts: Any) -> Instance:
    """A new record of an instance that costs a dollar an hour and is to live an hour."""
    return an_instance(f"inst-{number:012d}", **(ALL_IN | {"created_at": NOW} | facts))


def lived(number: int, start: datetime, span: timedelta, **facts: Any) -> Instance:
    fields: dict[str, Any] = {"created_at": start, "status": Status.TERMINATED, "terminated_at": start + span}
    return a_ready_instance(f"inst-{number:012d}", **(ALL_IN | fields | facts))


def lives(number: int, start: datetime, **facts: Any) -> Instance:
    return a_ready_instance(f"inst-{number:012d}", **(ALL_IN | {"created_at": start} | facts))


def daily(usd: str, **facts: Any) -> Budgets:
    return Budgets(daily_usd=Decimal(usd), **facts)


def refused(budgets: Budgets, records: list[Instance], new: Instance, **how: bool) -> str:
    with pytest.raises(BudgetError) as refusal:
        refuse_over(budgets, [*records, new], NOW, {new.id}, **how)
    assert refusal.value.exit_code == 7
    return refusal.value.message


def allowed(budgets: Budgets, records: list[Instance], new: Instance, **how: bool) -> None:
    refuse_over(budgets, [*records, new], NOW, {new.id}, **how)


def test_a_budget_sums_spent_committed_and_requested_full_cost() -> None:
    records = [lived(1, NOW - 3 * HOUR, 2 * HOUR), lives(2, NOW - HOUR / 2)]
    allowed(daily("4"), records, asked(3))
    assert refused(daily("3.99"), records, asked(3)) == (
        "budget of $3.99 a day exceeded: $2.50 spent + $0.50 committed + $1.00 requested = $4.00"
    )


def test_a_limit_may_be_reached_and_not_passed() -> None:
    allowed(daily("1"), [], asked(1))
    refused(daily("0.99"), [], asked(1))


def test_only_what_fell_into_the_period_is_spent_in_it() -> None:
    midnight = datetime(2026, 11, 25, tzinfo=UTC)
    yesterday, over_midnight = lived(1, midnight - 9 * HOUR, HOUR), lived(2, midnight - HOUR, 2 * HOUR)
    (day,) = budget_statuses(daily("50"), [yesterday, over_midnight], NOW)
    (month,) = budget_statuses(Budgets(monthly_usd=Decimal(50)), [yesterday, over_midnight], NOW)
    (before,) = budget_statuses(daily("50"), [yesterday, over_midnight], midnight - timedelta(seconds=1))
    assert (day.spent.total, month.spent.total) == (1, 3)
    assert before.spent.total == 1 + Decimal(3599) / 3600


def test_a_month_begins_at_the_first_at_midnight_utc() -> None:
    tokyo = datetime.fromisoformat("2026-12-01T08:00:00+09:00")
    assert Period.MONTH.start(tokyo) == datetime(2026, 11, 1, tzinfo=UTC)
    assert Period.DAY.start(tokyo) == datetime(2026, 11, 30, tzinfo=UTC)


def test_an_instance_that_runs_into_the_next_day_counts_in_full_in_this_one() -> None:
    late = NOW.replace(hour=23, minute=30)
    with pytest.raises(BudgetError):
        refuse_over(daily("0.99"), [asked(1, created_at=late)], late, {"inst-000000000001"})


def test_an_instance_that_is_being_terminated_counts_to_its_deadline_until_it_is_gone() -> None:
    refused(daily("1.5"), [lives(1, NOW, status=Status.STOPPING)], asked(2))


def test_a_user_is_held_to_the_users_limit_and_to_everybodys() -> None:
    budgets = daily("5", per_user={"ana": Limits(daily_usd=Decimal("1.5"))})
    anas = [lived(1, NOW - 2 * HOUR, HOUR, user="ana")]
    assert "for user `ana`" in refused(budgets, anas, asked(2, user="ana"))
    allowed(budgets, anas, asked(2, user="ben"))
    refused(budgets, [lived(1, NOW - 6 * HOUR, 5 * HOUR, user="ana")], asked(2, user="ben"))


def test_a_tag_is_held_to_its_limit_and_other_tags_are_not() -> None:
    budgets = Budgets(per_tag={"project=x": Limits(monthly_usd=Decimal("1.5"))})
    old = [lived(1, NOW.replace(day=2), HOUR, tags={"project": "x"})]
    assert "a month for tag `project=x`" in refused(budgets, old, asked(2, tags={"project": "x"}))
    for tags in ({}, {"project": "y"}, {"project": ""}):
        allowed(budgets, old, asked(2, tags=tags))


@pytest.mark.parametrize("action", [BudgetAction.BLOCK, BudgetAction.TERMINATE])
def test_an_unknown_price_is_a_refusal_unless_it_is_allowed(action: BudgetAction) -> None:
    budgets, new = daily("50", action=action), asked(1, price=None)
    assert refused(budgets, [], new) == "cannot check the budget of $50.00 a day: 1 instances of unknown price"
    allowed(budgets, [], new, allow_unknown_price=True)


def test_an_instance_of_unknown_price_in_the_period_prevents_the_check_of_the_next() -> None:
    refused(daily("50"), [lives(1, NOW, price=None)], asked(2))
    refused(daily("50"), [lived(1, NOW - 2 * HOUR, HOUR, price=None)], asked(2))
    allowed(daily("50"), [lived(1, NOW - 48 * HOUR, HOUR, price=None)], asked(2))
    allowed(daily("50"), [an_instance("inst-000000000001", price=None, status=Status.FAILED)], asked(2))


def test_what_is_known_is_over_whatever_is_allowed_to_be_unknown() -> None:
    refused(daily("0.5"), [lives(1, NOW, price=None)], asked(2), allow_unknown_price=True)


def test_a_budget_that_only_warns_refuses_nothing_and_says_all_of_it() -> None:
    budgets = daily("0.50", action=BudgetAction.WARN)
    records = [asked(1), lives(2, NOW, price=None)]
    refuse_over(budgets, records, NOW, {"inst-000000000001"})
    assert warnings(budgets, records, NOW, {"inst-000000000001"}) == [
        "budget of $0.50 a day exceeded: $0.00 spent + $0.00 committed + $1.00 requested = $1.00",
        "1 of unknown price not counted in the budget of $0.50 a day",
    ]


@pytest.mark.parametrize(("usd", "warned"), [("1.25", 1), ("1.26", 0)])
def test_eighty_percent_of_a_limit_is_printed(usd: str, warned: int) -> None:
    reported = warnings(daily(usd), [asked(1)], NOW, {"inst-000000000001"})
    assert len(reported) == warned
    assert all(line.startswith("80 % of the budget of $1.25 a day: ") for line in reported)


def test_a_limit_of_nothing_lets_nothing_through() -> None:
    refused(daily("0"), [], asked(1))
    assert warnings(daily("0"), [], NOW, set()) == []


def test_every_limit_that_is_set_is_a_limit() -> None:
    both = Limits(daily_usd=Decimal(1), monthly_usd=Decimal(2))
    active_limits = limits(Budgets(Decimal(3), Decimal(4), per_user={"ana": both}, per_tag={"a=b": both}))
    assert [(limit.usd, limit.period, limit.user, limit.tag) for limit in active_limits] == [
        (3, "day", None, None),
        (4, "month", None, None),
        (1, "day", "ana", None),
        (2, "month", "ana", None),
        (1, "day", None, "a=b"),
        (2, "month", None, "a=b"),
    ]


# what the reaper ends


def ending(usd: str, **facts: Any) -> Budgets:
    return daily(usd, action=BudgetAction.TERMINATE, **facts)


def test_the_newest_are_terminated_until_the_rest_fits() -> None:
    records = [lives(number, NOW - timedelta(minutes=number)) for number in range(1, 5)]
    assert list(instances_to_terminate(ending("4"), records, NOW)) == []
    assert list(instances_to_terminate(ending("3.99"), records, NOW)) == ["inst-000000000001"]
    assert list(instances_to_terminate(ending("2.10"), records, NOW)) == ["inst-000000000001", "inst-000000000002"]


def test_nothing_is_terminated_where_budgets_only_block_or_warn() -> None:
    for action in (BudgetAction.BLOCK, BudgetAction.WARN):
        assert instances_to_terminate(daily("0.10", action=action), [lives(1, NOW)], NOW) == {}


def test_a_stopping_instance_is_not_terminated_twice_for_a_budget() -> None:
    stopping = lives(1, NOW, status=Status.STOPPING)
    older = lives(2, NOW - HOUR / 2)
    assert instances_to_terminate(ending("1"), [stopping, older], NOW) == {}


def test_only_those_a_limit_covers_are_terminated_for_it() -> None:
    budgets = Budgets(action=BudgetAction.TERMINATE, per_user={"ana": Limits(daily_usd=Decimal("0.5"))})
    chosen = instances_to_terminate(budgets, [lives(1, NOW, user="ben"), lives(2, NOW - HOUR / 9, user="ana")], NOW)
    assert chosen == {"inst-000000000002": Limit(Decimal("0.5"), Period.DAY, user="ana")}


def test_one_end_serves_every_limit_it_frees() -> None:
    budgets = ending("1.5", per_user={"ana": Limits(daily_usd=Decimal("1.5"))})
    assert list(instances_to_terminate(budgets, [lives(1, NOW), lives(2, NOW - HOUR / 9)], NOW)) == [
        "inst-000000000001"
    ]


def test_what_would_free_nothing_is_left_alone() -> None:
    unpriced, late = lives(1, NOW, price=None), lives(2, NOW - 2 * HOUR)
    assert instances_to_terminate(ending("0.10"), [unpriced, late], NOW) == {}


def test_when_the_limit_is_spent_already_everything_that_still_costs_is_terminated() -> None:
    records = [lived(1, NOW - 9 * HOUR, 8 * HOUR), lives(2, NOW), lives(3, NOW - HOUR / 2)]
    assert list(instances_to_terminate(ending("5"), records, NOW)) == ["inst-000000000002", "inst-000000000003"]
