"""Cost per work from the command line: saved by `run`, learned by the commands that rank offers."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from support.cli import Operator
from support.instances import a_ready_instance

from gpuctl.domain.work import WorkDone


@pytest.fixture
def buyer(tmp_path: Path) -> Operator:
    """Somebody who sends no request."""
    return Operator.without_clouds(tmp_path)


def remember(buyer: Operator, instance_type: str, minutes: int, count: int = 3) -> None:
    """That many runs of 120 docs, each of which took so long."""
    now = buyer.clock.now()
    done = WorkDone(amount=Decimal(120), unit="docs", at=now, took=timedelta(minutes=minutes))
    records = [
        a_ready_instance(
            id=f"inst-{instance_type.replace('.', '')[:6]:0<6}{number:06d}".lower(),
            instance_type=instance_type,
            purpose="ocr",
            work=(done,),
        )
        for number in range(count)
    ]
    buyer.store.add(records, lambda present: None)


def test_types_by_work_rank_both_markets_by_what_three_runs_show(buyer: Operator) -> None:
    remember(buyer, "g4dn.xlarge", 60)
    remember(buyer, "g5.xlarge", 20)
    ran = buyer.json("types", "--by", "work", "--purpose", "ocr", "--provider", "aws").json
    by_name = {(each["instanceType"], each["market"]): each for each in ran["types"]}
    slow, fast = by_name["g4dn.xlarge", "on-demand"], by_name["g5.xlarge", "on-demand"]
    assert (slow["workUnit"], slow["workBasis"], slow["workRuns"]) == ("docs", "history", 3)
    assert slow["costPerWork"] == pytest.approx(slow["costPerHour"] / 120, rel=1e-3)
    assert fast["costPerWork"] == pytest.approx(fast["costPerHour"] / 3 / 120, rel=1e-3)
    assert by_name["p4d.24xlarge", "on-demand"]["workBasis"] == "table"
    known = [each["costPerWork"] for each in ran["types"] if each["costPerWork"] is not None]
    assert known == sorted(known)
    shown = buyer.run("types", "--by", "work", "--purpose", "ocr", terminal=True, environ={"NO_COLOR": "1"})
    assert "$ PER DOCS" in shown.out and "3 runs" in shown.out
    assert "learned from 6 runs of purpose `ocr`; 2 instance types with at least 3" in shown.err


def test_without_three_runs_the_table_ranks_and_that_is_printed(buyer: Operator) -> None:
    remember(buyer, "g4dn.xlarge", 60, count=2)
    ran = buyer.run("types", "--by", "work", "--purpose", "ocr")
    assert "no instance type has 3 runs of purpose `ocr`" in ran.err and "gavel" in ran.err
    first = buyer.json("types", "--by", "work", "--purpose", "ocr").json["types"][0]
    assert (first["workBasis"], first["workUnit"]) == ("table", "V100 hours")


def test_estimate_and_recommend_have_dollars_per_unit(buyer: Operator) -> None:
    remember(buyer, "g5.xlarge", 20)
    work = buyer.json("estimate", "g5.xlarge", "--region", "us-east-1", "--by", "work", "--purpose", "ocr").json
    on_demand = next(each for each in work["estimate"]["work"] if each["market"] == "on-demand")
    assert on_demand["costPerWork"] == pytest.approx(work["estimate"]["costPerHour"] / 360, rel=1e-3)
    advice = buyer.json("recommend", "--by", "work", "--purpose", "ocr", "--provider", "aws").json["recommendation"]
    assert advice["work"]["workUnit"] == "docs" and advice["work"]["costPerWork"] is not None


def test_stats_by_purpose_have_dollars_per_unit(buyer: Operator) -> None:
    remember(buyer, "g5.xlarge", 20)
    (group,) = buyer.json("stats", "--by", "purpose").json["groups"]
    assert (group["key"], group["work"][0]["unit"], group["work"][0]["amount"]) == ("ocr", "docs", 360.0)
    assert buyer.run("stats", "--by", "purpose", "-o", "csv").out.startswith(
        "key,instanceCount,hours,totalCost,fullCost,workUnit,workAmount,costPerWork\nocr,3,"
    )


def test_provision_ranks_offers_by_work(operator: Operator) -> None:
    remember(operator, "g5.xlarge", 1)
    argv = ("provision", "--gpu", "any", "--provider", "aws", "--region", "us-east-1", "--dry-run", "--by", "work")
    offers = operator.json(*argv, "--purpose", "ocr").json["offers"]
    assert offers[0]["instanceType"] == "g5.xlarge"
    assert operator.json(*argv[:-2]).json["offers"][0]["instanceType"] != "g5.xlarge"


def test_an_amount_needs_its_unit(operator: Operator) -> None:
    run = ("run", "g4dn.xlarge", "--region", "us-east-1")
    for options, text in (
        (("--work", "120"), "an amount of work needs its unit"),
        (("--unit", "docs"), "--unit needs an amount of work"),
        (("--work", "0", "--unit", "docs"), "above zero"),
        (("--work", "1", "--unit", "a b"), "--unit must be"),
    ):
        failed = operator.run(*run, *options, "--", "true")
        assert (failed.code, operator.records) == (202, ()) and text in failed.err
