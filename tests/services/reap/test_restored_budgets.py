"""Budgets of a restored state of which one account can no longer be queried."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from faults.copies import LOST_PROFILE, Computer, HeldCloud
from support.clock import FakeClock
from support.instances import NOON, a_ready_instance
from support.stores import MemoryStore

from gpuctl.domain.instance import Instance, Reason
from gpuctl.domain.money.budgets import BudgetAction, Budgets
from gpuctl.domain.reconcile.actions import ActionKind
from gpuctl.services.reap.reaper import ReapOptions, ReapResult, reap
from gpuctl.store.reaper import ReapTimes

HOUR = timedelta(hours=1)
NOTE = "budgets count what the records say of the regions that could not be queried, until their deadlines"


@pytest.fixture
def computer() -> Computer:
    """A restored state with one instance, $0.53 until its deadline at 13:00, in an account that answers."""
    clock = FakeClock()
    computer = Computer(MemoryStore(), HeldCloud(clock), clock, 2 * HOUR)
    computer.provision()
    return computer


def restored(computer: Computer, *others: Instance, usd: str = "1.00") -> ReapResult:
    """One run of the reaper after the state was put back with these records too, within a daily budget."""
    computer.store.add(others, lambda present: None)
    computer.back_up()
    computer.restore()
    budgets = Budgets(daily_usd=Decimal(usd), action=BudgetAction.TERMINATE)
    return reap(replace(computer.runtime, budgets=budgets), ReapTimes(), ReapOptions())


def ended(result: ReapResult) -> int:
    return sum(done.action.kind is ActionKind.TERMINATE and done.action.reason is Reason.BUDGET for done in result.done)


def in_lost_account(**facts: object) -> Instance:
    return a_ready_instance("inst-00000000lost", account="210987654321", profile=LOST_PROFILE, **facts)


def test_records_of_an_account_that_cannot_be_queried_count_until_their_deadlines(computer: Computer) -> None:
    running = in_lost_account(created_at=NOON - HOUR, expires_at=NOON + HOUR)
    result = restored(computer, running)
    assert ended(result) == 1
    assert NOTE in result.problems


def test_what_such_an_account_may_have_cost_after_the_deadlines_is_not_counted(computer: Computer) -> None:
    long_ago = in_lost_account(created_at=NOON - timedelta(days=3), expires_at=NOON - timedelta(days=3) + HOUR)
    result = restored(computer, long_ago)
    assert ended(result) == 0


def test_an_instance_that_an_older_state_takes_for_running_terminates_no_other(computer: Computer) -> None:
    gone = a_ready_instance("inst-00000000gone", created_at=NOON - 10 * HOUR, expires_at=NOON + HOUR)
    result = restored(computer, gone, in_lost_account(expires_at=NOON - HOUR), usd="1.00")
    assert ended(result) == 0


def test_without_a_budget_that_terminates_nothing_is_said_of_budgets(computer: Computer) -> None:
    computer.store.add([in_lost_account()], lambda present: None)
    computer.back_up()
    computer.restore()
    result = reap(computer.runtime, ReapTimes(), ReapOptions())
    assert NOTE not in result.problems and result.problems != []
