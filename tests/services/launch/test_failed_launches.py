"""An instance that its provider accepted and then could not start: the same command makes the next attempt."""

from datetime import timedelta
from typing import Any

import pytest
from support.azure import LoopbackAzure
from support.cli import Operator, Ran
from support.wire import LOST, NEVER_ARRIVED, Phase, Sent, refuse_arm

from gpuctl.domain.instance import Instance

NO_CAPACITY = (
    "Server.InsufficientInstanceCapacity",
    "Server.InsufficientInstanceCapacity: Insufficient capacity to satisfy instance request",
)
TAKEN_BACK = ("Server.SpotInstanceTermination", "Server.SpotInstanceTermination: Spot instance termination")
NO_VOLUMES = ("Client.VolumeLimitExceeded", "Client.VolumeLimitExceeded: Volume limit exceeded")
MACHINES = "Microsoft.Compute/virtualMachines"
REGIONS = "us-east-1,us-west-2"


def launches_fail(operator: Operator, *reasons: tuple[str, str]) -> None:
    """Let AWS accept the next launches and then terminate each instance with its StateReason."""
    operator.cloud.set_up(launchFailures=[{"code": code, "message": message} for code, message in reasons])


def attempts(shape: dict[str, Any]) -> list[tuple[str, str]]:
    return [(attempt["region"], attempt["outcome"]) for attempt in shape["attempts"]]


def provision(operator: Operator, *argv: str) -> Ran:
    return operator.json("provision", "g4dn.xlarge", "--region", REGIONS, "--name", "n", *argv)


def the_record(operator: Operator) -> Instance:
    (record,) = operator.records
    return record


def at_second_create(operator: Operator, phase: Phase, do: Any) -> None:
    """Do that when the second RunInstances has come so far."""
    sends = 0

    def watch(now: Phase, sent: Sent) -> bool:
        nonlocal sends
        sends += sent.action == "RunInstances" and now is phase
        if sends == 2 and sent.action == "RunInstances" and now is phase:
            do()
        return True

    operator.wire.watch = watch


@pytest.mark.parametrize("reason", [NO_CAPACITY, NO_VOLUMES])
def test_an_instance_that_ends_while_launching_leads_to_the_next_region(
    operator: Operator, reason: tuple[str, str]
) -> None:
    launches_fail(operator, reason)
    ran = provision(operator)
    sentence = reason[1].partition(": ")[2]
    assert ran.code == 0, ran.out
    assert attempts(ran.instance) == [("us-east-1", "ended"), ("us-west-2", "created")]
    first, second = ran.instance["attempts"]
    assert (second["token"], sentence in first["detail"]) == (f"{first['token']}-2", True)
    assert (ran.instance["status"], ran.instance["region"]) == ("READY", "us-west-2")
    assert f"({sentence}); trying us-west-2 at $" in ran.err
    assert len(operator.active) == 1


def test_a_spot_instance_that_is_taken_back_while_launching_leads_to_the_next_region(operator: Operator) -> None:
    launches_fail(operator, TAKEN_BACK)
    ran = provision(operator, "--spot", "--allow-unknown-price")
    assert (ran.code, attempts(ran.instance)) == (0, [("us-east-1", "ended"), ("us-west-2", "created")])
    assert "took the spot instance back while it was starting" in ran.err


def test_zones_of_the_region_are_tried_like_after_a_refusal(operator: Operator) -> None:
    launches_fail(operator, NO_CAPACITY, NO_CAPACITY)
    ran = operator.provision()
    assert ran.code == 0
    assert [attempt["zone"] for attempt in ran.instance["attempts"]] == [None, "us-east-1a", ran.instance["zone"]]


def test_what_failed_everywhere_is_one_record_and_shows_the_last_reason(operator: Operator) -> None:
    launches_fail(operator, *[NO_CAPACITY] * 40)
    ran = provision(operator)
    assert (ran.code, ran.json["error"]["code"]) == (5, "capacity")
    assert "Insufficient capacity to satisfy instance request" in ran.json["error"]["message"]
    record = the_record(operator)
    assert (record.status, record.reason) == ("TERMINATED", "refused")
    assert operator.active == []


def test_another_command_does_not_repeat_the_place_that_failed(operator: Operator) -> None:
    launches_fail(operator, NO_CAPACITY)
    provision(operator)
    launches_fail(operator)
    again = operator.json("provision", "g4dn.xlarge", "--region", REGIONS)
    assert attempts(again.instance) == [("us-west-2", "created")]


def test_an_attempt_after_a_failed_launch_needs_five_minutes_until_the_deadline(operator: Operator) -> None:
    launches_fail(operator, NO_CAPACITY)
    operator.wire.watch = lambda phase, sent: (
        operator.later(seconds=1) or True if phase is Phase.DONE and sent.action == "RunInstances" else True
    )
    ran = provision(operator, "--ttl", "5")
    assert (ran.code, attempts(ran.instance)) == (5, [("us-east-1", "ended")])
    assert "less than 5m are left until the deadline" in ran.err
    assert the_record(operator).status == "TERMINATED"


def test_the_next_attempt_is_on_disk_with_the_first_one_ended_before_it_is_sent(operator: Operator) -> None:
    launches_fail(operator, NO_CAPACITY)
    calls: list[Instance] = []
    at_second_create(operator, Phase.SENT, lambda: calls.append(the_record(operator)))
    provision(operator)
    (record,) = calls
    assert (record.status, record.cloud_id, record.launched_at) == ("PROVISIONING", None, None)
    assert [attempt.outcome.value for attempt in record.attempts] == ["ended", "pending"]


def test_a_reaper_between_two_attempts_never_takes_the_first_instance_for_the_second(operator: Operator) -> None:
    # Both are in one region and have the record's tags; only the first one is shown yet.
    launches_fail(operator, NO_CAPACITY)
    at_second_create(operator, Phase.SENT, lambda: operator.run("reap", "--sweep"))
    ran = operator.provision("--name", "n")
    assert ran.code == 0, ran.out
    assert attempts(ran.instance) == [("us-east-1", "ended"), ("us-east-1", "created")]
    assert ran.instance["status"] == "READY"
    assert len(operator.active) == 1


def test_what_was_terminated_between_two_attempts_is_not_tried_again(operator: Operator) -> None:
    launches_fail(operator, NO_CAPACITY)
    at_second_create(operator, Phase.SENT, lambda: operator.run("terminate", "n", "--yes", "--no-wait"))
    provision(operator)
    operator.later(minutes=1)
    operator.run("reap", "--sweep")
    assert operator.active == []
    assert the_record(operator).status.is_ended


@pytest.mark.parametrize("trouble", [LOST, NEVER_ARRIVED])
def test_a_lost_reply_after_a_failed_launch_is_looked_for_and_never_sent_elsewhere(
    operator: Operator, trouble: Any
) -> None:
    launches_fail(operator, NO_CAPACITY)
    operator.wire.arm("RunInstances", None, *[trouble] * 4)
    ran = operator.provision("--name", "n")
    assert (ran.code, len(operator.active)) == ((0, 1) if trouble is LOST else (8, 0)), ran.out
    assert len(ran.instance["attempts"]) == 2


def fails_late(azure_cloud: LoopbackAzure) -> None:
    """Let Azure accept the next VM, and find no capacity only after gpuctl's create has returned."""
    azure_cloud.set(polls=40)
    azure_cloud.break_next("AllocationFailed", type=MACHINES, method="PUT")


def test_a_late_allocation_failure_on_azure_leads_to_the_next_region(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    fails_late(azure_cloud)
    ran = operator.json("provision", "Standard_NC4as_T4_v3", "--region", "eastus,westus2", "--name", "n")
    assert ran.code == 0, ran.out
    assert attempts(ran.instance) == [("eastus", "leftovers"), ("westus2", "created")]
    assert "AllocationFailed" in ran.instance["attempts"][0]["detail"]
    ours = [resource for resource in azure_cloud.resources() if "gpuctl-inst" in resource["id"]]
    assert {resource["location"] for resource in ours} == {"westus2"}
    operator.later(minutes=16)
    operator.run("reap", "--sweep")
    assert [attempt["outcome"] for attempt in operator.json("get", "n").instance["attempts"]] == ["ended", "created"]


def test_what_a_late_allocation_failure_left_is_terminated_by_the_reaper_where_its_deletion_failed(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    fails_late(azure_cloud)
    operator.wire.arm("DELETE resourceGroups", *[refuse_arm("InternalServerError", 500)] * 4)
    operator.wire.arm("DELETE virtualMachines", *[refuse_arm("InternalServerError", 500)] * 4)
    ran = operator.json("provision", "Standard_NC4as_T4_v3", "--region", "eastus,westus2", "--name", "n")
    assert ran.code == 0, ran.out
    assert "leftovers of" in ran.err
    assert operator.clock.now() < the_record(operator).expires_at - timedelta(minutes=5)
    operator.wire.reset()
    azure_cloud.set(polls=0)
    operator.run("reap", "--sweep")
    ours = [resource for resource in azure_cloud.resources() if "gpuctl-inst" in resource["id"]]
    assert {resource["location"] for resource in ours} == {"westus2"}
    assert the_record(operator).status == "READY"
