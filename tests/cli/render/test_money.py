"""Money as a person sees it is all in; the instance's own figures stay what they were for scripts."""

from datetime import timedelta
from decimal import Decimal

import pytest
from support.cli import Operator
from support.instances import a_ready_instance

from gpuctl.domain.instance import Instance

NO_COLOR = {"NO_COLOR": "1"}


def seeded(operator: Operator, *records: Instance) -> None:
    operator.store.add(records, lambda present: None)


def test_the_record_freezes_the_prices_of_disk_and_address_with_source_and_date(operator: Operator) -> None:
    operator.provision("--disk-size", "730")
    (record,) = operator.records
    assert record.disk_price is not None and record.address_price is not None
    assert record.disk_price.usd_per_hour == Decimal("0.08")
    assert "aws.amazon.com/ebs/pricing: 730 GB gp3" in record.disk_price.source
    assert record.address_price.usd_per_hour == Decimal("0.005")


def test_the_plan_line_and_the_table_are_all_in(operator: Operator) -> None:
    ran = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1", "--disk-size", "730")
    assert "$0.611/h with disk and public IP; $0.61 until the deadline in 1h (list price of 2026-07-20)\n" in ran.err
    operator.later(minutes=30)
    shown = operator.run("list", terminal=True, environ=NO_COLOR)
    assert shown.out.split()[-2:] == ["0.611", "$0.31"]
    assert "1 active · $0.61/h · $0.31 spent · $0.61 at the deadlines" in shown.err


def test_json_keeps_the_compute_figures_and_carries_the_rest_beside_them(operator: Operator) -> None:
    operator.provision("--disk-size", "730", "--ttl", "60")
    operator.later(hours=1)
    (shape,) = operator.json("list").json["instances"]
    launched = operator.records[0].launched_at
    assert launched is not None
    hours = (operator.clock.now() - launched) / timedelta(hours=1)
    assert (shape["costPerHour"], shape["totalCost"]) == (0.526, pytest.approx(0.526 * hours, abs=1e-6))
    breakdown = shape["costBreakdown"]
    assert breakdown["totalPerHour"] == 0.611
    assert breakdown["total"] == pytest.approx(0.611 * hours, abs=1e-6)
    parts = sum(breakdown[part] for part in ("compute", "disk", "publicIp"))
    assert breakdown["total"] == pytest.approx(parts, abs=2e-6)


def test_a_record_of_an_older_gpuctl_shows_compute_cost_alone_and_says_so(operator: Operator) -> None:
    seeded(operator, a_ready_instance(created_at=operator.clock.now() - timedelta(minutes=30)))
    shown = operator.run("list", terminal=True, environ=NO_COLOR)
    assert shown.out.split()[-2:] == ["0.526*", "$0.26*"]
    assert "1 without disk or public IP" in shown.err
    assert "* compute only: the disk or public IP price is unknown" in shown.err
    breakdown = operator.json("get", "inst-000000000001").instance["costBreakdown"]
    assert (breakdown["compute"], breakdown["disk"], breakdown["total"]) == (0.263, None, None)


def test_an_unknown_price_is_a_question_mark_and_in_no_sum(operator: Operator) -> None:
    seeded(operator, a_ready_instance(price=None, created_at=operator.clock.now()))
    shown = operator.run("list", terminal=True, environ=NO_COLOR)
    assert shown.out.split()[-2:] == ["?", "?"]
    assert "1 of unknown price not counted" in shown.err
