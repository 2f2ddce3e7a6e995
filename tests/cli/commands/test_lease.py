"""`gpuctl lease` and `gpuctl release`, as scripts use them."""

import pytest
from support.cli import Operator, Ran
from support.clock import StepClock
from support.wire import refuse

from gpuctl.domain.events import EventName

LEASE = {"id", "pool", "instanceId", "task", "expiresAt"}


def create(operator: Operator, *argv: str, name: str = "train") -> Ran:
    return operator.json("pool", "create", name, "g4dn.xlarge", "--region", "us-east-1", *argv)


def lease(operator: Operator, *argv: str) -> dict[str, str]:
    ran = operator.json("lease", "train", *argv)
    assert ran.code == 0, ran.out + ran.err
    shape: dict[str, str] = ran.json["lease"]
    return shape


def pool_counts(operator: Operator) -> dict[str, int]:
    shape: dict[str, int] = operator.json("pool", "show", "train").json["pool"]["machines"]
    return shape


@pytest.fixture(autouse=True)
def _pool(operator: Operator) -> None:
    create(operator, "--max", "2")


def test_a_lease_launches_an_instance_and_answers_at_once_without_waiting(operator: Operator) -> None:
    ran = operator.json("lease", "train", "--no-wait", "--task", "t1", "--for", "20m")
    assert ran.code == 0
    assert ran.json["lease"].keys() >= LEASE
    assert (ran.json["lease"]["pool"], ran.json["lease"]["task"]) == ("train", "t1")
    assert ran.json["lease"]["expiresAt"] == "2026-11-24T12:20:00Z"
    assert ran.instance["id"] == ran.json["lease"]["instanceId"]
    assert (ran.instance["taskId"], ran.instance["expiresAt"]) == ("t1", "2026-11-24T12:25:00Z")
    assert len(operator.active) == 1
    assert pool_counts(operator) == {"starting": 0, "idle": 0, "leased": 1, "draining": 0}


def test_a_lease_waits_until_its_instance_is_ready(operator: Operator) -> None:
    assert operator.json("lease", "train").instance["status"] == "RUNNING"


def test_quiet_prints_the_id_of_the_lease_only(operator: Operator) -> None:
    ran = operator.run("lease", "train", "-q", "--no-wait")
    (record,) = operator.records
    assert record.pool is not None and record.pool.lease is not None
    assert ran.out == f"{record.pool.lease.id}\n"
    assert operator.run("release", record.pool.lease.id, "-q").out == ran.out


def test_a_full_pool_is_exit_5_at_once_or_when_the_time_is_out(operator: Operator) -> None:
    for _ in range(2):
        lease(operator, "--no-wait")
    ran = operator.json("lease", "train", "--no-wait")
    assert (ran.code, ran.json["error"]["code"], ran.json["error"]["retryable"]) == (5, "not_ready", True)
    before = operator.clock.now()
    assert operator.json("lease", "train", "--timeout", "90s").code == 5
    assert 80 <= (operator.clock.now() - before).total_seconds() <= 100
    assert len(operator.active) == 2


def test_releasing_terminates_an_instance_that_is_used_once_and_a_second_time_is_success(operator: Operator) -> None:
    granted = lease(operator)
    first = operator.json("release", granted["id"], "--work", "120", "--unit", "docs")
    assert first.code == 0
    assert first.json["lease"]["outcome"] == "ended"
    assert (first.json["lease"]["work"], first.json["lease"]["unit"]) == (120, "docs")
    assert operator.active == []
    operator.later(minutes=1)
    second = operator.json("release", granted["id"])
    assert second.code == 0
    assert second.json["lease"] == first.json["lease"]


def test_a_returned_instance_is_leased_again_and_has_a_near_deadline(operator: Operator) -> None:
    create(operator, "--reuse", "any", "--yes", name="shared")
    first = operator.json("lease", "shared", "--for", "90m").json["lease"]
    ran = operator.json("release", first["id"])
    assert ran.json["lease"]["outcome"] == "returned"
    assert (ran.instance["status"], ran.instance["expiresAt"]) == ("READY", "2026-11-24T12:15:00Z")
    second = operator.json("lease", "shared", "--user", "cy", "--task", "t2")
    assert second.json["lease"]["instanceId"] == first["instanceId"]
    assert (second.instance["userId"], second.instance["taskId"]) == ("cy", "t2")
    assert len(operator.active) == 1
    (tags,) = [instance["tags"] for instance in operator.cloud.instances()]
    assert tags["gpuctl-expires-at"] == "20261124t123500z"


def test_a_dirty_release_terminates_an_instance_that_would_be_used_again(operator: Operator) -> None:
    create(operator, "--reuse", "any", "--yes", name="shared")
    granted = operator.json("lease", "shared").json["lease"]
    released = operator.json("release", granted["id"], "--dirty").json["lease"]
    assert (released["outcome"], released["dirty"]) == ("ended", True)
    assert operator.active == []


def test_a_failed_clean_up_terminates_the_instance(operator: Operator) -> None:
    create(operator, "--reuse", "user", "--on-release", "rm -rf work", name="shared")
    granted = operator.json("lease", "shared").json["lease"]
    ran = operator.json("release", granted["id"])
    assert (ran.code, ran.json["lease"]["outcome"]) == (0, "ended")
    assert "`--on-release` failed on" in ran.err
    assert operator.active == []


def test_an_unknown_lease_or_pool_is_exit_3(operator: Operator) -> None:
    assert operator.json("release", "lease-000000000000").code == 3
    ran = operator.json("lease", "tran")
    assert (ran.code, ran.json["error"]["message"]) == (3, "no pool is named `tran`; there are `train`")


def test_a_lease_is_extended_with_the_deadline_of_its_instance(operator: Operator) -> None:
    granted = lease(operator, "--for", "10m")
    operator.later(minutes=5)
    ran = operator.json("extend", granted["id"], "--for", "30m")
    assert (ran.code, ran.json["lease"]["expiresAt"][:16]) == (0, "2026-11-24T12:35")
    assert ran.instance["expiresAt"][:16] == "2026-11-24T12:40"
    assert operator.json("extend", granted["id"], "--for", "1m").code == 2
    operator.json("release", granted["id"])
    assert operator.json("extend", granted["id"], "--for", "30m").code == 2


def test_a_lease_longer_than_an_instance_may_exist_is_refused(operator: Operator) -> None:
    ran = operator.json("lease", "train", "--for", "3h")
    assert (ran.code, ran.json["error"]["code"]) == (2, "usage")
    assert operator.active == []


def test_a_budget_without_room_refuses_a_lease_and_launches_nothing(operator: Operator) -> None:
    create(operator, "--budget-day", "0.10", name="small")
    ran = operator.json("lease", "small", "--no-wait")
    assert (ran.code, ran.json["error"]["code"]) == (7, "budget")
    assert (operator.active, operator.records) == ([], ())


def test_a_budget_without_room_leaves_an_idle_instance_unleased(operator: Operator) -> None:
    create(operator, "--reuse", "any", "--yes", name="shared")
    operator.json("release", operator.json("lease", "shared", "--for", "5m").json["lease"]["id"])
    operator.environ["GPUCTL_BUDGET_DAILY_USD"] = "0.5"
    assert operator.json("lease", "shared", "--for", "100m").code == 7
    assert operator.json("pool", "show", "shared").json["pool"]["machines"]["idle"] == 1


def test_leases_of_a_paused_pool_take_idle_instances_only(operator: Operator) -> None:
    create(operator, "--reuse", "any", "--yes", name="shared")
    operator.json("release", operator.json("lease", "shared").json["lease"]["id"])
    operator.json("pool", "pause", "shared")
    assert operator.json("lease", "shared", "--no-wait").code == 0
    ran = operator.json("lease", "shared", "--no-wait")
    assert (ran.code, ran.json["error"]["hint"]) == (5, "gpuctl pool resume shared")
    assert len(operator.active) == 1


def test_a_lease_whose_deadline_the_provider_refuses_is_not_granted(operator: Operator) -> None:
    create(operator, "--reuse", "any", "--yes", "--max", "1", name="shared")
    operator.json("release", operator.json("lease", "shared").json["lease"]["id"])
    operator.wire.arm("CreateTags", refuse("UnauthorizedOperation", 403))
    ran = operator.json("lease", "shared", "--no-wait", "--for", "60m")
    assert ran.code == 5
    assert operator.json("pool", "show", "shared").json["pool"]["machines"]["idle"] == 1


def test_the_cost_of_a_reused_instance_is_divided_among_its_leases_and_its_pool(operator: Operator) -> None:
    create(operator, "--reuse", "any", "--yes", name="shared")
    for user, minutes in (("bo", 20), ("cy", 15)):
        granted = operator.json("lease", "shared", "--user", user, "--task", f"of-{user}").json["lease"]
        operator.later(minutes=minutes)
        operator.json("release", granted["id"])
        operator.later(minutes=5)
    assert len(operator.active) == 1
    for side, keys in (("user", {"bo", "cy"}), ("task", {"of-bo", "of-cy"})):
        document = operator.json("stats", "--by", side).json
        costs = {group["key"]: group["costBreakdown"]["total"] for group in document["groups"]}
        assert costs.keys() == {*keys, "pool:shared"}
        assert sum(costs.values()) == pytest.approx(document["spending"]["total"], abs=1e-5)
    bo = operator.json("stats", "--user", "bo").json
    assert (bo["statistics"]["totalProvisioned"], bo["statistics"]["currentlyBilling"]) == (1, 0)
    assert 0 < bo["spending"]["total"] < document["spending"]["total"]
    (record,) = operator.records
    history = [entry.detail or "" for entry in record.history if entry.event == EventName.LEASED]
    assert [detail.partition("Z, ")[2] for detail in history] == ["user bo, task of-bo", "user cy, task of-cy"]


def test_an_interrupted_lease_reports_that_the_launched_instance_is_terminated(operator: Operator) -> None:
    operator.clock = StepClock(operator.clock.now(), [])
    # It never becomes ready, so that Ctrl-C comes while the lease waits for it.
    operator.wire.instead = lambda sent: (503, {}, b"") if sent.action == "DescribeInstanceStatus" else None
    ran = operator.run("lease", "train")
    assert (ran.code, operator.active) == (130, [])
    (record,) = operator.records
    assert f"nothing is leased; {record.id} is STOPPING" in ran.err
