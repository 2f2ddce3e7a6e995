"""Security groups in the emulated AWS: limits, what uses one, and what they let in."""

from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from support.clouds import LoopbackAws

from gpuctl_sandbox.aws import groups
from gpuctl_sandbox.aws.wire import Call


def a_group(cloud: LoopbackAws, name: str = "group", **rule: Any) -> str:
    """A group with one rule; its id."""
    ec2 = cloud.client("ec2")
    group_id = str(ec2.create_security_group(GroupName=name, Description="described")["GroupId"])
    ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[rule])
    return group_id


def code_of(error: "pytest.ExceptionInfo[ClientError]") -> str:
    return str(error.value.response["Error"]["Code"])


def test_a_group_that_an_instance_uses_cannot_be_deleted_until_the_instance_is_terminated(cloud: LoopbackAws) -> None:
    ec2 = cloud.client("ec2")
    group_id = a_group(cloud, IpProtocol="-1", IpRanges=[{"CidrIp": "203.0.113.7/32"}])
    instance_id = cloud.launch(SecurityGroupIds=[group_id])
    with pytest.raises(ClientError) as refused:
        ec2.delete_security_group(GroupId=group_id)
    assert code_of(refused) == "DependencyViolation"
    ec2.terminate_instances(InstanceIds=[instance_id])
    ec2.delete_security_group(GroupId=group_id)


@pytest.mark.parametrize(
    ("rule", "sources"),
    [
        ({"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}, ["203.0.113.7/32"]),
        ({"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1024}, ["203.0.113.7/32"]),
        ({"IpProtocol": "-1"}, ["203.0.113.7/32"]),
        ({"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}, []),
        ({"IpProtocol": "udp", "FromPort": 22, "ToPort": 22}, []),
    ],
)
def test_the_oracle_knows_from_where_port_22_is_reachable(
    cloud: LoopbackAws, rule: dict[str, Any], sources: list[str]
) -> None:
    group_id = a_group(cloud, **rule, IpRanges=[{"CidrIp": "203.0.113.7/32"}])
    cloud.launch(SecurityGroupIds=[group_id])
    assert [instance["ssh_from"] for instance in cloud.instances()] == [sources]


def test_the_quota_of_groups_counts_every_group_of_the_region(cloud: LoopbackAws) -> None:
    cloud.client("ec2").describe_security_groups()
    backend = ec2_backends[DEFAULT_ACCOUNT_ID]["us-east-1"]
    existing = sum(len(some) for some in backend.groups.values())
    call = Call("ec2", "us-east-1", "CreateSecurityGroup", {"VpcId": "vpc-1"})
    assert groups.refused(call, backend, existing + 1) is None
    refused = groups.refused(call, backend, existing)
    assert refused is not None and b"SecurityGroupLimitExceeded" in refused.get_data()


def test_a_group_takes_sixty_rules(cloud: LoopbackAws) -> None:
    ranges = [{"CidrIp": f"203.0.113.{number}/32"} for number in range(60)]
    group_id = a_group(cloud, IpProtocol="tcp", FromPort=22, ToPort=22, IpRanges=ranges)
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "198.51.100.0/24"}]}
    with pytest.raises(ClientError) as refused:
        cloud.client("ec2").authorize_security_group_ingress(GroupId=group_id, IpPermissions=[rule])
    assert code_of(refused) == "RulesPerSecurityGroupLimitExceeded"
