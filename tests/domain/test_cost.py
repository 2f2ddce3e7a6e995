from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from support.instances import NOON, a_ready_instance, an_instance

from gpuctl.domain.cost import accrued, breakdown, lifetime, projected, statistics, to_cents
from gpuctl.domain.instance import Instance, Market, Price, ProviderName, Status

HOUR = timedelta(hours=1)


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


def test_half_an_hour_of_the_documents_machine_costs_what_the_document_says() -> None:
    assert accrued(ended("inst-000000000001", timedelta(0), HOUR / 2), NOON + 9 * HOUR) == Decimal("0.263")


def test_a_live_machine_costs_by_the_second() -> None:
    record = a_ready_instance()
    assert accrued(record, NOON + timedelta(seconds=1)) == Decimal("0.526") / 3600
    assert accrued(record, NOON + HOUR) == Decimal("0.526")


def test_the_cost_counts_from_the_clouds_launch_time_and_is_never_negative() -> None:
    record = a_ready_instance(launched_at=NOON + timedelta(minutes=1))
    assert accrued(record, NOON) == 0
    assert lifetime(record, NOON + timedelta(minutes=31)) == timedelta(minutes=30)


def test_an_unknown_price_is_unknown_and_never_nothing() -> None:
    record = a_ready_instance(price=None)
    assert accrued(record, NOON + HOUR) is None
    assert projected(record, NOON) is None
    assert breakdown(record, NOON).total is None


def test_a_record_without_a_machine_costs_nothing() -> None:
    assert accrued(an_instance(), NOON + HOUR) == 0


def test_a_machine_is_projected_to_its_deadline_and_beyond_it_to_now() -> None:
    record = a_ready_instance()
    assert projected(record, NOON) == Decimal("0.526")
    assert projected(record, NOON + 2 * HOUR) == Decimal("1.052")
    assert projected(ended("inst-000000000002", timedelta(0), HOUR / 2), NOON + HOUR) == Decimal("0.263")


def test_the_parts_whose_prices_are_not_known_are_unknown() -> None:
    parts = breakdown(a_ready_instance(), NOON + HOUR)
    assert (parts.machine, parts.disk, parts.address, parts.total) == (Decimal("0.526"), None, None, None)


def test_statistics_of_nothing_are_all_zero() -> None:
    figures = statistics([], NOON)
    assert figures.total_provisioned == figures.currently_running == figures.currently_billing == 0
    assert figures.total_cost == figures.average_duration_h == figures.average_cost == figures.savings == 0
    assert figures.provider_breakdown == figures.instance_type_breakdown == {}


def test_statistics_count_live_cost_and_average_only_what_ended() -> None:
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


def test_unpriced_machines_are_counted_and_in_no_sum() -> None:
    figures = statistics([a_ready_instance(price=None)], NOON + HOUR)
    assert (figures.unpriced, figures.total_cost) == (1, 0)


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


def test_always_on_means_as_many_machines_as_ever_ran_at_once() -> None:
    together = [ended(f"inst-{number:012d}", timedelta(0), HOUR) for number in range(3)]
    after = ended("inst-00000000000a", HOUR, HOUR)
    assert statistics([*together, after], NOON + 10 * HOUR).always_on_cost == Decimal("0.526") * 30


def test_spot_and_on_demand_are_kept_apart_when_always_on_is_counted() -> None:
    both = [ended("inst-000000000001", timedelta(0), HOUR), ended("inst-000000000002", HOUR, HOUR, market=Market.SPOT)]
    assert statistics(both, NOON + 2 * HOUR).always_on_cost == Decimal("0.526") * 3


@pytest.mark.parametrize(("exact", "cents"), [("0.005", "0.01"), ("0.0049", "0.00"), ("1234.565", "1234.57")])
def test_a_bill_is_rounded_half_up(exact: str, cents: str) -> None:
    assert to_cents(Decimal(exact)) == Decimal(cents)
