"""Instances that ended: while launching, without a time, or after AWS dropped their tags."""

from datetime import UTC, datetime
from typing import Any

import pytest
from support.cli import Operator

from gpuctl.domain.instance import Reason
from gpuctl.providers.aws.observe import observed


def launch_fails(operator: Operator, code: str, message: str, times: int = 20) -> None:
    """Let AWS accept the next launches and then terminate each instance with that StateReason."""
    operator.cloud.set_up(launchFailures=[{"code": code, "message": message}] * times)


@pytest.mark.parametrize(
    ("code", "message", "exit_code", "error", "hint"),
    [
        (
            "Server.InsufficientInstanceCapacity",
            "Server.InsufficientInstanceCapacity: Insufficient capacity to satisfy instance request",
            5,
            "capacity",
            "gpuctl provision g4dn.xlarge --region us-east-2",
        ),
        ("Server.InternalError", "Client.VolumeLimitExceeded: Volume limit exceeded", 6, "quota", "Service Quotas"),
        ("Client.VolumeLimitExceeded", "Client.VolumeLimitExceeded: Volume limit exceeded", 6, "quota", "Quotas"),
        ("Client.InternalError", "Client.InternalError: Client error on launch", 1, "cloud", "get-ebs-default-kms-key"),
        (
            "Client.InvalidKMSKey.InvalidState",
            "Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state",
            1,
            "cloud",
            "get-ebs-default-kms-key",
        ),
        ("Server.InternalError", "Server.InternalError: Internal error on launch", 1, "cloud", None),
    ],
)
def test_an_instance_that_ends_while_launching_shows_the_reason_of_aws(
    operator: Operator, code: str, message: str, exit_code: int, error: str, hint: str | None
) -> None:
    launch_fails(operator, code, message)
    ran = operator.provision("--name", "n")
    sentence = message.partition(": ")[2]
    assert (ran.code, ran.json["error"]["code"]) == (exit_code, error), ran.out
    assert sentence in ran.json["error"]["message"]
    assert hint is None or hint in ran.json["error"]["hint"]
    record = operator.json("get", "n").instance
    assert record["status"] == "TERMINATED" and sentence in record["statusMessage"]
    last = operator.json("events").json["events"][-1]
    assert (last["reason"], sentence in last["detail"]) == ("refused", True)
    assert operator.active == []


def test_a_record_is_closed_by_its_own_id_when_aws_has_dropped_the_tags(operator: Operator) -> None:
    instance = operator.provision("--name", "n").instance
    operator.state.unlink()
    operator.run("recover", "--yes")
    operator.later(minutes=2)
    operator.cloud.client("ec2").terminate_instances(InstanceIds=[instance["cloudInstanceId"]])
    operator.later(minutes=5)
    described = operator.cloud.client("ec2").describe_instances(InstanceIds=[instance["cloudInstanceId"]])
    assert described["Reservations"][0]["Instances"][0].get("Tags", []) == []
    assert operator.run("reap", "--sweep").code == 0
    (record,) = operator.records
    assert (record.status.value, record.id_is_from_create) == ("TERMINATED", False)


def described(**facts: Any) -> dict[str, Any]:
    """An entry of DescribeInstances about an instance that has ended."""
    return {
        "InstanceId": "i-1",
        "InstanceType": "g5.xlarge",
        "State": {"Name": "terminated"},
        "LaunchTime": datetime(2026, 11, 24, 10, tzinfo=UTC),
    } | facts


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"StateTransitionReason": "Service initiated (2026-08-25 04:15:29 GMT)"}, Reason.INTERRUPTED),
        ({"StateTransitionReason": "Service initiated"}, Reason.INTERRUPTED),
        ({"StateReason": {"Code": "Server.SpotInstanceTermination", "Message": "m"}}, Reason.INTERRUPTED),
        ({"StateTransitionReason": "User initiated (2026-08-25 04:15:29 GMT)"}, None),
        ({"StateTransitionReason": ""}, None),
        ({}, None),
    ],
)
def test_a_spot_instance_that_aws_ended_was_interrupted(facts: dict[str, Any], reason: Reason | None) -> None:
    observations = observed(described(InstanceLifecycle="spot", **facts), "1", "us-east-1")
    assert (observations.end_reason, observations.refusal) == (reason, None)


def test_an_on_demand_instance_that_aws_ended_was_not_interrupted() -> None:
    facts = {"StateTransitionReason": "Service initiated (2026-08-25 04:15:29 GMT)"}
    assert observed(described(**facts), "1", "us-east-1").end_reason is None
