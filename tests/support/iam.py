"""As much of IAM's judgement as one small policy needs: what a call asks for, and whether the policy grants it."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from support.instances import ACCOUNT
from support.wire import Sent

Policy = Mapping[str, Any]
Values = tuple[str, ...]

_CREATED = ("instance", "volume", "network-interface")
_ASKED_OF_ANYTHING = (
    "DescribeInstanceTypeOfferings",
    "DescribeImages",
    "DescribeInstances",
    "DescribeInstanceStatus",
    "DescribeNetworkInterfaces",
    "DescribeRegions",
    "DescribeSpotPriceHistory",
    "DescribeSecurityGroups",
    "DescribeSubnets",
    "DescribeVolumes",
    "DescribeVpcs",
)
_ASKED_OF_GROUPS = (
    "AuthorizeSecurityGroupIngress",
    "DeleteSecurityGroup",
)
_ASKED_OF_INSTANCES = ("TerminateInstances", "DescribeInstanceAttribute", "GetConsoleOutput")


@dataclass(frozen=True)
class Ask:
    """One question to IAM: may this be done to that, with this known of the request and of the resource?"""

    action: str
    resource: str
    context: Mapping[str, Values] = field(default_factory=dict)


def allows(policy: Policy, ask: Ask) -> bool:
    """Whether a statement grants it. Everything else is denied, as it is by IAM; statements that deny are not known."""
    assert {item["Effect"] for item in policy["Statement"]} == {"Allow"}
    return any(_grants(item, ask) for item in policy["Statement"])


def asks(sent: Sent, tags_of: Callable[[str], Mapping[str, str]]) -> list[Ask]:
    """Every question that a service of AWS's puts to IAM for it; `tags_of` tells an instance's or a group's tags.

    A RunInstances is asked for each thing it makes or makes it from, and once more as a CreateTags for each thing that
    it tags: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
    """
    if sent.action == "GetCallerIdentity":
        return [Ask("sts:GetCallerIdentity", "*")]
    if sent.action == "GetParameter":
        # The wire reads every body as a form; JSON is then a single key without a value.
        name = json.loads(next(iter(sent.form)))["Name"]
        return [Ask("ssm:GetParameter", f"arn:aws:ssm:us-east-1::parameter{name}")]
    if sent.action == "GetServiceQuota":
        return [Ask("servicequotas:GetServiceQuota", "*")]
    if sent.action == "GetProducts":
        return [Ask("pricing:GetProducts", "*")]
    action = f"ec2:{sent.action}"
    if sent.action == "RunInstances":
        return _to_run(sent.form)
    if sent.action == "CreateTags":
        return [
            Ask(action, instance(cloud_id), _request_tags(_tags(sent.form, "Tag")) | _resource_tags(tags_of(cloud_id)))
            for cloud_id in _values(sent.form, "ResourceId")
        ]
    if sent.action == "CreateSecurityGroup":
        return _to_make_a_group(sent.form)
    if sent.action in _ASKED_OF_GROUPS:
        group_id = sent.form["GroupId"]
        return [Ask(action, group(group_id), _resource_tags(tags_of(group_id)))]
    if sent.action in _ASKED_OF_INSTANCES:
        return [
            Ask(action, instance(value), _resource_tags(tags_of(value))) for value in _values(sent.form, "InstanceId")
        ]
    assert sent.action in _ASKED_OF_ANYTHING, f"nobody has said what {sent.action} asks of IAM"
    return [Ask(action, "*")]


def actions(policy: Policy) -> set[str]:
    """Every action that the policy names."""
    return {action for item in policy["Statement"] for action in _listed(item["Action"])}


def instance(cloud_id: str = "*") -> str:
    """The name that IAM has for an instance."""
    return f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/{cloud_id}"


def group(group_id: str = "*") -> str:
    """The name that IAM has for a security group."""
    return f"arn:aws:ec2:us-east-1:{ACCOUNT}:security-group/{group_id}"


def _to_make_a_group(form: Mapping[str, str]) -> list[Ask]:
    tags = _request_tags(_specified_tags(form).get("security-group", {}))
    return [
        Ask("ec2:CreateSecurityGroup", group(), tags),
        Ask("ec2:CreateSecurityGroup", f"arn:aws:ec2:us-east-1:{ACCOUNT}:vpc/{form['VpcId']}"),
        Ask("ec2:CreateTags", group(), tags | {"ec2:CreateAction": ("CreateSecurityGroup",)}),
    ]


def _to_run(form: Mapping[str, str]) -> list[Ask]:
    here = f"arn:aws:ec2:us-east-1:{ACCOUNT}"
    tagged = _specified_tags(form)
    created = [Ask("ec2:RunInstances", f"{here}:{kind}/*", _request_tags(tagged.get(kind, {}))) for kind in _CREATED]
    tags = [
        Ask("ec2:CreateTags", f"{here}:{kind}/*", _request_tags(some) | {"ec2:CreateAction": ("RunInstances",)})
        for kind, some in tagged.items()
    ]
    used = [f"arn:aws:ec2:us-east-1::image/{form['ImageId']}", "arn:aws:ec2:us-east-1::snapshot/snap-1"]
    used += [
        f"{here}:subnet/{form.get('SubnetId', 'subnet-default')}",
        f"{here}:security-group/{form.get('SecurityGroupId.1', 'sg-default')}",
    ]
    used += [f"{here}:key-pair/{form['KeyName']}"] if "KeyName" in form else []
    # EC2 does this by the caller's permissions, where the account has no such role yet.
    role = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"
    service = {"iam:AWSServiceName": ("spot.amazonaws.com",)}
    is_spot = form.get("InstanceMarketOptions.MarketType") == "spot"
    roles = [Ask("iam:CreateServiceLinkedRole", role, service)] if is_spot else []
    return [*created, *tags, *(Ask("ec2:RunInstances", text) for text in used), *roles]


def _specified_tags(form: Mapping[str, str]) -> dict[str, dict[str, str]]:
    actual = {}
    number = 1
    while kind := form.get(f"TagSpecification.{number}.ResourceType"):
        actual[kind] = _tags(form, f"TagSpecification.{number}.Tag")
        number += 1
    return actual


def _tags(form: Mapping[str, str], prefix: str) -> dict[str, str]:
    actual = {}
    number = 1
    while key := form.get(f"{prefix}.{number}.Key"):
        actual[key] = form[f"{prefix}.{number}.Value"]
        number += 1
    return actual


def _values(form: Mapping[str, str], name: str) -> list[str]:
    return [value for key, value in form.items() if key == name or key.startswith(f"{name}.")]


def _request_tags(tags: Mapping[str, str]) -> dict[str, Values]:
    keys = {"aws:TagKeys": tuple(tags)} if tags else {}
    return {**{f"aws:RequestTag/{key}": (value,) for key, value in tags.items()}, **keys}


def _resource_tags(tags: Mapping[str, str]) -> dict[str, Values]:
    return {f"aws:ResourceTag/{key}": (value,) for key, value in tags.items()}


def _grants(statement: Mapping[str, Any], ask: Ask) -> bool:
    return (
        ask.action in _listed(statement["Action"])
        and any(fnmatchcase(ask.resource, pattern) for pattern in _listed(statement["Resource"]))
        and all(
            _holds(operator, ask.context.get(key, ()), _listed(wanted))
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _holds(operator: str, present: Values, wanted: list[str]) -> bool:
    """One line of a condition; https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html"""
    if operator == "Null":
        return (not present) == (wanted == ["true"])
    if operator == "StringEquals":
        return len(present) == 1 and present[0] in wanted
    if operator == "StringLike":
        return len(present) == 1 and any(fnmatchcase(present[0], pattern) for pattern in wanted)
    # It holds, too, for a key that is not there at all; that is what the Null beside it is for.
    assert operator == "ForAllValues:StringEquals", f"nobody has said what {operator} means"
    return all(text in wanted for text in present)


def _listed(value: str | Iterable[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
