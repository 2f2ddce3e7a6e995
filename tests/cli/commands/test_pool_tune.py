"""`gpuctl pool tune`, `forecast`, and `simulate` with the past of a pool."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from support.cli import Operator

from gpuctl.domain.pools.events import PoolEvent, PoolEventName
from gpuctl.store.base import StateKind
from gpuctl.store.local import open_state

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def create(operator: Operator, *argv: str) -> None:
    arguments = ("pool", "create", "train", "g4dn.xlarge", "--region", "us-east-1", "--reuse", "user")
    assert operator.json(*arguments, "--on-release", "true", *argv).code == 0


def write_history(operator: Operator, days: int, *, every: timedelta, length: timedelta) -> int:
    """Leases in equal distances until now, each granted at once."""
    pools = open_state(str(operator.state), kind=StateKind.REAL, clock=operator.clock).pools
    begin, events = operator.clock.now() - days * DAY, list[PoolEvent]()
    starts: Sequence[timedelta] = [every * number for number in range(int(days * DAY / every))]
    for number, start in enumerate(starts):
        at, lease = begin + start, f"lease-{number}"
        events.append(PoolEvent(at=at, event=PoolEventName.LEASED, lease=lease, requested_at=at, until=at + HOUR))
        events.append(PoolEvent(at=at + length, event=PoolEventName.RELEASED, lease=lease))
    pools.append("train", sorted(events, key=lambda event: event.at))
    return len(starts)


def test_too_little_history_is_refused(operator: Operator) -> None:
    create(operator)
    write_history(operator, 1, every=HOUR, length=timedelta(minutes=5))
    ran = operator.json("pool", "tune", "train")
    assert (ran.code, ran.json["error"]["code"]) == (2, "usage")
    assert "24 leases" in ran.json["error"]["message"]


def test_tune_proposes_and_changes_nothing_without_apply(operator: Operator) -> None:
    create(operator)
    count = write_history(operator, 5, every=timedelta(minutes=20), length=timedelta(minutes=15))
    tuned = operator.json("pool", "tune", "train").json["tune"]
    assert (tuned["pool"], tuned["applied"], tuned["jobs"]) == ("train", False, count)
    costs = [policy["costWithWaits"] for policy in tuned["policies"]]
    assert costs == sorted(costs)
    assert {"tuned", "fallback"} == tuned["heldOut"].keys()
    assert operator.json("pool", "show", "train").json["pool"]["policyReason"] == "default with enough history"


def test_what_is_applied_is_in_force(operator: Operator) -> None:
    create(operator, "--policy", "on-demand")
    write_history(operator, 5, every=timedelta(minutes=20), length=timedelta(minutes=15))
    ran = operator.run("pool", "tune", "train", "--apply", "-q")
    shape = operator.json("pool", "show", "train").json["pool"]
    assert (shape["policy"], shape["policyInForce"]) == ("tuned", ran.out.strip())
    assert shape["policyReason"] == "chosen by `gpuctl pool tune`"


def test_a_forecast_that_costs_more_than_on_demand_is_out_of_force(operator: Operator) -> None:
    create(operator, "--wait-cost", "0.01")
    write_history(operator, 10, every=timedelta(minutes=20), length=timedelta(minutes=5))
    forecast = operator.json("pool", "forecast", "train").json["forecast"]
    assert (forecast["policyInForce"], forecast["spares"]) == ("on-demand", 0)
    assert "more than `on-demand` in the last 7 days" in forecast["policyReason"]
    shadow = {policy["policy"]: policy["costWithWaits"] for policy in forecast["shadow"]}
    assert shadow["predict"] > 1.05 * shadow["on-demand"]
    shown = operator.json("pool", "show", "train").json["pool"]["shadow"]
    assert (shown["policy"], shown["fallback"], shown["days"]) == ("predict", "on-demand", 7)
    assert (shown["costWithWaits"], shown["fallbackCostWithWaits"]) == (shadow["predict"], shadow["on-demand"])
    assert "predict would have cost" in operator.run("pool", "show", "train").err


@pytest.mark.parametrize(("reuse", "needs_spares"), [(("--reuse", "user", "--on-release", "true"), False), ((), True)])
def test_instances_that_are_used_once_need_spares_though_demand_never_rises(
    operator: Operator, reuse: tuple[str, ...], needs_spares: bool
) -> None:
    assert operator.json("pool", "create", "train", "g4dn.xlarge", "--region", "us-east-1", *reuse).code == 0
    write_history(operator, 1, every=timedelta(minutes=3), length=timedelta(minutes=3))
    spares = operator.json("pool", "show", "train").json["pool"]["spares"]
    assert (spares > 0) == needs_spares


def test_the_demand_of_the_next_hours_is_that_of_past_days(operator: Operator) -> None:
    create(operator)
    write_history(operator, 5, every=timedelta(minutes=20), length=timedelta(minutes=10))
    hours = operator.json("pool", "forecast", "train", "--hours", "30").json["forecast"]["hours"]
    assert len(hours) == 30
    assert {(hour["average"], hour["highest"]) for hour in hours} == {(0.5, 1)}
    assert "AVERAGE" in operator.run("pool", "forecast", "train", terminal=True).out


def test_a_pool_without_history_has_an_empty_forecast(operator: Operator) -> None:
    create(operator)
    forecast = operator.json("pool", "forecast", "train", "--hours", "1").json["forecast"]
    assert (forecast["hours"][0]["days"], forecast["shadow"], forecast["policyInForce"]) == (0, [], "on-demand")


def test_the_past_of_a_pool_is_simulated_with_its_settings(operator: Operator) -> None:
    create(operator, "--max", "1")
    count = write_history(operator, 2, every=timedelta(minutes=20), length=timedelta(minutes=10))
    simulation = operator.json("pool", "simulate", "train", "--policy", "keep:10m").json["simulation"]
    assert (simulation["jobs"], simulation["policies"][0]["peakMachines"]) == (count, 1)
    assert "as much as 57.03 instances" in operator.run("pool", "simulate", "train", "--policy", "on-demand").err
    once = operator.json("pool", "simulate", "train", "--policy", "keep:10m", "--reuse", "never").json["simulation"]
    assert once["policies"][0]["waitSeconds"]["p50"] == 150


@pytest.mark.parametrize("command", ["tune", "forecast", "simulate"])
def test_an_unknown_pool_is_not_found(operator: Operator, command: str) -> None:
    assert operator.json("pool", command, "none").code == 3


def test_a_pool_and_a_trace_exclude_each_other(operator: Operator) -> None:
    ran = operator.run("pool", "simulate", "train", "--trace", "jobs.csv")
    assert (ran.code, ran.err.splitlines()[0]) == (
        2,
        "error: two things to simulate: give either --trace FILE or the name of a pool",
    )
