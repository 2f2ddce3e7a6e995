"""`estimate` and `recommend`: the figures before anything is started."""

import csv
import io
from pathlib import Path

import pytest
from support.cli import Operator

NC6 = ("estimate", "Standard_NC6", "--hours-per-day", "2", "--days", "30")


@pytest.fixture
def buyer(tmp_path: Path) -> Operator:
    """Somebody who asks no cloud anything."""
    return Operator.without_clouds(tmp_path)


def test_the_savings_of_one_instance(buyer: Operator) -> None:
    figures = buyer.json(*NC6).json["estimate"]
    assert (figures["alwaysOnMonthly"], figures["whileUsedMonthly"], figures["savingsMonthly"]) == (648, 54, 594)
    assert (figures["alwaysOnYearly"], figures["whileUsedYearly"], figures["savingsYearly"]) == (7776, 648, 7128)
    assert (figures["savingsPercent"], figures["costPerHour"], figures["region"]) == (91.67, 0.9, "eastus")


def test_the_savings_of_a_hundred_users_in_every_form(buyer: Operator) -> None:
    argv = (*NC6, "--users", "100")
    figures = buyer.json(*argv).json["estimate"]
    assert (figures["alwaysOnMonthly"], figures["whileUsedMonthly"]) == (64_800, 5_400)
    assert (figures["savingsMonthly"], figures["savingsYearly"]) == (59_400, 712_800)
    assert figures["perUser"]["savingsYearly"] == 7128
    rows = list(csv.DictReader(io.StringIO(buyer.run(*argv, "-o", "csv").out)))
    assert [(row["users"], row["period"], row["savings"]) for row in rows] == [
        ("1", "month", "594"),
        ("1", "year", "7128"),
        ("100", "month", "59400"),
        ("100", "year", "712800"),
    ]
    shown = buyer.run(*argv, terminal=True, environ={"NO_COLOR": "1"})
    for figure in ("$648.00", "$54.00", "91.7 %", "$7,128.00", "$64,800.00", "$59,400.00", "$712,800.00"):
        assert figure in shown.out


def test_estimate_prints_what_it_includes_and_excludes_and_that_a_type_is_retired(buyer: Operator) -> None:
    stderr = buyer.run(*NC6).err
    for words in ("the cheapest region", "as of 2023-10-27", "100 GB disk", "not counted: traffic", "days old"):
        assert words in stderr
    assert (
        "`Standard_NC6` was retired on 2023-09-06" in stderr and "`Standard_NC4as_T4_v3` is its replacement" in stderr
    )
    assert buyer.run(*NC6, "--allow-retired").code == 2
    with_all = buyer.json(*NC6).json["estimate"]["withDiskAndPublicIp"]
    assert with_all["whileUsedMonthly"] > 54


def test_the_region_is_the_one_named_else_the_one_configured(buyer: Operator) -> None:
    configured = {"GPUCTL_AZURE_REGION": "westeurope"}
    assert "westeurope (configured)" in buyer.run(*NC6, environ=configured).err
    named = buyer.run(*NC6, "--region", "uksouth", "-o", "json", environ=configured)
    assert named.json["estimate"]["region"] == "uksouth"


@pytest.mark.parametrize(
    "wrong",
    [
        ["estimate"],
        ["estimate", "Standard_NC66"],
        [*NC6, "--hours-per-day", "0"],
        [*NC6, "--hours-per-day", "24.5"],
        [*NC6, "--hours-per-day", "nan"],
        [*NC6, "--days", "0"],
        [*NC6, "--days", "32"],
        [*NC6, "--users", "0"],
        [*NC6, "--users", "1_000"],
        [*NC6, "--region", "eatsus"],
        [*NC6, "--disk-size", "10"],
        ["estimate", "g5.xlarge", "--spot"],
        ["recommend"],
        ["recommend", "--docs", "0"],
        ["recommend", "--docs", "many"],
        ["recommend", "--minutes", "0"],
        ["recommend", "--minutes", "soon"],
        ["recommend", "--docs", "5", "--region", "us-esat-1"],
        ["recommend", "--docs", "5", "--provider", "oracle"],
    ],
    ids=" ".join,
)
def test_invalid_values_are_one_line_and_exit_2(buyer: Operator, wrong: list[str]) -> None:
    ran = buyer.run(*wrong)
    assert (ran.code, ran.out, len(ran.err.splitlines()) <= 2) == (2, "", True)


def test_the_sizes_of_today_and_the_line_to_type(buyer: Operator) -> None:
    lines = [
        buyer.json("recommend", "--provider", "aws", *argv).json["recommendation"]["command"]
        for argv in (["--docs", "5"], ["--docs", "30"], ["--docs", "90"], ["--docs", "5", "--minutes", "60"])
    ]
    assert lines == [
        "gpuctl provision g4dn.xlarge --region us-east-1 --ttl 30",
        "gpuctl provision g4dn.2xlarge --region us-east-1 --ttl 60",
        "gpuctl provision g6.xlarge --region us-east-1 --ttl 120",
        "gpuctl provision g4dn.xlarge --region us-east-1 --ttl 120",
    ]


def test_recommend_prints_the_cost_the_reason_and_the_offer_of_the_other_cloud(buyer: Operator) -> None:
    ran = buyer.json("recommend", "--docs", "30", "--minutes", "40")
    best, others = ran.json["recommendation"], ran.json["alternatives"]
    assert (best["instanceType"], best["size"], best["autoTerminateMinutes"]) == ("Standard_NC4as_T4_v3", "medium", 60)
    assert (best["costUntilDeadline"], {other["provider"] for other in others}) == (0.526, {"AWS", "GCP"})
    assert best["fullCostUntilDeadline"] > best["costUntilDeadline"]
    reason = "medium, for 30 documents and a task of 40m: the cheapest with 16 GB GPU memory and 28 GB RAM"
    assert ran.json["reason"] == reason
    lines = buyer.run("recommend", "--docs", "30", "--minutes", "40").err.splitlines()
    assert (lines[0], lines[-1]) == (reason, best["command"])


def test_a_task_that_is_too_long_is_reported_and_max_ttl_is_heeded(buyer: Operator) -> None:
    assert "the task does not fit" in buyer.run("recommend", "--minutes", "150").err
    longer = buyer.run("recommend", "--minutes", "150", environ={"GPUCTL_MAX_TTL": "6h"})
    assert "--ttl 210" in longer.out and "most allowed" not in longer.err
    assert "--ttl 20" in buyer.run("recommend", "--docs", "5", environ={"GPUCTL_MAX_TTL": "20m"}).out
