"""What a RunInstances call means to AWS, over real HTTP."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from support.clouds import LoopbackAws

ORDER: dict[str, Any] = {
    "ImageId": "ami-12c6146b",
    "InstanceType": "g4dn.xlarge",
    "MinCount": 1,
    "MaxCount": 1,
    "ClientToken": "inst-4k2m9qz07xwa",
    "UserData": "#!/bin/sh\nshutdown -P +60\n",
    "InstanceInitiatedShutdownBehavior": "terminate",
    "Placement": {"AvailabilityZone": "us-east-1a"},
    "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1, "InstanceMetadataTags": "enabled"},
    "BlockDeviceMappings": [
        {
            "DeviceName": "/dev/sda1",
            "Ebs": {"VolumeSize": 100, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True},
        }
    ],
    "TagSpecifications": [
        {"ResourceType": resource, "Tags": [{"Key": "gpuctl-id", "Value": "inst-4k2m9qz07xwa"}]}
        for resource in ("instance", "volume", "network-interface")
    ],
}


def the_code_of(refused: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    reply = refused.value.response
    return reply["Error"]["Code"], reply["ResponseMetadata"]["HTTPStatusCode"]


def test_a_repeated_token_gives_the_same_instance_back(cloud: LoopbackAws) -> None:
    ec2 = cloud.client("ec2")
    first = ec2.run_instances(**ORDER)

    again = ec2.run_instances(**ORDER)

    assert again["ReservationId"] == first["ReservationId"]
    assert [instance["InstanceId"] for instance in again["Instances"]] == [first["Instances"][0]["InstanceId"]]
    assert again["Instances"][0]["Tags"] == [{"Key": "gpuctl-id", "Value": "inst-4k2m9qz07xwa"}]
    assert len(cloud.instances()) == 1


def test_a_repeat_shows_the_instance_as_it_is_now(cloud: LoopbackAws) -> None:
    ec2 = cloud.client("ec2")
    first = ec2.run_instances(**ORDER)["Instances"][0]
    ec2.stop_instances(InstanceIds=[first["InstanceId"]])

    again = ec2.run_instances(**ORDER)["Instances"][0]

    assert (first["State"]["Name"], again["State"]["Name"]) == ("pending", "stopped")


@pytest.mark.parametrize(
    "change",
    [
        {"InstanceType": "g5.xlarge"},
        {"UserData": "#!/bin/sh\n"},
        {"TagSpecifications": ORDER["TagSpecifications"][:1]},
        {"InstanceMarketOptions": {"MarketType": "spot"}},
    ],
)
def test_a_token_with_other_parameters_is_refused(cloud: LoopbackAws, change: dict[str, Any]) -> None:
    ec2 = cloud.client("ec2")
    ec2.run_instances(**ORDER)

    with pytest.raises(ClientError) as refused:
        ec2.run_instances(**{**ORDER, **change})

    assert the_code_of(refused) == ("IdempotentParameterMismatch", 400)
    assert len(cloud.instances()) == 1


def test_the_zone_is_not_compared(cloud: LoopbackAws) -> None:
    ec2 = cloud.client("ec2")
    first = ec2.run_instances(**ORDER)["Instances"][0]

    again = ec2.run_instances(**{**ORDER, "Placement": {"AvailabilityZone": "us-east-1b"}})["Instances"][0]

    assert again["InstanceId"] == first["InstanceId"]
    assert again["Placement"]["AvailabilityZone"] == "us-east-1a"


def test_a_token_holds_in_its_region_only(cloud: LoopbackAws) -> None:
    elsewhere = {**ORDER, "Placement": {"AvailabilityZone": "us-west-2a"}}

    cloud.client("ec2").run_instances(**ORDER)
    cloud.client("ec2", "us-west-2").run_instances(**elsewhere)

    assert {instance["region"] for instance in cloud.instances()} == {"us-east-1", "us-west-2"}


@pytest.mark.parametrize("later", [timedelta(0), timedelta(hours=2)])
def test_a_token_whose_instance_is_terminated_is_refused(cloud: LoopbackAws, later: timedelta) -> None:
    ec2 = cloud.client("ec2")
    ended = ec2.run_instances(**ORDER)["Instances"][0]["InstanceId"]
    ec2.terminate_instances(InstanceIds=[ended])
    cloud.now += later

    with pytest.raises(ClientError) as refused:
        ec2.run_instances(**ORDER)

    assert the_code_of(refused) == ("IdempotentInstanceTerminated", 400)
    assert [instance["state"] for instance in cloud.instances()] == ["terminated"]


def test_eight_sends_of_one_token_at_once_make_one_instance(cloud: LoopbackAws) -> None:
    session = boto3.Session(aws_access_key_id="sandbox", aws_secret_access_key="sandbox", region_name="us-east-1")
    clients = [session.client("ec2", endpoint_url=cloud.url, config=Config(proxies={})) for _ in range(8)]

    with ThreadPoolExecutor(8) as senders:
        replies = list(senders.map(lambda client: client.run_instances(**ORDER), clients))

    for client in clients:
        client.close()
    assert len({reply["Instances"][0]["InstanceId"] for reply in replies}) == 1
    assert len(cloud.instances()) == 1


def test_without_a_token_every_call_is_an_instance(cloud: LoopbackAws) -> None:
    ec2 = cloud.client("ec2")

    ec2.run_instances(**{**ORDER, "ClientToken": ""})
    ec2.run_instances(**{**ORDER, "ClientToken": ""})

    assert [instance["client_token"] for instance in cloud.instances()] == [None, None]


def test_a_refused_launch_leaves_its_token_free(cloud: LoopbackAws) -> None:
    ec2 = cloud.client("ec2")
    with pytest.raises(ClientError, match=r"InvalidSubnetID\.NotFound"):
        ec2.run_instances(**{**ORDER, "SubnetId": "subnet-0123456789abcdef0"})

    launched = ec2.run_instances(**ORDER)["Instances"][0]["InstanceId"]

    assert [instance["id"] for instance in cloud.instances()] == [launched]


def test_a_dry_run_starts_nothing_and_leaves_its_token_free(cloud: LoopbackAws) -> None:
    ec2 = cloud.client("ec2")
    with pytest.raises(ClientError) as refused:
        ec2.run_instances(**ORDER, DryRun=True)
    assert the_code_of(refused) == ("DryRunOperation", 412)
    assert cloud.instances() == []

    ec2.run_instances(**ORDER)

    assert len(cloud.instances()) == 1


def test_as_many_instances_start_as_may(cloud: LoopbackAws) -> None:
    launched = cloud.client("ec2").run_instances(**{**ORDER, "MinCount": 1, "MaxCount": 3})["Instances"]

    again = cloud.client("ec2").run_instances(**{**ORDER, "MinCount": 1, "MaxCount": 3})["Instances"]

    assert len(launched) == len(cloud.instances()) == 3
    assert {instance["InstanceId"] for instance in again} == {instance["InstanceId"] for instance in launched}


def test_a_launch_carries_everything_it_requested(cloud: LoopbackAws) -> None:
    ec2 = cloud.client("ec2")
    market = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}

    launched = ec2.run_instances(**ORDER, InstanceMarketOptions=market)["Instances"][0]["InstanceId"]

    [instance] = ec2.describe_instances(InstanceIds=[launched])["Reservations"][0]["Instances"]
    [volume] = ec2.describe_volumes()["Volumes"]
    [interface] = ec2.describe_network_interfaces()["NetworkInterfaces"]
    tags = [{"Key": "gpuctl-id", "Value": "inst-4k2m9qz07xwa"}]
    assert instance["Tags"] == volume["Tags"] == interface["TagSet"] == tags
    assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (100, "gp3", True)
    assert interface["Attachment"]["DeleteOnTermination"] is True
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["MetadataOptions"]["InstanceMetadataTags"] == "enabled"
    assert (instance["InstanceLifecycle"], instance["ClientToken"]) == ("spot", ORDER["ClientToken"])
    assert instance["Placement"]["AvailabilityZone"] == "us-east-1a"
    assert instance["PublicIpAddress"]


def test_user_data_and_shutdown_behaviour_can_be_read_back(cloud: LoopbackAws) -> None:
    ec2 = cloud.client("ec2")
    launched = ec2.run_instances(**ORDER)["Instances"][0]["InstanceId"]

    script = ec2.describe_instance_attribute(InstanceId=launched, Attribute="userData")
    behaviour = ec2.describe_instance_attribute(InstanceId=launched, Attribute="instanceInitiatedShutdownBehavior")

    assert script["UserData"]["Value"] == "IyEvYmluL3NoCnNodXRkb3duIC1QICs2MAo="
    assert behaviour["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"


@pytest.mark.parametrize("retired", ["p2.xlarge", "p3.2xlarge"])
def test_a_retired_type_launches(cloud: LoopbackAws, retired: str) -> None:
    cloud.client("ec2").run_instances(**{**ORDER, "InstanceType": retired})

    assert [instance["instance_type"] for instance in cloud.instances()] == [retired]
