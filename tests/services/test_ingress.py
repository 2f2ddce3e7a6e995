"""From where an instance can be reached: only from where it was said, never from everywhere by accident."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from support.cli import Operator
from support.echo import Echo, echo_service
from support.wire import FAILED_AFTER, LOST, Phase, Sent, refuse

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
        operator.environ["GPUCTL_PUBLIC_IP_URL"] = service.url
        yield service


def groups(operator: Operator) -> list[dict[str, Any]]:
    """The security groups that carry a state's tag, by the cloud itself."""
    query = {"Filters": [{"Name": "tag-key", "Values": [STATE]}]}
    problems: list[dict[str, Any]] = operator.cloud.client("ec2").describe_security_groups(**query)["SecurityGroups"]
    return problems


def ranges(operator: Operator) -> list[str]:
    """The ranges that anything of ours opens to anybody, each rule once."""
    return [
        text.get("CidrIp") or text["CidrIpv6"]
        for group in groups(operator)
        for rule in group["IpPermissions"]
        for text in (*rule["IpRanges"], *rule["Ipv6Ranges"])
    ]


def reachable_from(operator: Operator, *cloud_ids: str) -> list[list[str]]:
    """The sources that reach port 22 of these instances, by the cloud's own store."""
    problems = {instance["id"]: instance["ssh_from"] for instance in operator.cloud.instances()}
    return [problems[cloud_id] for cloud_id in cloud_ids]


def started(operator: Operator, *argv: str) -> str:
    """The cloud's id of an instance that was started just now."""
    return str(operator.provision(*argv).instance["cloudInstanceId"])


def test_instances_of_one_range_share_a_group_that_lets_in_ssh_and_nothing_else(operator: Operator, echo: Echo) -> None:
    operator.provision()
    operator.provision()
    (group,) = groups(operator)
    (rule,) = group["IpPermissions"]
    assert {tag["Key"]: tag["Value"] for tag in group["Tags"]}[STATE] == operator.state_id
    assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("tcp", 22, 22)
    assert [ip_range["CidrIp"] for ip_range in rule["IpRanges"]] == ["8.8.4.4/32"]
    assert {sent.form["SecurityGroupId.1"] for sent in operator.wire.calls("RunInstances")} == {group["GroupId"]}
    assert [record.ssh_from for record in operator.records] == ["8.8.4.4/32"] * 2


def test_a_cloud_on_this_computer_sees_its_callers_at_the_loopback_address(operator: Operator) -> None:
    operator.provision()
    assert ranges(operator) == ["127.0.0.1/32"]


def test_ssh_from_none_opens_nothing_and_sends_no_request(operator: Operator, echo: Echo) -> None:
    operator.provision("--ssh-from", "none")
    (sent,) = operator.wire.calls("RunInstances")
    assert "SecurityGroupId.1" not in sent.form
    assert (echo.asked, groups(operator), operator.records[0].ssh_from) == (0, [], None)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("203.0.113.9/24", "203.0.113.0/24"),
        ("2001:db8::/48", "2001:db8::/48"),
    ],
)
def test_a_range_that_is_named_is_the_one_that_is_let_in(operator: Operator, echo: Echo, text: str, rule: str) -> None:
    ran = operator.provision("--ssh-from", text)
    assert (ran.code, ranges(operator), echo.asked) == (0, [rule], 0)
    assert "warning" not in ran.err


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0"])
def test_port_22_is_open_to_everyone_only_if_requested_and_with_a_warning(operator: Operator, text: str) -> None:
    ran = operator.provision("--ssh-from", text)
    assert ranges(operator) == [text]
    assert f"warning: port 22 is open to everyone ({text})" in ran.err


@pytest.mark.parametrize(
    "text", ["203.0.113.7\n", "everybody", "203.0.113.7/33", "203.0.113", "::ffff:1.2.3.4", "0", "*", "-1", "١.2.3.4"]
)
def test_what_is_no_range_is_refused_before_anything_is_done(operator: Operator, text: str) -> None:
    ran = operator.provision(f"--ssh-from={text}")
    assert (ran.code, ran.json["error"]["code"], operator.wire.sent) == (2, "usage", [])


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD.keys())
def test_an_odd_answer_about_one_s_address_opens_nothing(operator: Operator, echo: Echo, answer: bytes) -> None:
    echo.answer = answer
    demanded = operator.provision("--ssh-from", "auto")
    assert (demanded.code, demanded.json["error"]["code"]) == (5, "unreachable")
    assert "--ssh-from none" in demanded.json["error"]["hint"]
    assert (operator.active, operator.records) == ([], ())
    # Where nobody demanded it the instance is started, closed, and that is said.
    plain = operator.provision()
    assert plain.code == 0
    assert "warning: port 22 stays closed" in plain.err
    assert ranges(operator) == []


def test_a_service_that_fails_or_is_not_there_opens_nothing(operator: Operator, echo: Echo) -> None:
    echo.status = 503
    assert operator.provision("--ssh-from", "auto").code == 5
    ran = operator.run(
        "provision", "g4dn.xlarge", "--region", "us-east-1", environ={"GPUCTL_PUBLIC_IP_URL": "http://127.0.0.1:9/"}
    )
    assert ran.code == 0
    assert ranges(operator) == []


@pytest.mark.parametrize(
    "url", ["http://example.com/", "ftp://127.0.0.1/", "checkip", "https://", "http://127.0.0.1:x"]
)
def test_the_address_is_requested_by_https_or_on_loopback_only(operator: Operator, url: str) -> None:
    operator.environ["GPUCTL_PUBLIC_IP_URL"] = url
    ran = operator.provision("--ssh-from", "auto")
    assert (ran.code, ran.json["error"]["code"], operator.records) == (2, "usage", ())


def test_the_settings_say_from_where_and_a_flag_goes_before_them(operator: Operator) -> None:
    operator.environ["GPUCTL_SSH_FROM"] = "198.51.100.0/24"
    operator.provision()
    operator.provision("--ssh-from", "203.0.113.7/32")
    assert sorted(ranges(operator)) == ["198.51.100.0/24", "203.0.113.7/32"]


def test_an_instance_is_reachable_from_its_own_range_only_whatever_is_started_after_it(operator: Operator) -> None:
    text = ["203.0.113.7/32", "198.51.100.0/24", "2001:db8::/48", "203.0.113.7/32"]
    ids = [started(operator, "--ssh-from", cidr) for cidr in text]
    assert reachable_from(operator, *ids) == [[cidr] for cidr in text]
    assert len(groups(operator)) == 3


@pytest.mark.parametrize("port", [22, 8888])
def test_a_group_whose_rules_others_changed_is_left_to_its_instances(operator: Operator, port: int) -> None:
    operator.provision("--ssh-from", "203.0.113.7/32")
    (group,) = groups(operator)
    rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    operator.cloud.client("ec2").authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[rule])
    later = [started(operator, "--ssh-from", "203.0.113.7/32") for _ in range(2)]
    assert reachable_from(operator, *later) == [["203.0.113.7/32"]] * 2
    names = sorted(group["GroupName"] for group in groups(operator))
    assert names == [group["GroupName"], f"{group['GroupName']}-2"]


def test_a_group_without_its_rule_is_given_the_rule(operator: Operator) -> None:
    operator.json("terminate", operator.provision().instance["id"])
    (group,) = groups(operator)
    operator.cloud.client("ec2").revoke_security_group_ingress(
        GroupId=group["GroupId"], IpPermissions=group["IpPermissions"]
    )
    operator.provision()
    assert (len(groups(operator)), ranges(operator)) == (1, ["127.0.0.1/32"])


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_group_that_ec2_does_not_find_yet_is_requested_again(operator: Operator, times: int) -> None:
    for _ in range(2):  # the first creates the group, the second finds it
        operator.wire.arm("RunInstances", *[refuse("InvalidGroup.NotFound")] * times)
        assert operator.provision().code == 0
    assert (len(groups(operator)), len(operator.active)) == (1, 2)


def test_a_group_that_ec2_never_finds_is_not_now_and_starts_nothing(operator: Operator) -> None:
    operator.wire.arm("RunInstances", *[refuse("InvalidGroup.NotFound")] * 4)
    ran = operator.provision()
    assert (ran.code, ran.json["error"]["code"], operator.active) == (5, "unreachable", [])


def test_a_group_that_was_deleted_after_it_was_found_is_created_again(operator: Operator) -> None:
    operator.json("terminate", operator.provision().instance["id"])
    (group,) = groups(operator)
    operator.wire.sent.clear()
    operator.wire.watch = partial(delete_before_the_first_launch, operator, group["GroupId"])
    assert reachable_from(operator, started(operator)) == [["127.0.0.1/32"]]
    assert len(operator.wire.calls("RunInstances")) == 2


def test_a_group_that_exists_and_is_not_shown_yet_is_waited_for(operator: Operator) -> None:
    operator.wire.arm("CreateSecurityGroup", refuse("InvalidGroup.Duplicate"))
    assert operator.provision().code == 0
    operator.wire.arm("CreateSecurityGroup", *[refuse("InvalidGroup.Duplicate")] * 4)
    ran = operator.provision("--ssh-from", "203.0.113.7/32")
    assert (ran.code, ran.json["error"]["code"], len(operator.active)) == (5, "unreachable", 1)


@pytest.mark.parametrize(
    ("action", "code"),
    [
        ("CreateSecurityGroup", "SecurityGroupLimitExceeded"),
        ("AuthorizeSecurityGroupIngress", "RulesPerSecurityGroupLimitExceeded"),
    ],
)
def test_no_more_groups_or_rules_is_a_quota_and_starts_nothing(operator: Operator, action: str, code: str) -> None:
    operator.wire.arm(action, refuse(code))
    ran = operator.provision("--ssh-from", "203.0.113.7/32")
    error = ran.json["error"]
    assert (ran.code, error["code"], operator.active) == (6, "quota", [])
    assert code in error["message"] and "--ssh-from none" in error["hint"]
    assert operator.wire.calls("RunInstances") == []


@pytest.mark.parametrize("action", MAKING)
@pytest.mark.parametrize("fault", [LOST, FAILED_AFTER])
def test_a_lost_reply_makes_no_second_group_and_no_second_rule(operator: Operator, action: str, fault: Any) -> None:
    operator.wire.arm(action, fault)
    assert operator.provision().code == 0
    assert (len(groups(operator)), ranges(operator)) == (1, ["127.0.0.1/32"])


def test_a_group_that_cannot_be_made_is_a_refusal_and_nothing_is_left(operator: Operator) -> None:
    operator.wire.arm("CreateSecurityGroup", refuse("UnauthorizedOperation"))
    ran = operator.provision()
    assert (ran.code, operator.active, groups(operator)) == (4, [], [])
    assert "--ssh-from none" in ran.json["error"]["hint"]
    assert ran.instance["status"] == "FAILED"


def test_a_group_of_our_name_without_our_tag_is_never_opened(operator: Operator) -> None:
    operator.json("terminate", operator.provision("--ssh-from", "none").instance["id"])
    ec2 = operator.cloud.client("ec2")
    name = f"gpuctl-{operator.state_id}-ssh-127.0.0.1/32"
    theirs = ec2.create_security_group(GroupName=name, Description="theirs")["GroupId"]
    assert reachable_from(operator, started(operator)) == [["127.0.0.1/32"]]
    assert ec2.describe_security_groups(GroupIds=[theirs])["SecurityGroups"][0]["IpPermissions"] == []


def test_nothing_is_started_where_others_hold_every_name(operator: Operator) -> None:
    operator.json("terminate", operator.provision("--ssh-from", "none").instance["id"])
    name = f"gpuctl-{operator.state_id}-ssh-127.0.0.1/32"
    for suffix in ("", "-2", "-3", "-4", "-5"):
        operator.cloud.client("ec2").create_security_group(GroupName=f"{name}{suffix}", Description="theirs")
    ran = operator.provision()
    assert (ran.code, ran.json["error"]["code"], operator.active) == (1, "cloud", [])
    assert "--ssh-from none" in ran.json["error"]["hint"]


def test_a_group_is_deleted_an_hour_after_the_last_instance_that_needed_it(operator: Operator) -> None:
    operator.json("terminate", operator.provision().instance["id"])
    operator.later(minutes=59)
    operator.run("reap")
    assert len(groups(operator)) == 1
    operator.later(minutes=2)
    assert operator.run("reap").code == 0
    assert groups(operator) == []
    operator.wire.sent.clear()
    for _ in range(3):
        operator.later(days=1)
        operator.run("reap")
    assert operator.wire.calls("DescribeSecurityGroups") == []


def test_one_request_for_a_region_finds_every_group_that_is_to_go(operator: Operator) -> None:
    for number in range(4):
        operator.json("terminate", operator.provision("--ssh-from", f"203.0.113.{number}/32").instance["id"])
    operator.provision("--ssh-from", "198.51.100.0/24")
    operator.later(minutes=61)
    operator.wire.sent.clear()
    operator.run("reap")
    assert len(operator.wire.calls("DescribeSecurityGroups")) == 1
    assert len(operator.wire.calls("DeleteSecurityGroup")) == 4
    assert ranges(operator) == ["198.51.100.0/24"]


def test_a_range_that_an_active_instance_needs_stays_open_while_others_are_closed(operator: Operator) -> None:
    operator.json("terminate", operator.provision("--ssh-from", "203.0.113.7/32").instance["id"])
    operator.provision("--ssh-from", "198.51.100.0/24", "--ttl", "120m")
    operator.later(minutes=61)
    operator.wire.sent.clear()
    operator.run("reap")
    assert ranges(operator) == ["198.51.100.0/24"]
    assert len(operator.wire.calls("DeleteSecurityGroup")) == 1


def test_a_group_that_a_refused_create_left_is_deleted_too(operator: Operator) -> None:
    operator.wire.arm("RunInstances", refuse("InsufficientInstanceCapacity"))
    operator.provision("--region", "us-west-2,us-east-1")
    operator.json("terminate", "--all", "--yes")
    operator.later(minutes=61)
    operator.run("reap")
    for region in ("us-east-1", "us-west-2"):
        assert "gpuctl" not in str(operator.cloud.client("ec2", region).describe_security_groups()["SecurityGroups"])


def test_a_group_that_is_in_use_stays_and_is_queried_once_a_day(operator: Operator) -> None:
    operator.json("terminate", operator.provision().instance["id"])
    (group,) = groups(operator)
    theirs = operator.cloud.launch(SecurityGroupIds=[group["GroupId"]])
    operator.later(hours=2)
    for _ in range(3):
        ran = operator.run("reap")
        operator.later(hours=1)
    assert (ran.code, ran.err, len(groups(operator))) == (0, "", 1)
    assert len(operator.wire.calls("DeleteSecurityGroup")) == 1
    operator.cloud.client("ec2").terminate_instances(InstanceIds=[theirs])
    operator.later(days=1)
    operator.run("reap")
    assert groups(operator) == []


def test_an_active_instance_keeps_its_group_whatever_its_age(operator: Operator) -> None:
    operator.environ["GPUCTL_MAX_TTL"] = "7d"
    operator.provision("--ttl", "7d")
    operator.json("terminate", operator.provision().instance["id"])
    for _ in range(3):
        operator.later(days=2, hours=7)
        operator.run("reap")
    assert operator.wire.calls("DeleteSecurityGroup") == []
    assert len(groups(operator)) == 1


def delete_before_the_first_launch(operator: Operator, group_id: str, phase: Phase, sent: Sent) -> bool:
    if phase is Phase.SENT and len(operator.wire.calls("RunInstances")) == 1 and sent.action == "RunInstances":
        operator.cloud.client("ec2").delete_security_group(GroupId=group_id)
    return True
