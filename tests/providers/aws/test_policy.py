"""The published IAM policy grants exactly what gpuctl does: every call it makes, and nothing beside."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.cli import Operator
from support.iam import Ask, Policy, actions, allows, asks, instance
from support.pricelists import product
from support.wire import FAILED_AFTER, LOST, NEVER_ARRIVED, Phase, Sent, refuse

from gpuctl.domain.tags import EXPIRES_AT, ID, OWNER, STATE

FILE = Path(__file__).parents[3] / "docs" / "aws-policy.json"
LOOKING_INTO = {"ec2:DescribeInstanceAttribute", "ec2:GetConsoleOutput"}
OURS = {ID: "inst-000000000001", STATE: "a-state-id", OWNER: "ana", EXPIRES_AT: "20261124t130000z"}


@pytest.fixture
def policy() -> Policy:
    document: Policy = json.loads(FILE.read_text())
    return document


def a_whole_life(operator: Operator) -> list[Sent]:
    """Every command, with the cloud refusing and losing so that repeats and searches happen; the calls it took."""
    operator.wire.arm("RunInstances", refuse("InsufficientInstanceCapacity"))
    operator.provision()
    operator.wire.arm("RunInstances", LOST, FAILED_AFTER)
    lost = operator.provision("--tag", "project=x", "--name", "train-7").instance
    operator.wire.arm("RunInstances", NEVER_ARRIVED, refuse("UnauthorizedOperation"))
    operator.provision("--timeout", "10s")
    operator.wire.arm("RunInstances", LOST, LOST, LOST, LOST)
    actual = operator.provision("--subnet", a_subnet(operator)).instance
    assert (lost["status"], actual["status"]) == ("READY", "READY")
    operator.json("get", lost["id"], "--refresh")
    assert operator.provision("--spot", "--yes").code == 0
    operator.json("list", "--refresh")
    assert operator.json("extend", lost["id"], "--by", "30m").code == 0
    operator.json("doctor", "--region", "us-east-1")
    operator.provision("--count", "3", "--image", found_image(operator))
    missing, *_ = operator.active
    operator.wire.arm("TerminateInstances", refuse("InvalidInstanceID.NotFound"))
    operator.later(minutes=61)
    operator.json("reap", "--sweep")
    operator.json("reap", "--sweep", "--wait")
    operator.json("terminate", "--all", "--yes")
    operator.later(minutes=61)
    operator.json("reap", "--sweep")
    assert missing not in operator.active and operator.active == []
    operator.json("terminate", operator.provision("--ssh-from", "203.0.113.7/32").instance["id"])
    operator.later(days=1)
    operator.json("terminate", operator.provision().instance["id"])
    operator.later(minutes=61)
    operator.json("reap", "--sweep")
    assert groups_of(operator) == {}
    operator.state.unlink()
    assert operator.json("recover", "--yes").code == 0
    read_the_prices(operator)
    tested = operator.json("selftest", "g4dn.xlarge", "--region", "us-east-1", "--ssh-from", "none")
    assert [check["status"] for check in tested.json["checks"][-2:]] == ["ok", "ok"]
    # Doctor asks about an instance that cannot exist; whatever the answer is, it is of no use to a policy by tags.
    return [sent for sent in operator.wire.sent if sent.form.get("InstanceId.1") != "i-00000000000000000"]


def read_the_prices(operator: Operator) -> None:
    """The price list is the one AWS service here that the cloud on loopback does not have."""
    listed = json.dumps({"PriceList": [json.dumps(product("g4dn.xlarge", "0.526"))]}).encode()
    answer = (200, {"Content-Type": "application/x-amz-json-1.1"}, listed)
    operator.wire.instead = lambda sent: answer if sent.action == "GetProducts" else None
    read = operator.json("prices", "refresh", "--provider", "aws", "--region", "us-east-1")
    assert (read.code, read.json["refreshed"][0]["prices"] > 0) == (0, True)


def a_subnet(operator: Operator) -> str:
    return str(operator.cloud.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"])


def found_image(operator: Operator) -> str:
    return operator.wire.calls("RunInstances")[0].form["ImageId"]


def groups_of(operator: Operator) -> dict[str, Mapping[str, str]]:
    """The security groups that carry a state's tag, with their tags."""
    query = {"Filters": [{"Name": "tag-key", "Values": [STATE]}]}
    problems = operator.cloud.client("ec2").describe_security_groups(**query)["SecurityGroups"]
    return {item["GroupId"]: {tag["Key"]: tag["Value"] for tag in item["Tags"]} for item in problems}


def tags_in_the_books(operator: Operator) -> dict[str, Mapping[str, str]]:
    return {instance["id"]: instance["tags"] for instance in operator.cloud.instances()}


def to_tag(changed: Mapping[str, str], account_tags: Mapping[str, str]) -> Ask:
    form = {"Action": "CreateTags", "ResourceId.1": "i-1"}
    for number, (key, value) in enumerate(changed.items(), 1):
        form |= {f"Tag.{number}.Key": key, f"Tag.{number}.Value": value}
    (ask,) = asks(Sent("CreateTags", form), lambda _: account_tags)
    return ask


def to_end(account_tags: Mapping[str, str]) -> Ask:
    (ask,) = asks(Sent("TerminateInstances", {"InstanceId.1": "i-1"}), lambda _: account_tags)
    return ask


def test_a_whole_lifecycle_is_allowed_and_needs_every_statement_and_every_action(
    operator: Operator, policy: Policy
) -> None:
    groups: dict[str, Mapping[str, str]] = {}

    def note_groups(phase: Phase, sent: Sent) -> bool:
        if phase is Phase.SENT and "SecurityGroup" in sent.action:
            groups.update(groups_of(operator))
        return True

    operator.wire.watch = note_groups
    sent = a_whole_life(operator)
    books = tags_in_the_books(operator) | groups
    requested = [ask for item in sent for ask in asks(item, books.__getitem__)]
    assert [ask for ask in requested if not allows(policy, ask)] == []
    assert actions(policy) - {ask.action for ask in requested} == set()
    assert not [action for action in actions(policy) if "*" in action]
    for needed in policy["Statement"]:
        less = {**policy, "Statement": [item for item in policy["Statement"] if item is not needed]}
        assert any(not allows(less, ask) for ask in requested), needed["Sid"]


@pytest.mark.parametrize("missing", [ID, STATE, EXPIRES_AT])
@pytest.mark.parametrize("where", [1, 2, 3])
def test_nothing_can_be_created_without_our_tags_on_every_part_of_it(
    operator: Operator, policy: Policy, missing: str, where: int
) -> None:
    operator.provision()
    (sent,) = operator.wire.calls("RunInstances")
    spared = {
        key: "somebody-elses" if value == missing and key.startswith(f"TagSpecification.{where}.") else value
        for key, value in sent.form.items()
    }
    assert all(allows(policy, ask) for ask in asks(sent, {}.__getitem__))
    assert spared != sent.form
    assert not all(allows(policy, ask) for ask in asks(Sent("RunInstances", spared), {}.__getitem__))


@pytest.mark.parametrize("account_tags", [{}, {"Name": "theirs"}, {ID: OURS[ID]}, {STATE: ""}])
def test_an_instance_that_is_not_ours_can_be_neither_ended_nor_tagged_nor_looked_into(
    policy: Policy, account_tags: dict[str, str]
) -> None:
    assert not allows(policy, to_end(account_tags))
    assert not allows(policy, to_tag({EXPIRES_AT: OURS[EXPIRES_AT]}, account_tags))
    context = {f"aws:ResourceTag/{key}": (value,) for key, value in account_tags.items()}
    assert not any(allows(policy, Ask(action, instance("i-1"), context)) for action in LOOKING_INTO)


def test_an_instance_of_ours_can_be_terminated_and_its_deadline_moved(policy: Policy) -> None:
    assert allows(policy, to_end(OURS))
    assert allows(policy, to_tag({EXPIRES_AT: "20261124t140000z"}, OURS))


@pytest.mark.parametrize(
    "changed",
    [
        {STATE: "another-state"},
        {ID: "inst-zzzzzzzzzzzz"},
        {"Name": "renamed"},
        {EXPIRES_AT: "20261124t140000z", STATE: "another-state"},
        {},
    ],
)
def test_nothing_but_the_deadline_of_an_instance_can_be_changed(policy: Policy, changed: dict[str, str]) -> None:
    assert not allows(policy, to_tag(changed, OURS))


@pytest.mark.parametrize("account_tags", [{}, {"Name": "theirs"}, {STATE: ""}])
@pytest.mark.parametrize("action", ["AuthorizeSecurityGroupIngress", "DeleteSecurityGroup"])
def test_a_group_that_is_not_ours_can_be_neither_opened_nor_removed(
    policy: Policy, account_tags: dict[str, str], action: str
) -> None:
    (theirs,) = asks(Sent(action, {"GroupId": "sg-1"}), lambda _: account_tags)
    (ours,) = asks(Sent(action, {"GroupId": "sg-1"}), lambda _: OURS)
    assert (allows(policy, theirs), allows(policy, ours)) == (False, True)


def test_our_tags_cannot_be_put_onto_what_is_there_already(policy: Policy) -> None:
    assert not allows(policy, to_tag(OURS, {}))
    assert not allows(policy, to_tag({STATE: OURS[STATE]}, {"Name": "theirs"}))


@pytest.mark.parametrize(
    "ask",
    [
        Ask("ssm:GetParameter", "arn:aws:ssm:us-east-1:123456789012:parameter/aws/service/deeplearning/x"),
        Ask("ssm:GetParameter", "arn:aws:ssm:us-east-1:123456789012:parameter/a-password"),
        Ask("ssm:GetParameter", "arn:aws:ssm:us-east-1::parameter/aws/service/other"),
        Ask("ec2:StopInstances", instance("i-1")),
        Ask("ec2:DeleteTags", instance("i-1")),
        Ask("ec2:ModifyInstanceAttribute", instance("i-1")),
        Ask("iam:PassRole", "arn:aws:iam::123456789012:role/admin"),
    ],
    ids=lambda ask: f"{ask.action} {ask.resource}",
)
def test_nothing_else_is_granted(policy: Policy, ask: Ask) -> None:
    ours = {f"aws:ResourceTag/{key}": (value,) for key, value in OURS.items()}
    assert not allows(policy, Ask(ask.action, ask.resource, ours))


def pinned(policy: Policy, state_id: str) -> Policy:
    """The policy as docs/security.md says to pin it: the state's id instead of any."""
    text = json.dumps(policy)
    anything = '"aws:ResourceTag/gpuctl-state": "?*"'
    assert text.count(anything) == 3
    document: Policy = json.loads(text.replace(anything, f'"aws:ResourceTag/gpuctl-state": "{state_id}"'))
    return document


def test_pinned_to_one_state_it_spares_the_instances_of_the_others(operator: Operator, policy: Policy) -> None:
    operator.provision()
    mine = pinned(policy, operator.state_id)
    (tags,) = tags_in_the_books(operator).values()
    assert allows(mine, to_end(tags))
    assert not allows(mine, to_end({**tags, STATE: "another-state"}))
    assert not allows(mine, to_tag({EXPIRES_AT: OURS[EXPIRES_AT]}, {**tags, STATE: "another-state"}))
