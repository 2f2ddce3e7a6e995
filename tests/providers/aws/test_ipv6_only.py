"""In a subnet without IPv4 the guard reads its tag at the metadata service's IPv6 address, which EC2 leaves off."""

import pytest
from botocore.exceptions import ClientError
from support.cli import Operator
from support.clouds import LoopbackAws

OPTION = "MetadataOptions.HttpProtocolIpv6"


def a_subnet(cloud: LoopbackAws, *, is_ipv6_only: bool) -> str:
    ec2 = cloud.client("ec2")
    network = ec2.create_vpc(CidrBlock="10.9.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]
    if not is_ipv6_only:
        return str(ec2.create_subnet(VpcId=network["VpcId"], CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"])
    block = network["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"].replace("/56", "/64")
    subnet = ec2.create_subnet(VpcId=network["VpcId"], Ipv6CidrBlock=block, Ipv6Native=True)["Subnet"]
    return str(subnet["SubnetId"])


@pytest.mark.parametrize(("is_ipv6_only", "value"), [(True, "enabled"), (False, None)])
def test_the_ipv6_address_is_switched_on_only_where_there_is_no_other(
    operator: Operator, is_ipv6_only: bool, value: str | None
) -> None:
    subnet = a_subnet(operator.cloud, is_ipv6_only=is_ipv6_only)
    assert operator.provision("--subnet", subnet, "--ssh-from", "none").code == 0
    (sent,) = operator.wire.calls("RunInstances")
    assert sent.form.get(OPTION) == value


def test_without_a_subnet_nothing_more_is_queried(operator: Operator) -> None:
    operator.provision()
    (sent,) = operator.wire.calls("RunInstances")
    assert OPTION not in sent.form
    assert operator.wire.calls("DescribeSubnets") == []


def test_the_emulated_ec2_refuses_it_for_types_on_xen(cloud: LoopbackAws) -> None:
    with pytest.raises(ClientError, match="UnsupportedOperation.*Xen"):
        cloud.launch("us-east-1", InstanceType="t2.micro", MetadataOptions={"HttpProtocolIpv6": "enabled"})
