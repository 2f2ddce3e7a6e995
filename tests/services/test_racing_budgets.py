"""Budgets hold however many ask at once: fifty commands on one state with room for ten, over the real store's lock."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from threading import Barrier

from support.clock import FakeClock
from support.fake_cloud import FakeCloud
from support.instances import PRICE
from support.silent import Silent

from gpuctl.catalog import Catalog
from gpuctl.clock import SystemClock
from gpuctl.domain.market.request import Request
from gpuctl.domain.money.budget_check import budget_statuses
from gpuctl.domain.money.budgets import Budgets
from gpuctl.domain.money.cost import Extras
from gpuctl.errors import BudgetError
from gpuctl.services.extend import extend
from gpuctl.services.launch.offers import Defaults, choose
from gpuctl.services.launch.prepare import prepare
from gpuctl.services.launch.provision import start
from gpuctl.services.runtime import Runtime
from gpuctl.services.sessions import Sessions
from gpuctl.store.base import StateKind
from gpuctl.store.local.store import LocalStore

CATALOG = Catalog()
ASKED = Request(user="ana", instance_type="g4dn.xlarge", region="us-east-1", ttl=timedelta(minutes=60))
EACH = Decimal("0.526") + PRICE.usd_per_hour * 2


def runtime_of(folder: Path, budgets: Budgets) -> Runtime:
    """What one command is made of: nothing is shared with another but the state on the disk."""
    clock = FakeClock()
    cloud = FakeCloud(clock, lag=timedelta(0))
    return Runtime(
        LocalStore(folder / "state.json", kind=StateKind.REAL, clock=SystemClock()),
        Sessions(lambda name, profile: cloud, clock, Silent()),
        clock,
        Silent(),
        lambda *_: PRICE,
        timedelta(hours=2),
        budgets=budgets,
        extras_of=lambda *_: Extras(PRICE, PRICE),
    )


def test_of_fifty_that_start_at_once_under_a_budget_for_ten_exactly_ten_get_an_instance(tmp_path: Path) -> None:
    budgets = Budgets(daily_usd=EACH * 10)
    ready = Barrier(50)

    def provision(number: int) -> str:
        runtime = runtime_of(tmp_path, budgets)
        prepared = prepare(choose(ASKED, lambda name: Defaults(), runtime, CATALOG), runtime)
        ready.wait()
        try:
            (record,) = start(prepared, runtime, lambda records: None, None, agree=lambda *_: True).records
        except BudgetError:
            return "refused"
        return record.status.value

    with ThreadPoolExecutor(50) as pool:
        assert Counter(pool.map(provision, range(50))) == {"READY": 10, "refused": 40}
    records = runtime_of(tmp_path, budgets).store.snapshot().records
    assert len(records) == 10
    (limit,) = budget_statuses(budgets, records, max(record.updated_at for record in records))
    assert EACH * 9 < limit.total <= limit.limit.usd


def test_of_ten_extensions_at_once_with_room_for_three_three_are_granted(tmp_path: Path) -> None:
    free = runtime_of(tmp_path, Budgets())
    prepared = prepare(choose(ASKED, lambda name: Defaults(), free, CATALOG), free)
    records = [start(prepared, free, lambda records: None, None, agree=lambda *_: True).records[0] for _ in range(10)]
    budgets = Budgets(daily_usd=EACH * 10 + EACH * 3 / 2)
    ready = Barrier(10)

    def longer(number: int) -> bool:
        runtime = Runtime(
            LocalStore(tmp_path / "state.json", kind=StateKind.REAL, clock=SystemClock()),
            free.sessions,
            free.clock,
            Silent(),
            lambda *_: PRICE,
            timedelta(hours=2),
            budgets=budgets,
        )
        ready.wait()
        try:
            extend(runtime, records[number], by=timedelta(minutes=30), ttl=None)
        except BudgetError:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        assert Counter(pool.map(longer, range(10))) == {True: 3, False: 7}
