"""What the network itself lets in besides an instance's own range is said before, after, and by doctor."""

import pytest
from support.azure import LoopbackAzure
from support.cli import Operator

from gpuctl.domain.instance import SSH_ALSO_FROM
from gpuctl_sandbox.azure.places import SUBSCRIPTION

WORLD = [{"IpProtocol": "tcp", "FromPort": 20, "ToPort": 25, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
WEB = [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "198.51.100.0/24"}]}]


@pytest.fixture
def default_group(operator: Operator) -> str:
    """The default security group of the default network, opened to the world on ports 20 to 25."""
    ec2 = operator.cloud.client("ec2")
    filters = [{"Name": "group-name", "Values": ["default"]}]
    (group,) = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[*WORLD, *WEB])
    return str(group["GroupId"])


def test_without_a_range_the_default_security_group_decides_and_that_is_printed(
    operator: Operator, default_group: str
) -> None:
    argv = ("provision", "g4dn.xlarge", "--region", "us-east-1", "--name", "closed", "--ssh-from", "none")
    plan = operator.run(*argv).err
    world = f"0.0.0.0/0 (default security group {default_group})"
    assert "the network also allows SSH from" in plan and world in plan
    assert "198.51.100.0/24" not in plan
    shown = operator.run("get", "closed", "--color", "never", terminal=True)
    assert world in " ".join(shown.out.split())
    document = operator.json("get", "closed").instance["metadata"][SSH_ALSO_FROM]
    assert document == f"instances in the default security group {default_group}; {world}"


def test_a_range_of_its_own_is_all_there_is(operator: Operator, default_group: str) -> None:
    ran = operator.provision("--ssh-from", "203.0.113.7/32")
    assert SSH_ALSO_FROM not in ran.instance["metadata"]
    assert "also allows SSH" not in ran.err
    shown = operator.run("get", ran.instance["id"], "--color", "never", terminal=True).out.splitlines()
    assert [line.split() for line in shown if line.startswith("ssh from")] == [["ssh", "from", "203.0.113.7/32"]]


def test_an_address_that_was_not_found_does_not_hide_what_the_network_lets_in(
    operator: Operator, default_group: str
) -> None:
    ran = operator.run(
        "provision", "g4dn.xlarge", "--region", "us-east-1", environ={"GPUCTL_PUBLIC_IP_URL": "http://127.0.0.1:9/"}
    )
    assert ran.code == 0
    assert "warning: port 22 stays closed" in ran.err
    sources = f"instances in the default security group {default_group}"
    assert f"warning: the network also allows SSH from {sources}" in ran.err


def test_doctor_warns_of_it(operator: Operator, default_group: str) -> None:
    argv = ("doctor", "--region", "us-east-1")
    checks = [check for check in operator.json(*argv).json["checks"] if check["check"] == "ingress"]
    operator.environ["GPUCTL_SSH_FROM"] = "none"
    warned = [check for check in operator.json(*argv).json["checks"] if check["check"] == "ingress"]
    assert (checks, [item["status"] for item in warned]) == ([], ["warn"])
    assert "0.0.0.0/0" in warned[0]["message"]


def test_rules_that_cannot_be_read_are_said_to_be_unknown_and_stop_nothing(operator: Operator) -> None:
    from support.wire import refuse

    operator.wire.arm("DescribeSecurityGroups", *[refuse("UnauthorizedOperation", 403)] * 2)
    ran = operator.provision("--ssh-from", "none")
    assert ran.code == 0
    assert ran.instance["metadata"][SSH_ALSO_FROM].startswith("unknown sources, could not read the default security")


def test_the_next_attempt_has_the_sources_of_its_own_network(operator: Operator, default_group: str) -> None:
    from support.wire import refuse

    operator.wire.arm("RunInstances", refuse("InsufficientInstanceCapacity"))
    ran = operator.provision("--ssh-from", "none", "--region", "us-east-1,us-west-2")
    assert ran.instance["region"] == "us-west-2"
    assert default_group not in ran.instance["metadata"][SSH_ALSO_FROM]


def test_on_azure_a_chosen_subnet_allows_ssh_from_its_network(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPUCTL_AZURE_ENDPOINT", operator.wire.url)
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    azure_cloud = LoopbackAzure(operator.cloud)
    azure_cloud.group("theirs")
    azure_cloud.vnet("theirs")
    argv = ("provision", "Standard_NC4as_T4_v3", "--region", "eastus", "--ssh-from", "203.0.113.7/32", "--no-wait")
    ran = operator.json(*argv, "--subnet", azure_cloud.subnet_id("theirs"))
    azure_cloud.close()
    sentence = "the virtual network of the subnet and networks peered with it"
    assert (ran.code, ran.instance["metadata"][SSH_ALSO_FROM]) == (0, sentence)
    assert f"the network also allows SSH from {sentence}" in ran.err
    own = operator.json(*argv)
    assert (own.code, SSH_ALSO_FROM in own.instance["metadata"]) == (0, False)
