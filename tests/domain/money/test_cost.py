from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from support.instances import NOON, a_ready_instance, an_instance
from support.observations import seen_of

from gpuctl.domain.instance import CloudState, Instance, Market, Price, ProviderName, Status
from gpuctl.domain.lifecycle import refreshed
from gpuctl.domain.money.cost import (
    Cost,
    accrued,
    by_deadline,
    current_hourly,
    hourly,
    lifetime,
    remaining,
    spent,
    spent_between,
    to_cents,
)
from gpuctl.domain.money.statistics import statistics

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
DISK = Price(usd_per_hour=Decimal("0.011"), source="a test", as_of=date(2026, 8, 20))
ADDRESS = Price(usd_per_hour=Decimal("0.005"), source="a test", as_of=date(2026, 8, 20))


def ended(record_id: str, start: timedelta, span: timedelta, **facts: Any) -> Instance:
    launched = NOON + start
    return a_ready_instance(
        record_id,
        created_at=launched,
        launched_at=launched,
        status=Status.TERMINATED,
        terminated_at=launched + span,
        **facts,
    )


def whole(record: Instance) -> Instance:
    return record.with_fields(disk_price=DISK, address_price=ADDRESS)


def test_half_an_hour_of_the_documents_instance_costs_what_the_document_says() -> None:
    assert accrued(ended("inst-000000000001", timedelta(0), HOUR / 2), NOON + 9 * HOUR) == Decimal("0.263")


def test_an_active_instance_costs_by_the_second() -> None:
    record = a_ready_instance()
    assert accrued(record, NOON + 61 * SECOND) == Decimal("0.526") * 61 / 3600
    assert accrued(record, NOON + HOUR) == Decimal("0.526")


def test_an_instance_that_ends_in_the_second_of_its_launch_costs_the_minimum() -> None:
    record = ended("inst-4k2m9qz07xwa", timedelta(0), timedelta(0), disk_price=DISK, address_price=ADDRESS)
    assert spent(record, NOON + HOUR).total == Decimal("0.542") / 60
    halves = [spent_between(record, None, NOON), spent_between(record, NOON, NOON + HOUR)]
    assert sum(half.total or 0 for half in halves) == spent(record, NOON + HOUR).total


@pytest.mark.parametrize(("provider", "least_s"), [(ProviderName.AWS, 60), (ProviderName.AZURE, 7)])
def test_aws_bills_a_minute_at_least_and_azure_what_was_used(provider: ProviderName, least_s: int) -> None:
    cost = spent(whole(ended("inst-000000000001", timedelta(0), 7 * SECOND, provider=provider)), NOON + HOUR)
    assert (cost.compute, cost.disk, cost.public_ip) == tuple(
        price * least_s / 3600 for price in (Decimal("0.526"), Decimal("0.011"), Decimal("0.005"))
    )


def test_the_cost_counts_from_the_clouds_launch_time_and_is_never_negative() -> None:
    record = a_ready_instance(launched_at=NOON + timedelta(minutes=1))
    assert accrued(record, NOON) == 0
    assert lifetime(record, NOON + timedelta(minutes=31)) == timedelta(minutes=30)


def test_disk_and_public_ip_are_billed_until_the_instance_is_terminated() -> None:
    cost = spent(whole(ended("inst-000000000001", timedelta(0), HOUR)), NOON + 99 * HOUR)
    assert cost == Cost(Decimal("0.526"), Decimal("0.011"), Decimal("0.005"))
    assert cost.total == cost.counted == Decimal("0.542")


def test_an_unknown_price_is_unknown_and_never_nothing() -> None:
    record = a_ready_instance(price=None, disk_price=DISK, address_price=ADDRESS)
    assert accrued(record, NOON + HOUR) is None
    for cost in (spent(record, NOON + HOUR), by_deadline(record, NOON), hourly(record), current_hourly(record)):
        assert (cost.compute, cost.total, cost.counted, cost.is_whole) == (None, None, None, False)


def test_an_old_record_without_disk_price_is_marked_as_compute_only() -> None:
    cost = spent(a_ready_instance(), NOON + HOUR)
    assert (cost.disk, cost.public_ip, cost.total) == (None, None, None)
    assert (cost.counted, cost.is_whole) == (Decimal("0.526"), False)


def test_a_record_without_an_instance_costs_nothing_at_any_price() -> None:
    failed = an_instance(price=None, status=Status.FAILED, terminated_at=NOON)
    assert spent(failed, NOON + HOUR).total == by_deadline(failed, NOON + HOUR).total == 0


def test_a_record_without_an_observed_instance_costs_nothing_yet_and_is_committed_for_its_whole_ttl() -> None:
    record = whole(an_instance())
    assert spent(record, NOON + HOUR / 2).total == 0
    assert remaining(record, NOON + HOUR / 2).total == Decimal("0.542")


def test_an_instance_is_projected_to_its_deadline_and_beyond_it_to_now() -> None:
    record = whole(a_ready_instance())
    for minutes in (0, 0.1, 1, 30, 60):
        assert by_deadline(record, NOON + minutes * MINUTE).total == Decimal("0.542")
    assert by_deadline(record, NOON + 2 * HOUR).total == Decimal("1.084")
    ended_early = whole(ended("inst-000000000002", timedelta(0), HOUR / 2))
    assert by_deadline(ended_early, NOON + HOUR).total == Decimal("0.271")


def test_stopping_bills_until_it_is_confirmed_terminated() -> None:
    record = whole(a_ready_instance(status=Status.STOPPING, deleted_by_us_at=NOON + MINUTE))
    assert spent(record, NOON + 3 * HOUR).total == Decimal("0.542") * 3
    assert current_hourly(record).total == Decimal("0.542")


def test_a_window_holds_the_part_of_the_cost_that_fell_into_it() -> None:
    record = whole(ended("inst-000000000001", timedelta(0), 2 * HOUR))
    assert spent_between(record, NOON + HOUR, NOON + 9 * HOUR).total == Decimal("0.542")
    assert spent_between(record, NOON + 3 * HOUR, NOON + 9 * HOUR).total == 0
    assert spent_between(record, NOON - HOUR, NOON).total == 0


def test_an_instance_of_unknown_price_costs_nothing_outside_of_its_time() -> None:
    record = ended("inst-000000000001", timedelta(0), HOUR, price=None)
    assert spent_between(record, NOON + 2 * HOUR, NOON + 3 * HOUR).total == 0
    assert spent_between(record, NOON, NOON + HOUR).total is None


def test_windows_that_meet_add_up_to_the_whole() -> None:
    record = whole(ended("inst-000000000001", timedelta(0), 17 * SECOND))
    cuts = [NOON - HOUR, NOON, NOON + 5 * SECOND, NOON + 17 * SECOND, NOON + 30 * SECOND, NOON + HOUR]
    parts = [spent_between(record, start, end) for start, end in pairwise(cuts)]
    assert sum(cost.total or 0 for cost in parts) == spent(record, NOON + HOUR).total == Decimal("0.542") / 60


def seen_in(record: Instance, state: CloudState, minutes: int, *, bills_when_stopped: bool = False) -> Instance:
    observed = seen_of(record, state=state, bills_when_stopped=bills_when_stopped)
    return refreshed(record, observed, NOON + minutes * MINUTE)


@pytest.mark.parametrize(
    ("provider", "address", "burns"),
    [(ProviderName.AWS, "0.0025", "0.011"), (ProviderName.AZURE, "0.005", "0.016")],
)
def test_a_stopped_instance_costs_its_disk_and_where_it_is_kept_its_address(
    provider: ProviderName, address: str, burns: str
) -> None:
    record = seen_in(whole(a_ready_instance(provider=provider)), CloudState.STOPPED, 30)
    later = seen_in(record, CloudState.STOPPED, 40)
    cost = spent(later, NOON + HOUR)
    assert (cost.compute, cost.disk, cost.public_ip) == (Decimal("0.263"), Decimal("0.011"), Decimal(address))
    assert current_hourly(later).total == Decimal(burns)
    assert remaining(later, NOON + HOUR / 2).total == Decimal("0.271")


def test_azure_bills_an_instance_that_is_stopped_and_not_deallocated() -> None:
    record = seen_in(whole(a_ready_instance()), CloudState.STOPPED, 30, bills_when_stopped=True)
    assert spent(record, NOON + HOUR).total == current_hourly(record).total == Decimal("0.542")


def test_a_power_off_without_an_observed_end_counts_in_full_once_the_instance_runs_again() -> None:
    record = seen_in(seen_in(whole(a_ready_instance()), CloudState.STOPPED, 10), CloudState.RUNNING, 50)
    assert spent(record, NOON + HOUR).total == Decimal("0.542")


def test_an_instance_terminated_while_powered_off_was_powered_off_until_then() -> None:
    record = seen_in(seen_in(whole(a_ready_instance()), CloudState.STOPPED, 30), CloudState.ENDING, 50)
    terminated = record.with_fields(status=Status.TERMINATED, terminated_at=NOON + HOUR)
    assert spent(terminated, NOON + 9 * HOUR) == Cost(Decimal("0.263"), Decimal("0.011"), Decimal("0.0025"))


def test_statistics_of_nothing_are_all_zero() -> None:
    figures = statistics([], NOON)
    assert figures.total_provisioned == figures.currently_running == figures.currently_billing == 0
    assert figures.total_cost == figures.average_duration_h == figures.average_cost == figures.savings == 0
    assert figures.provider_breakdown == figures.instance_type_breakdown == {}


def test_statistics_include_active_cost_and_average_terminated_instances_only() -> None:
    figures = statistics(
        [ended("inst-000000000001", timedelta(0), HOUR / 2), a_ready_instance("inst-000000000002", created_at=NOON)],
        NOON + HOUR,
    )
    assert (figures.total_provisioned, figures.currently_running, figures.currently_billing) == (2, 1, 1)
    assert figures.total_cost == Decimal("0.263") + Decimal("0.526")
    assert (figures.average_cost, figures.average_duration_h) == (Decimal("0.263"), Decimal("0.5"))
    assert figures.provider_breakdown == {"AWS": 2}
    assert figures.instance_type_breakdown == {"g4dn.xlarge": 2}


def test_a_launch_that_failed_is_in_no_average_and_no_sum() -> None:
    failed = an_instance("inst-000000000003", status=Status.FAILED, terminated_at=NOON)
    figures = statistics([failed, ended("inst-000000000001", timedelta(0), HOUR)], NOON + HOUR)
    assert figures.total_provisioned == 2
    assert (figures.average_cost, figures.average_duration_h) == (Decimal("0.526"), Decimal(1))


def test_stopping_still_bills_and_is_not_running() -> None:
    figures = statistics([a_ready_instance(status=Status.STOPPING)], NOON + HOUR)
    assert (figures.currently_running, figures.currently_billing) == (0, 1)
    assert figures.total_cost == Decimal("0.526")


def test_unpriced_instances_are_counted_and_in_no_sum() -> None:
    figures = statistics([a_ready_instance(price=None)], NOON + HOUR)
    assert (figures.unknown_price_count, figures.total_cost) == (1, 0)


def test_two_hours_a_day_for_a_month_save_what_the_document_says() -> None:
    price = Price(usd_per_hour=Decimal("0.90"), source="a test", as_of=date(2026, 1, 1))
    days = [
        ended(
            f"inst-{day:012d}",
            timedelta(days=day),
            2 * HOUR,
            price=price,
            provider=ProviderName.AZURE,
            instance_type="Standard_NC6",
        )
        for day in range(30)
    ]
    figures = statistics(days, NOON + timedelta(days=30))
    assert (figures.total_cost, figures.always_on_cost, figures.savings) == (Decimal(54), Decimal(648), Decimal(594))
    assert round(figures.savings_percent, 1) == Decimal("91.7")


def test_always_on_means_as_many_instances_as_ever_ran_at_once() -> None:
    together = [ended(f"inst-{number:012d}", timedelta(0), HOUR) for number in range(3)]
    after = ended("inst-00000000000a", HOUR, HOUR)
    assert statistics([*together, after], NOON + 10 * HOUR).always_on_cost == Decimal("0.526") * 30


def test_spot_and_on_demand_are_kept_apart_when_always_on_is_counted() -> None:
    both = [ended("inst-000000000001", timedelta(0), HOUR), ended("inst-000000000002", HOUR, HOUR, market=Market.SPOT)]
    assert statistics(both, NOON + 2 * HOUR).always_on_cost == Decimal("0.526") * 3


def test_a_window_counts_only_the_part_of_an_instance_that_straddles_it() -> None:
    since = NOON + HOUR
    straddles = ended("inst-000000000001", timedelta(0), 2 * HOUR)
    before = ended("inst-000000000002", timedelta(0), HOUR / 2)
    figures = statistics([straddles, before], NOON + 4 * HOUR, since)
    assert (figures.total_provisioned, figures.total_cost) == (1, Decimal("0.526"))
    assert (figures.average_cost, figures.average_duration_h) == (Decimal("1.052"), Decimal(2))
    assert figures.always_on_cost == Decimal("0.526") * 3


@pytest.mark.parametrize(("exact", "cents"), [("0.005", "0.01"), ("0.0049", "0.00"), ("1234.565", "1234.57")])
def test_a_bill_is_rounded_half_up(exact: str, cents: str) -> None:
    assert to_cents(Decimal(exact)) == Decimal(cents)
