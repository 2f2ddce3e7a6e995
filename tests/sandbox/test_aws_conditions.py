"""What can be set up in the emulated AWS: accounts, regions, zones, capacity and launches that fail."""

from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.clouds import LoopbackAws

ZONES = [f"us-east-1{letter}" for letter in "abcdef"]


def refusal(refused: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    """The error's code and HTTP status."""
    reply = refused.value.response
    return reply["Error"]["Code"], reply["ResponseMetadata"]["HTTPStatusCode"]


def zone_of(cloud: LoopbackAws, instance_id: str) -> str:
    """The zone that DescribeInstances shows."""
    answer = cloud.client("ec2").describe_instances(InstanceIds=[instance_id])
    return str(answer["Reservations"][0]["Instances"][0]["Placement"]["AvailabilityZone"])


def launch_in(cloud: LoopbackAws, zone: str, **parameters: Any) -> str:
    """Launch in a zone."""
    return cloud.launch(Placement={"AvailabilityZone": zone}, **parameters)


def test_a_zone_without_a_default_subnet_refuses_a_launch_that_names_it(cloud: LoopbackAws) -> None:
    cloud.set_up(noDefaultSubnet=["us-east-1a"])
    with pytest.raises(ClientError) as refused:
        launch_in(cloud, "us-east-1a")
    assert refusal(refused) == ("InvalidInput", 400)
    assert "No default subnet for availability zone: 'us-east-1a'" in str(refused.value)


def test_a_launch_without_a_zone_goes_where_there_is_a_default_subnet(cloud: LoopbackAws) -> None:
    cloud.set_up(noDefaultSubnet=["us-east-1a", "us-east-1b"])
    assert zone_of(cloud, cloud.launch()) == "us-east-1c"
    described = cloud.client("ec2").describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])
    assert sorted(subnet["AvailabilityZone"] for subnet in described["Subnets"]) == ZONES[2:]


def test_an_unsupported_type_is_refused_in_that_zone_and_launched_in_another(cloud: LoopbackAws) -> None:
    cloud.set_up(unsupported={"g5.xlarge": ["us-east-1a"]})
    with pytest.raises(ClientError) as refused:
        launch_in(cloud, "us-east-1a")
    assert refusal(refused) == ("Unsupported", 400)
    assert "choosing us-east-1b, us-east-1c" in str(refused.value)
    assert zone_of(cloud, cloud.launch()) == "us-east-1b"
    assert zone_of(cloud, launch_in(cloud, "us-east-1a", InstanceType="g4dn.xlarge")) == "us-east-1a"


def test_a_full_zone_refuses_with_a_server_error_and_another_zone_is_taken(cloud: LoopbackAws) -> None:
    cloud.set_up(full={"*": ["us-east-1a"]})
    with pytest.raises(ClientError) as refused:
        launch_in(cloud, "us-east-1a")
    assert refusal(refused) == ("InsufficientInstanceCapacity", 500)
    assert zone_of(cloud, cloud.launch()) == "us-east-1b"


def test_a_region_without_any_room_refuses_for_lack_of_capacity(cloud: LoopbackAws) -> None:
    cloud.set_up(full={"*": ZONES[1:]}, unsupported={"g5.xlarge": ["us-east-1a"]})
    with pytest.raises(ClientError) as refused:
        cloud.launch()
    assert refusal(refused) == ("InsufficientInstanceCapacity", 500)


def test_a_repeated_token_returns_its_instance_although_the_zone_is_full_by_now(cloud: LoopbackAws) -> None:
    first = cloud.launch(ClientToken="token-1")
    cloud.set_up(full={"*": ZONES})
    assert cloud.launch(ClientToken="token-1") == first


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "expected"),
    [
        ("ec2", "describe_instances", {}, ("AuthFailure", 401)),
        ("ssm", "get_parameter", {"Name": "/aws/service/x"}, ("UnrecognizedClientException", 400)),
        ("sts", "get_caller_identity", {}, ("InvalidClientTokenId", 403)),
        ("service-quotas", "list_service_quotas", {"ServiceCode": "ec2"}, ("UnrecognizedClientException", 400)),
    ],
)
def test_each_service_words_a_region_that_is_not_enabled_in_its_own_way(
    cloud: LoopbackAws, service: str, operation: str, parameters: dict[str, Any], expected: tuple[str, int]
) -> None:
    cloud.set_up(disabledRegions=["ap-east-1"])
    with pytest.raises(ClientError) as refused:
        getattr(cloud.client(service, "ap-east-1"), operation)(**parameters)
    assert refusal(refused) == expected


def test_a_region_that_is_not_enabled_is_not_described(cloud: LoopbackAws) -> None:
    cloud.set_up(disabledRegions=["eu-central-1"])
    named = {region["RegionName"] for region in cloud.client("ec2").describe_regions()["Regions"]}
    assert "eu-central-1" not in named and {"us-east-1", "eu-west-1"} <= named


def test_an_access_key_sees_its_own_account_and_no_other(cloud: LoopbackAws) -> None:
    cloud.set_up(accounts={"AKIAOTHER": "210987654321"})
    other = cloud.client("ec2", access_key="AKIAOTHER")
    mine = cloud.launch()
    theirs = other.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, InstanceType="g5.xlarge")
    identity = cloud.client("sts", access_key="AKIAOTHER").get_caller_identity()
    observed = [
        instance["InstanceId"] for page in other.describe_instances()["Reservations"] for instance in page["Instances"]
    ]
    assert identity["Account"] == "210987654321"
    assert cloud.client("sts").get_caller_identity()["Account"] == "123456789012"
    assert observed == [theirs["Instances"][0]["InstanceId"]]
    assert {vm["id"] for vm in cloud.instances()} == {mine, *observed}


def test_a_launch_can_be_made_to_end_while_pending_with_its_reason(cloud: LoopbackAws) -> None:
    message = "Client.VolumeLimitExceeded: Volume limit exceeded"
    cloud.set_up(launchFailures=[{"code": "Server.InternalError", "message": message}])
    ended, running = cloud.launch(), cloud.launch()
    answer = cloud.client("ec2").describe_instances(InstanceIds=[ended])["Reservations"][0]["Instances"][0]
    assert answer["State"]["Name"] == "terminated"
    assert answer["StateReason"] == {"Code": "Server.InternalError", "Message": message}
    assert [instance["state"] for instance in cloud.instances() if instance["id"] == running] == ["running"]


@pytest.mark.parametrize("settings", [{"nonsense": 1}, {"full": ["us-east-1a"]}, {"launchFailures": [{"code": "x"}]}])
def test_an_unknown_setting_or_value_is_refused_and_changes_nothing(
    cloud: LoopbackAws, settings: dict[str, Any]
) -> None:
    with pytest.raises(AssertionError, match="400"):
        cloud.set_up(**settings)
    assert cloud.launch()


def test_a_reset_restores_the_usual_conditions(cloud: LoopbackAws) -> None:
    cloud.set_up(noDefaultSubnet=["us-east-1a"], full={"*": ZONES}, disabledRegions=["eu-west-1"])
    cloud.reset()
    assert launch_in(cloud, "us-east-1a")
    assert cloud.launch("eu-west-1")
