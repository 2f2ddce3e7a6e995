"""`gpuctl stats`: the document's figures stay, and money is shown all in, by sides, as bars and as a picture."""

import csv
import io
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

import pytest
from support.cli import Operator
from support.instances import a_ready_instance

from gpuctl.domain.instance import Instance, Market, Price, ProviderName, Status

HOUR = timedelta(hours=1)
SVG = "{http://www.w3.org/2000/svg}"
DOCUMENTED = [
    "totalProvisioned",
    "currentlyRunning",
    "totalCost",
    "averageDuration",
    "averageCost",
    "providerBreakdown",
    "instanceTypeBreakdown",
]


def priced(usd: str) -> Price:
    return Price(usd_per_hour=Decimal(usd), source="a test", as_of=date(2026, 8, 20))


def machine(operator: Operator, number: int, ago: timedelta, life: timedelta | None, **facts: Any) -> Instance:
    """One that costs $1 an hour all in, $0.90 of it the instance."""
    start = operator.clock.now() - ago
    fields: dict[str, Any] = {
        "created_at": start,
        "price": priced("0.90"),
        "disk_price": priced("0.08"),
        "address_price": priced("0.02"),
    }
    if life is not None:
        fields |= {"status": Status.TERMINATED, "terminated_at": start + life}
    return a_ready_instance(f"inst-{number:012d}", **(fields | facts))


@pytest.fixture
def busy(operator: Operator) -> Operator:
    operator.store.add(
        [
            machine(operator, 1, 50 * HOUR, 4 * HOUR, user="ana", tags={"project": "x"}),
            machine(operator, 2, 26 * HOUR, 4 * HOUR, user="ben", market=Market.SPOT, provider=ProviderName.AZURE),
            machine(operator, 3, HOUR / 2, None, user="ana", instance_type="g5.xlarge"),
        ],
        lambda present: None,
    )
    return operator


def test_the_seven_figures_of_the_document_come_first_and_are_compute_cost(busy: Operator) -> None:
    figures = busy.json("stats").json["statistics"]
    assert list(figures)[:7] == DOCUMENTED
    assert (figures["totalCost"], figures["averageCost"]) == (7.65, 3.6)
    assert (figures["totalProvisioned"], figures["currentlyRunning"], figures["averageDuration"]) == (3, 1, 4)


def test_what_is_spent_all_in_and_what_is_still_to_come_stand_beside_them(busy: Operator) -> None:
    assert busy.json("stats").json["spending"] == {
        "total": 8.5,
        "compute": 7.65,
        "disk": 0.68,
        "publicIp": 0.17,
        "unknownPriceCount": 0,
        "computeOnlyCount": 0,
        "onDemand": 4.5,
        "spot": 4.0,
        "totalPerHour": 1.0,
        "remainingUntilDeadlines": 0.5,
    }


def test_a_window_counts_the_part_of_an_instance_that_fell_into_it(busy: Operator) -> None:
    document = busy.json("stats", "--since", "24h").json
    assert (document["statistics"]["totalProvisioned"], document["spending"]["total"]) == (2, 2.5)
    assert document["statistics"]["totalCost"] == 2.25
    assert busy.json("stats", "--since", "1h").json["spending"]["total"] == 0.5


def test_instances_are_grouped_by_any_key(busy: Operator) -> None:
    sides = {
        "user": {"ana": 4.5, "ben": 4.0},
        "type": {"g4dn.xlarge": 8.0, "g5.xlarge": 0.5},
        "provider": {"AWS": 4.5, "AZURE": 4.0},
        "market": {"on-demand": 4.5, "spot": 4.0},
        "region": {"us-east-1": 8.5},
        "tag:project": {None: 4.5, "x": 4.0},
    }
    for side, wanted in sides.items():
        document = busy.json("stats", "--by", side).json
        assert document["by"] == side
        assert {group["key"]: group["costBreakdown"]["total"] for group in document["groups"]} == wanted


def test_days_are_utc_and_none_is_left_out(busy: Operator) -> None:
    groups = busy.json("stats", "--by", "day").json["groups"]
    days = [date.fromisoformat(group["key"]) for group in groups]
    assert days == [days[0] + timedelta(days=number) for number in range(len(days))]
    assert days[-1] == busy.clock.now().date()
    assert round(sum(group["costBreakdown"]["total"] for group in groups), 4) == 8.5


def test_scripts_get_the_groups_as_rows(busy: Operator) -> None:
    rows = list(csv.reader(io.StringIO(busy.run("stats", "--by", "user", "-o", "csv").out)))
    assert rows[0] == ["key", "instanceCount", "hours", "totalCost", "fullCost"]
    assert rows[1:] == [["ana", "2", "4.5", "4.05", "4.5"], ["ben", "1", "4", "3.6", "4"]]
    assert busy.run("stats", "--by", "user").out.splitlines() == ["\t".join(row) for row in rows[1:]]


def test_a_terminal_gets_bars_spot_apart_and_the_run_out(busy: Operator) -> None:
    shown = busy.run("stats", "--by", "user", terminal=True, environ={"NO_COLOR": "1", "COLUMNS": "80"}).out
    lines = [line.split() for line in shown.splitlines()]
    assert ["spent", "$8.50", "$7.65", "compute,", "$0.68", "disks,", "$0.17", "public", "IPs"] in lines
    assert ["by", "market", "$4.00", "spot,", "$4.50", "on-demand"] in lines
    assert ["an", "hour", "$1.00", "now;", "$0.50", "more", "until", "the", "deadlines"] in lines
    bars = {line[0]: line[-1] for line in lines if line and line[0] in ("ana", "ben")}
    assert set(bars["ana"]) == {"█"}
    assert len(bars["ana"]) > len(bars["ben"].rstrip("▏▎▍▌▋▊▉")) > 0
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_a_picture_is_drawn_that_a_browser_can_read(busy: Operator) -> None:
    for side in ("user", "day"):
        ran = busy.run("stats", "--by", side, "--chart", str(busy.folder / f"{side}.svg"))
        assert ran.code == 0
        assert f"chart written to {busy.folder}/{side}.svg" in ran.err
        picture = ElementTree.parse(busy.folder / f"{side}.svg").getroot()
        assert picture.tag == f"{SVG}svg"
        assert {element.get("class") for element in picture.iter(f"{SVG}rect")} == {None, "on-demand", "spot"}
        assert any("$8.50 in all" in (element.text or "") for element in picture.iter(f"{SVG}text"))


def test_a_name_cannot_break_out_of_the_picture(operator: Operator) -> None:
    evil = '</text><script>alert("x")</script>\x1b[31m'
    operator.store.add([machine(operator, 1, HOUR, None, tags={"project": evil})], lambda present: None)
    operator.run("stats", "--by", "tag:project", "--chart", str(operator.folder / "a.svg"))
    picture = ElementTree.parse(operator.folder / "a.svg").getroot()
    assert not list(picture.iter(f"{SVG}script"))
    assert any("<script>" in (element.text or "") for element in picture.iter(f"{SVG}title"))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["--by", "usr"],
            "--by must be user, task, purpose, type, provider, market, region, day or tag:KEY, not `usr`",
        ),
        (
            ["--by", "tag:"],
            "--by must be user, task, purpose, type, provider, market, region, day or tag:KEY, not `tag:`",
        ),
        (["--chart", "x.png"], "--chart draws SVG, not `.png`"),
        (["--chart", "/nowhere/x.svg"], "`/nowhere/x.svg` cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_drawn_or_grouped_is_a_wrong_usage(busy: Operator, argv: list[str], message: str) -> None:
    ran = busy.run("stats", *argv)
    assert (ran.code, ran.err.splitlines()[0]) == (2, f"error: {message}")


def test_no_instances_are_no_figures_and_no_failure(operator: Operator) -> None:
    ran = operator.run("stats", "--by", "day", "--chart", str(operator.folder / "a.svg"))
    assert (ran.code, ran.out) == (0, "")
    assert operator.json("stats", "--by", "user").json["groups"] == []
    assert "nothing was spent" in (operator.folder / "a.svg").read_text()


def test_what_is_not_known_is_marked_and_said(operator: Operator) -> None:
    records = [
        machine(operator, 1, HOUR, None, price=None),
        machine(operator, 2, HOUR, None, disk_price=None),
    ]
    operator.store.add(records, lambda present: None)
    ran = operator.run("stats", "--by", "user", terminal=True, environ={"NO_COLOR": "1"})
    assert "$0.92*" in ran.out
    assert "1 of unknown price not counted · 1 without disk or public IP" in ran.err
    spending = operator.json("stats").json["spending"]
    assert (spending["total"], spending["unknownPriceCount"], spending["computeOnlyCount"]) == (0.92, 1, 1)
