"""What AWS shows of instances, images and itself, and what the sandbox knows behind its back."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
from botocore.exceptions import ClientError
from support.clouds import LoopbackAws

TEN = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_the_deep_learning_image_is_published_described_and_launched(
    cloud: LoopbackAws, architecture: str, region: str
) -> None:
    ec2, ssm = cloud.client("ec2", region), cloud.client("ssm", region)
    name = f"/aws/service/deeplearning/ami/{architecture}/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id"

    image_id = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    several = ssm.get_parameters(Names=[name, "/aws/service/deeplearning/ami/none"])
    [image] = ec2.describe_images(ImageIds=[image_id])["Images"]
    machine_id = cloud.launch(region, ImageId=image_id)

    assert [parameter["Value"] for parameter in several["Parameters"]] == [image_id]
    assert several["InvalidParameters"] == ["/aws/service/deeplearning/ami/none"]
    assert (image["Architecture"], image["State"], image["RootDeviceType"]) == (architecture, "available", "ebs")
    [root] = [m for m in image["BlockDeviceMappings"] if m["DeviceName"] == image["RootDeviceName"]]
    assert 1 <= root["Ebs"]["VolumeSize"] <= 30
    [instance] = ec2.describe_instances(InstanceIds=[machine_id])["Reservations"][0]["Instances"]
    assert (instance["Architecture"], instance["RootDeviceName"]) == (architecture, image["RootDeviceName"])


def test_an_image_parameter_nobody_published_is_not_found(cloud: LoopbackAws) -> None:
    with pytest.raises(ClientError, match="ParameterNotFound"):
        cloud.client("ssm").get_parameter(Name="/aws/service/deeplearning/ami/x86_64/typo/latest/ami-id")


@pytest.mark.parametrize("region", ["us-east-1", "us-west-1", "eu-west-3", "ap-southeast-2", "sa-east-1", "ca-west-1"])
def test_an_instance_starts_in_every_region_without_naming_a_network(cloud: LoopbackAws, region: str) -> None:
    cloud.launch(region)

    assert [(instance["region"], instance["state"]) for instance in cloud.instances()] == [(region, "running")]


def test_launch_times_and_the_date_header_follow_the_clouds_clock(cloud: LoopbackAws) -> None:
    cloud.now = TEN
    ec2 = cloud.client("ec2")

    reply = ec2.run_instances(ImageId="ami-12c6146b", InstanceType="g5.xlarge", MinCount=1, MaxCount=1)
    cloud.now += timedelta(minutes=7)
    described = ec2.describe_instances()
    identity = cloud.client("sts").get_caller_identity()

    assert reply["Instances"][0]["LaunchTime"] == TEN
    assert described["Reservations"][0]["Instances"][0]["LaunchTime"] == TEN
    assert ec2.describe_volumes()["Volumes"][0]["CreateTime"] == TEN
    assert identity["Account"] == "123456789012"
    for answer in (described, identity):
        assert parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]) == TEN + timedelta(minutes=7)


def test_a_refusal_carries_the_clouds_date_too(cloud: LoopbackAws) -> None:
    cloud.now = TEN

    with pytest.raises(ClientError) as refused:
        cloud.client("ec2").describe_instances(InstanceIds=["i-0123456789abcdef0"])

    assert refused.value.response["ResponseMetadata"]["HTTPHeaders"]["date"] == "Tue, 24 Nov 2026 10:00:00 GMT"


def test_a_termination_is_reported_as_aws_does(cloud: LoopbackAws) -> None:
    cloud.now = TEN
    ec2, machine_id = cloud.client("ec2"), cloud.launch()
    cloud.now += timedelta(minutes=30)

    ec2.terminate_instances(InstanceIds=[machine_id])
    cloud.now += timedelta(minutes=5)
    ec2.terminate_instances(InstanceIds=[machine_id])

    [instance] = ec2.describe_instances(InstanceIds=[machine_id])["Reservations"][0]["Instances"]
    assert instance["State"]["Name"] == "terminated"
    assert instance["StateTransitionReason"] == "User initiated (2026-11-24 10:30:00 GMT)"
    assert instance["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    [known] = cloud.instances()
    assert (known["launched_at"], known["ended_at"]) == ("2026-11-24T10:00:00Z", "2026-11-24T10:30:00Z")


def test_no_resource_of_a_terminated_instance_remains(cloud: LoopbackAws) -> None:
    ec2 = cloud.client("ec2")
    tags = [{"Key": "gpuctl-id", "Value": "inst-1"}]
    kinds = ("instance", "volume", "network-interface")
    machine_id = cloud.launch(TagSpecifications=[{"ResourceType": kind, "Tags": tags} for kind in kinds])

    ec2.terminate_instances(InstanceIds=[machine_id])

    assert ec2.describe_volumes()["Volumes"] == []
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    assert [tag["ResourceId"] for tag in ec2.describe_tags()["Tags"]] == [machine_id]


def test_a_terminated_instance_vanishes_after_an_hour_but_the_oracle_remembers_it(cloud: LoopbackAws) -> None:
    cloud.now = TEN
    ec2, machine_id = cloud.client("ec2"), cloud.launch()
    ec2.terminate_instances(InstanceIds=[machine_id])
    cloud.now += timedelta(minutes=59)
    assert len(ec2.describe_instances()["Reservations"]) == 1

    cloud.now += timedelta(minutes=1)

    assert ec2.describe_instances()["Reservations"] == []
    with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
        ec2.describe_instances(InstanceIds=[machine_id])
    assert [(instance["id"], instance["state"]) for instance in cloud.instances()] == [(machine_id, "terminated")]


def test_an_interrupted_spot_instance_has_its_reason(cloud: LoopbackAws) -> None:
    cloud.now = TEN
    interrupted, remaining = cloud.launch(InstanceMarketOptions={"MarketType": "spot"}), cloud.launch()

    cloud.interrupt(interrupted)

    [instance] = cloud.client("ec2").describe_instances(InstanceIds=[interrupted])["Reservations"][0]["Instances"]
    assert instance["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    assert instance["StateTransitionReason"] == "Service initiated (2026-11-24 10:00:00 GMT)"
    assert {known["id"]: known["state"] for known in cloud.instances()} == {
        interrupted: "terminated",
        remaining: "running",
    }


def test_a_stopped_instance_starts_again_at_a_new_launch_time(cloud: LoopbackAws) -> None:
    cloud.now = TEN
    ec2, machine_id = cloud.client("ec2"), cloud.launch()
    ec2.stop_instances(InstanceIds=[machine_id])
    [stopped] = ec2.describe_instances()["Reservations"][0]["Instances"]
    cloud.now += timedelta(minutes=10)

    ec2.start_instances(InstanceIds=[machine_id])

    [started] = ec2.describe_instances()["Reservations"][0]["Instances"]
    assert stopped["StateTransitionReason"] == "User initiated (2026-11-24 10:00:00 GMT)"
    assert (started["State"]["Name"], started["LaunchTime"]) == ("running", TEN + timedelta(minutes=10))


def test_instances_are_found_by_tag_page_by_page(cloud: LoopbackAws) -> None:
    ours = {cloud.launch(tags={"gpuctl-state": "here"}) for _ in range(7)}
    cloud.launch(tags={"Name": "someone else's"})
    pages = cloud.client("ec2").get_paginator("describe_instances")

    problems = list(
        pages.paginate(Filters=[{"Name": "tag-key", "Values": ["gpuctl-state"]}], PaginationConfig={"PageSize": 5})
    )

    assert [len(page["Reservations"]) for page in problems] == [5, 2]
    assert {m["InstanceId"] for page in problems for r in page["Reservations"] for m in r["Instances"]} == ours


def test_status_checks_pass_and_the_console_answers(cloud: LoopbackAws) -> None:
    ec2, machine_id = cloud.client("ec2"), cloud.launch()

    [checks] = ec2.describe_instance_status(InstanceIds=[machine_id])["InstanceStatuses"]

    assert (checks["InstanceStatus"]["Status"], checks["SystemStatus"]["Status"]) == ("ok", "ok")
    assert ec2.get_console_output(InstanceId=machine_id)["InstanceId"] == machine_id


def test_tags_are_changed_and_taken_away(cloud: LoopbackAws) -> None:
    ec2, machine_id = cloud.client("ec2"), cloud.launch(tags={"a": "1", "b": "2"})

    ec2.create_tags(Resources=[machine_id], Tags=[{"Key": "a", "Value": "3"}])
    ec2.delete_tags(Resources=[machine_id], Tags=[{"Key": "b"}])

    assert cloud.instances()[0]["tags"] == {"a": "3"}


def test_tagging_an_instance_that_is_not_there_is_refused(cloud: LoopbackAws) -> None:
    with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
        cloud.client("ec2").create_tags(Resources=["i-0123456789abcdef0"], Tags=[{"Key": "a", "Value": "3"}])


def test_one_unknown_id_spares_the_others_of_a_termination(cloud: LoopbackAws) -> None:
    machine_id = cloud.launch()

    with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
        cloud.client("ec2").terminate_instances(InstanceIds=[machine_id, "i-0123456789abcdef0"])

    assert [instance["state"] for instance in cloud.instances()] == ["running"]


def test_an_id_that_is_none_is_malformed(cloud: LoopbackAws) -> None:
    with pytest.raises(ClientError, match=r"InvalidInstanceID\.Malformed"):
        cloud.client("ec2").describe_instances(InstanceIds=["inst-4k2m9qz07xwa"])


def test_a_region_that_does_not_exist_is_refused(cloud: LoopbackAws) -> None:
    with pytest.raises(ClientError, match="AuthFailure"):
        cloud.client("ec2", "mars-north-1").describe_instances()


def test_the_oracle_knows_every_instance_and_its_tags(cloud: LoopbackAws) -> None:
    cloud.now = TEN
    machine_id = cloud.launch("us-west-2", tags={"gpuctl-id": "inst-1"}, ClientToken="inst-1")

    filters = [{"Name": "group-name", "Values": ["default"]}]
    (group,) = cloud.client("ec2", "us-west-2").describe_security_groups(Filters=filters)["SecurityGroups"]

    assert cloud.instances() == [
        {
            "cloud": "aws",
            "region": "us-west-2",
            "id": machine_id,
            "state": "running",
            "instance_type": "g5.xlarge",
            "tags": {"gpuctl-id": "inst-1"},
            "launched_at": "2026-11-24T10:00:00Z",
            "ended_at": None,
            "client_token": "inst-1",
            "gpu_works": True,
            "ssh_from": [group["GroupId"]],
        }
    ]


def test_calls_are_counted(cloud: LoopbackAws) -> None:
    cloud.client("sts").get_caller_identity()
    cloud.client("ec2", "us-west-2").describe_instances()

    assert cloud.calls() == [
        {"service": "sts", "action": "GetCallerIdentity", "region": "us-east-1"},
        {"service": "ec2", "action": "DescribeInstances", "region": "us-west-2"},
    ]


def test_a_reset_empties_the_cloud_and_its_memory(cloud: LoopbackAws) -> None:
    first = cloud.launch(ClientToken="t")

    cloud.reset()

    assert (cloud.instances(), cloud.calls()) == ([], [])
    assert cloud.launch(ClientToken="t", InstanceType="g4dn.xlarge") != first
