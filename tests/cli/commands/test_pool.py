"""`gpuctl pool`: create, list, show, scale, pause, resume, drain, delete."""

import sys
from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import Operator, Ran

from gpuctl.store.base import StateKind
from gpuctl.store.local import open_state

KEYS = {"name", "status", "min", "max", "policy", "demand", "machines"}


def create(operator: Operator, *argv: str, name: str = "train") -> Ran:
    return operator.json("pool", "create", name, "g4dn.xlarge", "--region", "us-east-1", *argv)


def show(operator: Operator, name: str = "train") -> dict[str, object]:
    shape: dict[str, object] = operator.json("pool", "show", name).json["pool"]
    return shape


def actions(ran: Ran) -> list[tuple[str, bool]]:
    assert ran.json["count"] == len(ran.json["actions"])
    return [(action["action"], action["id"] is not None) for action in ran.json["actions"]]


def queue(code: str) -> str:
    return f"cmd:{sys.executable} -c '{code}'"


def test_a_pool_is_created_listed_and_shown_without_an_instance(operator: Operator) -> None:
    ran = create(operator, "--max", "4")
    assert (ran.code, ran.json["created"]) == (0, True)
    shape = show(operator)
    assert shape.keys() >= KEYS
    assert shape["demand"] == {"waiting": 0, "running": 0, "known": True}
    assert shape["machines"] == {"starting": 0, "idle": 0, "leased": 0, "draining": 0}
    listed = operator.json("pool", "list").json
    assert (listed["count"], listed["pools"][0]["name"], listed["pools"][0]["status"]) == (1, "train", "ACTIVE")
    assert operator.run("pool", "list", "-q").out == "train\n"
    assert operator.wire.sent == []


def test_creating_the_same_pool_again_is_success_and_another_one_a_usage_error(operator: Operator) -> None:
    create(operator)
    operator.later(minutes=1)
    assert create(operator).json["created"] is False
    ran = create(operator, "--max", "2")
    assert (ran.code, ran.json["error"]["message"]) == (2, "pool `train` exists already, with another max")


def test_a_dry_run_saves_nothing(operator: Operator) -> None:
    assert create(operator, "--dry-run").json["dryRun"] is True
    assert operator.json("pool", "list").json["count"] == 0


@pytest.mark.parametrize(
    "argv",
    [
        ["--min", "9"],
        ["--max", "0"],
        ["--policy", "clever"],
        ["--policy", "keep:soon"],
        ["--reuse", "user"],
        ["--reuse", "any"],
        ["--queue", "kafka:jobs"],
        ["--queue", "cmd:"],
        ["--queue", "cmd:'unclosed"],
        ["--queue", "sqs:jobs"],
        ["--queue", "azure:Jobs"],
        ["--queue-shell"],
        ["--wait-cost", "-1"],
        ["--max-age", "5m"],
        ["--disk-size", "5"],
    ],
    ids=" ".join,
)
def test_a_pool_that_cannot_work_is_not_created(operator: Operator, argv: list[str]) -> None:
    ran = create(operator, *argv)
    assert (ran.code, ran.json["error"]["code"]) == (2, "usage"), ran.out
    assert operator.json("pool", "list").json["count"] == 0


def test_the_error_about_a_bad_name_names_the_argument_and_the_command(operator: Operator) -> None:
    error = create(operator, name="Train_7").json["error"]
    assert error["message"].startswith("NAME must be 1 to 40 characters")
    assert error["hint"].startswith("gpuctl pool create train-7")


def test_a_tick_with_nothing_to_do_prints_nothing_and_sends_nothing(operator: Operator) -> None:
    create(operator)
    ran = operator.run("pool", "scale")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert operator.json("pool", "scale").json["actions"] == []
    assert operator.wire.sent == []


def test_a_tick_launches_the_minimum_once_and_renews_its_deadline(operator: Operator) -> None:
    create(operator, "--min", "1", "--policy", "keep:10m")
    dry = operator.json("pool", "scale", "--dry-run")
    assert actions(dry) == [("launch", False)]
    assert operator.active == []
    assert actions(operator.json("pool", "scale")) == [("launch", True)]
    operator.later(minutes=1)
    assert actions(operator.json("pool", "scale")) == []
    assert show(operator)["machines"] == {"starting": 0, "idle": 1, "leased": 0, "draining": 0}
    operator.later(minutes=8)
    assert actions(operator.json("pool", "scale")) == [("renew", True)]
    (record,) = operator.records
    assert record.expires_at - operator.clock.now() == timedelta(minutes=15)


def test_a_pool_disappears_when_nothing_renews_it(operator: Operator) -> None:
    create(operator, "--min", "2")
    operator.json("pool", "scale")
    operator.later(minutes=16)
    operator.json("reap")
    assert operator.active == []


def test_a_queue_decides_how_many_instances_there_are(operator: Operator, tmp_path: Path) -> None:
    waiting = tmp_path / "waiting"
    waiting.write_text("3")
    create(operator, "--queue", f"cmd:cat {waiting}", "--max", "2")
    ran = operator.json("pool", "scale")
    assert actions(ran) == [("launch", True)] * 2
    assert show(operator)["demand"] == {"waiting": 3, "running": 0, "known": True}
    waiting.write_text('{"waiting": 0, "running": 1}')
    operator.later(minutes=2)
    assert [action for action, _ in actions(operator.json("pool", "scale"))] == ["end"]
    assert len(operator.active) == 1


@pytest.mark.parametrize(
    "command",
    [
        queue("raise SystemExit(3)"),
        queue("print(chr(110) * 9)"),
        queue("print(-1)"),
        queue("print(1.5)"),
        queue("print()"),
        "cmd:/no/such/program",
    ],
)
def test_a_queue_that_fails_holds_the_pool_with_exit_8(operator: Operator, command: str) -> None:
    create(operator, "--queue", command, "--min", "2")
    for argv in (["--dry-run"], []):
        ran = operator.json("pool", "scale", *argv)
        assert (ran.code, actions(ran)) == (8, [("hold", False)])
    assert operator.active == []
    demand = show(operator)["demand"]
    assert isinstance(demand, dict)
    assert (demand["waiting"], demand["known"]) == (None, False)


def test_a_budget_in_the_way_launches_fewer_with_exit_8(operator: Operator) -> None:
    create(operator, "--min", "5")
    # An instance that is launched for 15 minutes costs some 14 cents.
    operator.environ["GPUCTL_BUDGET_DAILY_USD"] = "0.30"
    for argv in (["--dry-run"], []):
        ran = operator.json("pool", "scale", *argv)
        assert (ran.code, [action["action"] for action in ran.json["actions"]]) == (8, ["launch", "launch", "hold"])
        assert "budget" in ran.json["actions"][-1]["reason"]
    assert len(operator.active) == 2


def test_the_prewarm_budget_limits_spares_and_not_demand(operator: Operator) -> None:
    create(operator, "--min", "1", "--policy", "always:4", "--prewarm-budget-day", "0.45")
    ran = operator.json("pool", "scale")
    assert [action["action"] for action in ran.json["actions"]] == ["launch"] * 3 + ["hold"]
    assert "prewarm budget" in ran.json["actions"][-1]["reason"]


def test_a_lasting_problem_is_printed_once_an_hour_and_in_every_exit_code(operator: Operator) -> None:
    create(operator, "--queue", "cmd:/no/such/program")
    ran = operator.run("pool", "scale")
    assert (ran.code, ran.out) == (8, "")
    assert "could not be read" in ran.err
    operator.later(minutes=1)
    again = operator.run("pool", "scale")
    assert (again.code, again.err) == (8, "")
    operator.later(minutes=60)
    assert "could not be read" in operator.run("pool", "scale").err


def test_pausing_and_resuming(operator: Operator) -> None:
    create(operator, "--min", "1")
    assert operator.json("pool", "pause", "train").json["pool"]["status"] == "PAUSED"
    assert actions(operator.json("pool", "scale")) == []
    assert operator.json("pool", "pause", "train").code == 0
    assert operator.json("pool", "resume", "train").json["pool"]["status"] == "ACTIVE"
    assert actions(operator.json("pool", "scale")) == [("launch", True)]


def test_draining_terminates_idle_instances_and_waits_for_leases(operator: Operator) -> None:
    create(operator, "--min", "2", "--reuse", "any", "--yes")
    operator.json("pool", "scale")
    operator.later(minutes=1)
    operator.json("pool", "scale")
    granted = operator.json("lease", "train").json["lease"]
    ran = operator.json("pool", "drain", "train")
    assert (ran.code, ran.json["pool"]["status"]) == (0, "DRAINING")
    assert len(operator.active) == 1
    assert operator.json("lease", "train").code == 5
    assert operator.json("release", granted["id"]).json["lease"]["outcome"] == "ended"
    assert operator.active == []


def test_a_pool_with_a_lease_is_deleted_by_force_only(operator: Operator) -> None:
    create(operator)
    granted = operator.json("lease", "train").json["lease"]
    ran = operator.json("pool", "delete", "train")
    assert (ran.code, ran.json["error"]["code"]) == (2, "usage")
    assert granted["id"] in ran.json["error"]["message"]
    assert show(operator)["status"] == "ACTIVE"
    assert operator.json("pool", "delete", "train", "--force").code == 2
    assert len(operator.active) == 1
    assert operator.json("pool", "delete", "train", "--yes", "--force").code == 0
    assert operator.active == []
    assert operator.json("pool", "delete", "train").code == 3
    assert operator.json("release", granted["id"]).json["lease"]["outcome"] == "ended"


def test_instances_of_a_deleted_pool_are_terminated_by_the_tick(operator: Operator) -> None:
    create(operator, "--min", "1")
    operator.json("pool", "scale")
    state = open_state(str(operator.state), kind=StateKind.REAL, clock=operator.clock)
    state.pools.change("train", lambda pool: None)
    operator.later(minutes=1)
    assert actions(operator.json("pool", "scale")) == [("end", True)]
    assert operator.active == []


def test_an_expired_lease_terminates_its_instance(operator: Operator) -> None:
    create(operator, "--reuse", "any", "--yes")
    granted = operator.json("lease", "train", "--for", "5m").json["lease"]
    operator.later(minutes=6)
    ran = operator.json("pool", "scale")
    assert [(action["action"], action["reason"]) for action in ran.json["actions"]] == [
        ("end", f"{granted['id']} has expired")
    ]
    assert operator.active == []
    assert operator.json("release", granted["id"]).json["lease"]["outcome"] == "ended"


def test_three_instances_of_no_use_pause_the_pool(operator: Operator) -> None:
    create(operator, "--min", "1", "--reuse", "any", "--yes")
    for _ in range(3):
        operator.later(seconds=30)
        operator.json("release", operator.json("lease", "train").json["lease"]["id"], "--dirty")
    ran = operator.json("pool", "scale")
    assert (ran.code, [action["action"] for action in ran.json["actions"]]) == (8, ["hold"])
    assert show(operator)["status"] == "PAUSED"
    operator.json("pool", "resume", "train")
    assert actions(operator.json("pool", "scale")) == [("launch", True)]


def test_a_tick_of_an_unknown_pool_is_exit_3(operator: Operator) -> None:
    create(operator)
    assert operator.json("pool", "scale", "test").code == 3


def test_pools_and_leases_are_completed(operator: Operator) -> None:
    create(operator)
    granted = operator.json("lease", "train", "--no-wait").json["lease"]
    complete = operator.run("complete", "--", "lease", "tr")
    assert "train" in complete.out
    assert granted["id"] in operator.run("complete", "--", "release", "lease-").out
