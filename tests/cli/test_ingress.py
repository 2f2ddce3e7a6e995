"""From where a machine can be reached: only from where it was said, never from everywhere by accident."""

from collections.abc import Iterator
from typing import Any

import pytest
from support.cli import Operator
from support.echo import Echo, echo_service
from support.wire import FAILED_AFTER, LOST, refuse

from gpuctl.domain.tags import STATE

MAKING = ("CreateSecurityGroup", "AuthorizeSecurityGroupIngress")
ODD = {
    "everything": b"0.0.0.0",
    "everything as a range": b"0.0.0.0/0",
    "a private address": b"10.1.2.3\n",
    "loopback": b"127.0.0.1",
    "behind a carrier's network": b"100.64.1.2",
    "IPv6": b"2001:4860:4860::8888",
    "IPv4 in IPv6": b"::ffff:8.8.8.8",
    "a captive portal": b"<html><body>Please log in: 8.8.8.8</body></html>",
    "two addresses": b"8.8.8.8, 8.8.4.4",
    "nothing": b"",
    "multicast": b"224.0.0.1",
    "a very long answer": b"8.8.8.8" + b" " * 5_000,
    "digits of another script": "８.8.8.8".encode(),
}


@pytest.fixture
def echo(operator: Operator) -> Iterator[Echo]:
    with echo_service() as service:
        operator.environ["GPUCTL_IP_ECHO"] = service.url
        yield service


def groups(operator: Operator) -> list[dict[str, Any]]:
    """The security groups that carry a state's tag, by the cloud itself."""
    asked = {"Filters": [{"Name": "tag-key", "Values": [STATE]}]}
    found: list[dict[str, Any]] = operator.cloud.client("ec2").describe_security_groups(**asked)["SecurityGroups"]
    return found


def ranges(operator: Operator) -> list[str]:
    """The ranges that anything of ours opens to anybody, each rule once."""
    return [
        said.get("CidrIp") or said["CidrIpv6"]
        for group in groups(operator)
        for rule in group["IpPermissions"]
        for said in (*rule["IpRanges"], *rule["Ipv6Ranges"])
    ]


def test_a_machine_has_its_state_s_own_group_and_nothing_but_ssh_is_let_in(operator: Operator, echo: Echo) -> None:
    operator.provision()
    operator.provision()
    (group,) = groups(operator)
    (rule,) = group["IpPermissions"]
    assert {tag["Key"]: tag["Value"] for tag in group["Tags"]}[STATE] == operator.state_id
    assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("tcp", 22, 22)
    assert [one["CidrIp"] for one in rule["IpRanges"]] == ["8.8.4.4/32"]
    assert {one.form["SecurityGroupId.1"] for one in operator.wire.calls("RunInstances")} == {group["GroupId"]}
    assert [one.ssh_from for one in operator.records] == ["8.8.4.4/32"] * 2


def test_a_cloud_on_this_computer_sees_its_callers_at_the_loopback_address(operator: Operator) -> None:
    operator.provision()
    assert ranges(operator) == ["127.0.0.1/32"]


def test_none_opens_nothing_and_asks_nobody(operator: Operator, echo: Echo) -> None:
    operator.provision("--ssh-from", "none")
    (sent,) = operator.wire.calls("RunInstances")
    assert "SecurityGroupId.1" not in sent.form
    assert (echo.asked, groups(operator), operator.records[0].ssh_from) == (0, [], None)


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("203.0.113.9/24", "203.0.113.0/24"),
        ("2001:db8::/48", "2001:db8::/48"),
    ],
)
def test_a_range_that_is_named_is_the_one_that_is_let_in(operator: Operator, echo: Echo, said: str, rule: str) -> None:
    ran = operator.provision("--ssh-from", said)
    assert (ran.code, ranges(operator), echo.asked) == (0, [rule], 0)
    assert "warning" not in ran.err


@pytest.mark.parametrize("said", ["0.0.0.0/0", "::/0"])
def test_everybody_is_let_in_only_where_that_is_written_out_and_with_a_warning(operator: Operator, said: str) -> None:
    ran = operator.provision("--ssh-from", said)
    assert ranges(operator) == [said]
    assert f"warning: port 22 is opened to everybody ({said})" in ran.err


@pytest.mark.parametrize(
    "said", ["everybody", "203.0.113.7/33", "203.0.113", "::ffff:1.2.3.4", "0", "*", "-1", "١.2.3.4"]
)
def test_what_is_no_range_is_refused_before_anything_is_done(operator: Operator, said: str) -> None:
    ran = operator.provision(f"--ssh-from={said}")
    assert (ran.code, ran.json["error"]["code"], operator.wire.sent) == (2, "usage", [])


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD.keys())
def test_an_odd_answer_about_one_s_address_opens_nothing(operator: Operator, echo: Echo, answer: bytes) -> None:
    echo.answer = answer
    demanded = operator.provision("--ssh-from", "auto")
    assert (demanded.code, demanded.json["error"]["code"]) == (5, "unreachable")
    assert "--ssh-from none" in demanded.json["error"]["hint"]
    assert (operator.alive, operator.records) == ([], ())
    # Where nobody demanded it the machine is started, closed, and that is said.
    plain = operator.provision()
    assert plain.code == 0
    assert "warning: port 22 stays closed" in plain.err
    assert ranges(operator) == []


def test_a_service_that_fails_or_is_not_there_opens_nothing(operator: Operator, echo: Echo) -> None:
    echo.status = 503
    assert operator.provision("--ssh-from", "auto").code == 5
    gone = operator.run(
        "provision", "g4dn.xlarge", "--region", "us-east-1", environ={"GPUCTL_IP_ECHO": "http://127.0.0.1:9/"}
    )
    assert gone.code == 0
    assert ranges(operator) == []


@pytest.mark.parametrize(
    "url", ["http://example.com/", "ftp://127.0.0.1/", "checkip", "https://", "http://127.0.0.1:x"]
)
def test_the_address_is_asked_for_by_https_or_on_loopback_only(operator: Operator, url: str) -> None:
    operator.environ["GPUCTL_IP_ECHO"] = url
    ran = operator.provision("--ssh-from", "auto")
    assert (ran.code, ran.json["error"]["code"], operator.records) == (2, "usage", ())


def test_the_settings_say_from_where_and_a_flag_goes_before_them(operator: Operator) -> None:
    operator.environ["GPUCTL_SSH_FROM"] = "198.51.100.0/24"
    operator.provision()
    operator.provision("--ssh-from", "203.0.113.7/32")
    assert sorted(ranges(operator)) == ["198.51.100.0/24", "203.0.113.7/32"]


def test_a_group_that_is_missing_when_the_machine_is_made_is_made_anew_once(operator: Operator) -> None:
    operator.wire.arm("RunInstances", refuse("InvalidGroup.NotFound"))
    assert operator.provision().code == 0
    operator.wire.arm("RunInstances", refuse("InvalidGroup.NotFound"), refuse("InvalidGroup.NotFound"))
    ran = operator.provision()
    assert (ran.code, ran.json["error"]["code"], len(operator.alive)) == (1, "cloud", 1)


@pytest.mark.parametrize("action", MAKING)
@pytest.mark.parametrize("fault", [LOST, FAILED_AFTER])
def test_a_lost_reply_makes_no_second_group_and_no_second_rule(operator: Operator, action: str, fault: Any) -> None:
    operator.wire.arm(action, fault)
    assert operator.provision().code == 0
    assert (len(groups(operator)), ranges(operator)) == (1, ["127.0.0.1/32"])


def test_a_group_that_cannot_be_made_is_a_refusal_and_nothing_is_left(operator: Operator) -> None:
    operator.wire.arm("CreateSecurityGroup", refuse("UnauthorizedOperation"))
    ran = operator.provision()
    assert (ran.code, operator.alive, groups(operator)) == (4, [], [])
    assert "--ssh-from none" in ran.json["error"]["hint"]
    assert ran.instance["status"] == "FAILED"


def test_a_group_of_our_name_without_our_tag_is_never_opened(operator: Operator) -> None:
    operator.json("terminate", operator.provision("--ssh-from", "none").instance["id"])
    ec2 = operator.cloud.client("ec2")
    theirs = ec2.create_security_group(GroupName=f"gpuctl-{operator.state_id}", Description="theirs")["GroupId"]
    ran = operator.provision()
    assert (ran.code, operator.alive) == (1, [])
    assert ec2.describe_security_groups(GroupIds=[theirs])["SecurityGroups"][0]["IpPermissions"] == []


def test_the_group_goes_when_no_machine_needed_it_for_a_week(operator: Operator) -> None:
    operator.json("terminate", operator.provision().instance["id"])
    operator.later(days=6, hours=23)
    operator.run("reap")
    assert len(groups(operator)) == 1
    operator.later(hours=2)
    assert operator.run("reap").code == 0
    assert groups(operator) == []
    operator.wire.sent.clear()
    operator.later(days=2)
    operator.run("reap")
    assert operator.wire.calls("DescribeSecurityGroups") == []


def test_a_group_that_is_in_use_stays_and_is_asked_about_once_a_day(operator: Operator) -> None:
    operator.json("terminate", operator.provision().instance["id"])
    (group,) = groups(operator)
    theirs = operator.cloud.launch(SecurityGroupIds=[group["GroupId"]])
    operator.wire.arm("DeleteSecurityGroup", refuse("DependencyViolation"))
    operator.later(days=8)
    for _ in range(3):
        ran = operator.run("reap")
        operator.later(hours=1)
    assert (ran.code, ran.err, len(groups(operator))) == (0, "", 1)
    assert len(operator.wire.calls("DeleteSecurityGroup")) == 1
    operator.cloud.client("ec2").terminate_instances(InstanceIds=[theirs])
    operator.later(days=1)
    operator.run("reap")
    assert groups(operator) == []


def test_a_machine_that_lives_keeps_the_group_whatever_its_age(operator: Operator) -> None:
    operator.environ["GPUCTL_MAX_TTL"] = "7d"
    operator.provision("--ttl", "7d")
    operator.json("terminate", operator.provision().instance["id"])
    for _ in range(3):
        operator.later(days=2, hours=7)
        operator.run("reap")
    assert len(groups(operator)) == 1
