"""Texts that the real EC2 rejects although its service model calls them plain strings."""

from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.clouds import LoopbackAws


def made(cloud: LoopbackAws, name: str, description: str) -> str:
    """A group's id."""
    answer = cloud.client("ec2").create_security_group(GroupName=name, Description=description)
    return str(answer["GroupId"])


def refusal(error: ClientError) -> tuple[str, str]:
    """The error's code and message."""
    message = error.response["Error"]
    return message["Code"], message["Message"]


@pytest.mark.parametrize("description", ["ssh to ana's instances", "a > b", "größe", "", "x" * 256, "two\nlines"])
def test_a_security_group_description_outside_the_character_set_is_refused(
    cloud: LoopbackAws, description: str
) -> None:
    with pytest.raises(ClientError) as refused:
        made(cloud, "group", description)
    code, message = refusal(refused.value)
    assert code == "InvalidParameterValue" and message.startswith("Invalid security group description.")


def test_a_security_group_description_of_255_permitted_characters_is_accepted(cloud: LoopbackAws) -> None:
    assert made(cloud, "group", "a Z0._-:/()#,@[]+=&;{}!$*".ljust(255, "x")).startswith("sg-")


@pytest.mark.parametrize("name", ["ana's group", "sg-group", "x" * 256])
def test_a_security_group_name_outside_the_character_set_is_refused(cloud: LoopbackAws, name: str) -> None:
    with pytest.raises(ClientError) as refused:
        made(cloud, name, "described")
    assert refusal(refused.value)[0] == "InvalidParameterValue"


@pytest.mark.parametrize(
    "operation", ["authorize_security_group_ingress", "update_security_group_rule_descriptions_ingress"]
)
def test_a_rule_description_outside_the_character_set_is_refused(cloud: LoopbackAws, operation: str) -> None:
    group = made(cloud, "group", "described")
    rule: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    ranges = {"IpRanges": [{"CidrIp": "203.0.113.7/32", "Description": "ana's laptop"}]}
    with pytest.raises(ClientError) as refused:
        getattr(cloud.client("ec2"), operation)(GroupId=group, IpPermissions=[rule | ranges])
    code, message = refusal(refused.value)
    assert code == "InvalidParameterValue" and message.startswith("Invalid rule description.")
