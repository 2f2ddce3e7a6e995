"""What many instances cost together, against a recomputation that shares nothing with it."""

import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from support.instances import NOON, a_ready_instance, an_instance

from gpuctl.domain.instance import Instance, Market, Price, ProviderName, Status
from gpuctl.domain.money.cost import Cost, to_cents
from gpuctl.domain.money.report import cost_sum, cost_summary, groups

HOUR = timedelta(hours=1)
MONTH = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)


def priced(usd: str) -> Price:
    return Price(usd_per_hour=Decimal(usd), source="a test", as_of=date(2026, 8, 20))


def a_machine(number: int, start: datetime, life: timedelta | None, **facts: object) -> Instance:
    fields = {"price": priced("0.526"), "disk_price": priced("0.011"), "address_price": priced("0.005")} | facts
    if life is not None:
        fields |= {"status": Status.TERMINATED, "terminated_at": start + life}
    return a_ready_instance(f"inst-{number:012d}", created_at=start, launched_at=start, **fields)


def a_busy_month() -> list[Instance]:
    """Four hundred instances of two clouds and three users, some of seconds, some over midnight, some alive still."""
    dice = random.Random(20261125)
    instances = []
    for number in range(400):
        start = MONTH + timedelta(microseconds=dice.randrange(30 * 86_400 * 10**6))
        life = timedelta(microseconds=dice.choice([40, 400, 40_000]) * dice.randrange(1, 10**6))
        over = start + life < END
        instances.append(
            a_machine(
                number,
                start,
                life if over else None,
                provider=dice.choice([ProviderName.AWS, ProviderName.AZURE]),
                user=dice.choice(["ana", "ben", "cat"]),
                market=dice.choice(list(Market)),
                price=priced(dice.choice(["0.526", "3.06", "0.90", "32.7726"])),
                disk_price=priced(dice.choice(["0.010958905", "0.013150685"])),
            )
        )
    return [*instances, a_machine(400, END - 2 * HOUR, None)]


def bill(instances: list[Instance]) -> dict[date, Fraction]:
    """The month's bill by day in whole microseconds of whole micro-dollars, without anything of `gpuctl.domain`."""
    days: dict[date, Fraction] = defaultdict(Fraction)
    for record in instances:
        assert record.launched_at and record.price and record.disk_price and record.address_price
        nano_usd_per_hour = sum(
            int(price.usd_per_hour.scaleb(9)) for price in (record.price, record.disk_price, record.address_price)
        )
        begin = int((record.launched_at - MONTH) / timedelta(microseconds=1))
        end = int(((record.terminated_at or END) - MONTH) / timedelta(microseconds=1))
        tick = begin
        while tick < end:
            day = tick // 86_400_000_000
            stop = min((day + 1) * 86_400_000_000, end)
            days[MONTH.date() + timedelta(days=day)] += Fraction((stop - tick) * nano_usd_per_hour)
            tick = stop
        short = 60_000_000 - (end - begin)
        if record.provider == "aws" and short > 0:
            # Whatever is missing to a minute; the fixture has none that is cut short by midnight.
            days[record.launched_at.date()] += Fraction(short * nano_usd_per_hour)
    return {day: ticks / 3_600_000_000 / 10**9 for day, ticks in days.items()}


def cents(amount: Fraction) -> Decimal:
    return to_cents(Decimal(amount.numerator) / Decimal(amount.denominator))


def test_a_months_costs_are_to_the_cent_what_an_independent_count_makes_them() -> None:
    instances = a_busy_month()
    assert any(record.is_active for record in instances)
    independent = sum(bill(instances).values(), Fraction(0))
    assert to_cents(cost_summary(instances, END).spent.total) == cents(independent)
    for side in ("user", "type", "provider", "market", "region", "day", "tag:project"):
        assert to_cents(sum((group.cost.total for group in groups(instances, side, END)), Decimal(0))) == cents(
            independent
        )


def test_every_day_of_that_month_is_to_the_cent_what_an_independent_count_makes_it() -> None:
    instances = a_busy_month()
    days = {date.fromisoformat(group.key or ""): to_cents(group.cost.total) for group in groups(instances, "day", END)}
    assert days == {day: cents(amount) for day, amount in bill(instances).items()}


def test_an_instance_over_midnight_counts_in_both_days_with_its_part() -> None:
    eve = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)
    first, second = groups([a_machine(1, eve, HOUR)], "day", NOON + 2 * 24 * HOUR)[:2]
    assert (first.key, first.instance_count, first.hours, first.cost.total) == (
        "2026-11-24",
        1,
        Decimal("0.5"),
        Decimal("0.271"),
    )
    assert (second.key, second.cost.total) == ("2026-11-25", Decimal("0.271"))


def test_days_without_an_instance_are_listed_with_zero() -> None:
    days = groups([a_machine(1, NOON, HOUR)], "day", NOON + timedelta(days=2))
    assert [(group.key, group.instance_count, group.cost.total) for group in days][1:] == [
        ("2026-11-25", 0, 0),
        ("2026-11-26", 0, 0),
    ]


def test_groups_are_the_most_expensive_first_and_those_without_the_tag_are_a_group() -> None:
    instances = [
        a_machine(1, NOON, HOUR, tags={"project": "x"}),
        a_machine(2, NOON, 3 * HOUR, tags={"project": "y"}),
        a_machine(3, NOON, HOUR / 2),
    ]
    actual = groups(instances, "tag:project", NOON + 9 * HOUR)
    assert [(group.key, group.hours) for group in actual] == [("y", 3), ("x", 1), (None, Decimal("0.5"))]


def test_a_window_leaves_out_what_was_over_before_and_counts_a_part_of_what_straddles() -> None:
    instances = [a_machine(1, NOON, HOUR), a_machine(2, NOON, 3 * HOUR)]
    (only,) = groups(instances, "user", NOON + 9 * HOUR, since=NOON + 2 * HOUR)
    assert (only.instance_count, only.hours, only.cost.total) == (1, Decimal(1), Decimal("0.542"))


def test_the_summary_has_the_rate_the_spent_cost_and_the_committed_cost() -> None:
    instances = [a_machine(1, NOON, HOUR), a_machine(2, NOON, None), an_instance(status=Status.FAILED, price=None)]
    ahead = cost_summary(instances, NOON + HOUR / 4)
    assert (ahead.live, ahead.hourly.total) == (1, Decimal("0.542"))
    assert ahead.remaining.total == Decimal("0.4065")
    assert ahead.by_deadline.total == ahead.spent.total + ahead.remaining.total


@pytest.mark.parametrize(
    ("cost", "unpriced", "bare", "total"),
    [
        (Cost(None, Decimal(1), Decimal(1)), 1, 0, 0),
        (Cost(Decimal(1), None, Decimal(1)), 0, 1, 2),
        (Cost(Decimal(1), Decimal(1), None), 0, 1, 2),
        (Cost(Decimal(1), Decimal(1), Decimal(1)), 0, 0, 3),
    ],
)
def test_a_sum_says_how_many_it_leaves_out(cost: Cost, unpriced: int, bare: int, total: int) -> None:
    summed = cost_sum([cost])
    assert (summed.unknown_price_count, summed.compute_only_count, summed.total) == (unpriced, bare, total)
