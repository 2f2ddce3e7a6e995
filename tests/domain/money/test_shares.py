"""What each lease pays of an instance that was used by several."""

import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from support.instances import NOON
from support.pools import MINUTE, a_lease, an_idle_member

from gpuctl.domain.instance import BillingTerms, Instance, Price, Status
from gpuctl.domain.membership import Lease, LeaseOutcome, Membership, Origin
from gpuctl.domain.money.budget_check import budget_statuses, instances_to_terminate
from gpuctl.domain.money.budgets import BudgetAction, Budgets, Limits
from gpuctl.domain.money.cost import spent_between, to_cents
from gpuctl.domain.money.report import groups, report
from gpuctl.domain.money.shares import shares

HOUR = timedelta(hours=1)
PRICE = Price(usd_per_hour=Decimal("0.6"), source="a test", as_of=date(2026, 8, 20))


def used(leases: Sequence[Lease], origin: Origin = Origin.SPARE, **facts: object) -> Instance:
    """An instance for $0.60 an hour in all that was launched at noon and had these leases."""
    membership = Membership(pool="train", owner="ana", purpose="AI Analysis", origin=origin, leases=tuple(leases))
    free = {"disk_price": None, "address_price": None, "launched_at": NOON, "price": PRICE}
    zero = Price(usd_per_hour=Decimal(0), source="a test", as_of=date(2026, 8, 20))
    return an_idle_member(membership=membership, **free | {"disk_price": zero, "address_price": zero} | facts)


def returned(number: int, begin: float, end: float, user: str, **facts: object) -> Lease:
    """A lease from one minute after noon until another, after which the instance was used again."""
    over = {"released_at": NOON + end * MINUTE, "outcome": LeaseOutcome.RETURNED, "user": user}
    return a_lease(f"lease-{number:012d}", NOON + begin * MINUTE, **over | facts)


@pytest.fixture(name="shared")
def shared_fixture() -> Instance:
    """10 minutes idle, 20 of bo, 5 idle, 15 of cy; idle since."""
    leases = [returned(1, 10, 30, "bo", task="t1"), returned(2, 35, 50, "cy", task="t2", purpose="Training")]
    return used(leases)


def cents(record: Instance, side: str) -> dict[str | None, Decimal]:
    return {group.key: group.cost.total for group in groups([record], side, NOON + HOUR)}


def test_each_lease_pays_for_its_own_time_and_the_pool_for_the_rest(shared: Instance) -> None:
    usd = {key: Decimal(text) for key, text in (("bo", "0.20"), ("cy", "0.15"), ("pool:train", "0.25"))}
    assert cents(shared, "user") == usd
    assert cents(shared, "task") == {"t1": usd["bo"], "t2": usd["cy"], "pool:train": usd["pool:train"]}
    assert cents(shared, "purpose") == {
        "AI Analysis": usd["bo"],
        "Training": usd["cy"],
        "pool:train": usd["pool:train"],
    }
    assert cents(shared, "type") == {"g4dn.xlarge": Decimal("0.60")}


def test_the_instance_counts_once_for_each_key(shared: Instance) -> None:
    both = shared.with_fields(
        pool=shared.pool and shared.pool.with_lease(returned(3, 55, 58, "bo", work=Decimal(30), unit="docs"))
    )
    counted = {group.key: (group.instance_count, group.hours) for group in groups([both], "user", NOON + HOUR)}
    assert counted["bo"] == (1, Decimal(23) / 60)
    (bo,) = [group for group in groups([both], "user", NOON + HOUR) if group.key == "bo"]
    assert [(work.amount, work.cost) for work in bo.work] == [(30, Decimal("0.03"))]


def test_the_boot_and_the_end_of_an_instance_that_is_used_once_belong_to_its_lease() -> None:
    over = a_lease(user="bo", since=NOON, released_at=NOON + 20 * MINUTE, outcome=LeaseOutcome.ENDED)
    record = used([over], Origin.LEASE, status=Status.TERMINATED, terminated_at=NOON + 25 * MINUTE)
    assert cents(record, "user") == {"bo": Decimal("0.25")}


def test_an_instance_that_nobody_has_had_belongs_to_its_pool() -> None:
    assert cents(used([]), "user") == {"pool:train": Decimal("0.60")}


def test_the_parts_of_an_instance_add_up_to_its_cost_in_every_period() -> None:
    dice = random.Random(20261129)
    for _ in range(300):
        times = sorted(dice.randrange(3_600) for _ in range(dice.choice([0, 2, 4, 10])))
        leases = [
            returned(number, begin / 60, end / 60, dice.choice("abc"))
            for number, (begin, end) in enumerate(zip(times[::2], times[1::2], strict=True))
        ]
        if leases and dice.random() < 0.5:
            leases[-1] = leases[-1].model_copy(update={"released_at": None, "outcome": None})
        minimum = timedelta(seconds=dice.choice([0, 60, 600]))
        launched_at = NOON + timedelta(seconds=dice.randrange(-30, 30))
        terminated_at = launched_at + timedelta(seconds=dice.choice([0, 20, 1_000, 5_000]))
        facts = {"status": Status.TERMINATED, "terminated_at": terminated_at} if dice.random() < 0.5 else {}
        record = used(
            leases,
            dice.choice([Origin.SPARE, Origin.LEASE]),
            billing=BillingTerms(minimum=minimum),
            launched_at=launched_at,
            **facts,
        )
        now = NOON + timedelta(seconds=dice.randrange(7_200))
        since = dice.choice([None, NOON + timedelta(seconds=dice.randrange(3_600))])
        _check_sum(record, since, now)


def _check_sum(record: Instance, since: datetime | None, now: datetime) -> None:
    whole = spent_between(record, since, now).total or Decimal(0)
    parts = [spent_between(share, since, now).total or Decimal(0) for share in shares(record, now)]
    assert abs(sum(parts, Decimal(0)) - whole) < Decimal("1e-20"), (record, since, now)
    total = report([record], now, since).spent.total
    for side in ("user", "task", "purpose"):
        divided = sum((group.cost.total for group in report([record], now, since, side).groups), Decimal(0))
        assert to_cents(divided) == to_cents(total)


def test_the_budget_of_a_user_counts_their_leases_and_no_others(shared: Instance) -> None:
    budgets = Budgets(per_user={user: Limits(daily_usd=Decimal(5)) for user in ("ana", "bo", "cy")})
    now = NOON + HOUR
    spent = {status.limit.user: status.spent.total for status in budget_statuses(budgets, [shared], now)}
    assert spent == {"ana": Decimal("0.25"), "bo": Decimal("0.20"), "cy": Decimal("0.15")}


def test_a_lease_is_judged_by_the_budget_of_its_own_user_only(shared: Instance) -> None:
    lease = a_lease("lease-000000000003", NOON + 55 * MINUTE, user="cy")
    record = shared.with_fields(user="cy", status=Status.RUNNING, pool=shared.pool and shared.pool.with_lease(lease))
    budgets = Budgets(per_user={"bo": Limits(daily_usd=Decimal("0.10")), "cy": Limits(daily_usd=Decimal(5))})
    (status,) = budget_statuses(budgets, [record], NOON + HOUR, [record.id])
    assert (status.limit.user, status.spent.total) == ("cy", Decimal("0.20"))
    blocking = Budgets(action=BudgetAction.TERMINATE, per_user={"bo": Limits(daily_usd=Decimal("0.10"))})
    assert instances_to_terminate(blocking, [record], NOON + HOUR) == {}
