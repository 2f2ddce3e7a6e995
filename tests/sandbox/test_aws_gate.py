"""Requests that do not fit AWS's own service model, or a rule of its prose, are refused as AWS does."""

import base64
from typing import Any
from urllib.parse import urlencode

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session
from support.clouds import LoopbackAws

from gpuctl_sandbox.aws.gate import refused_request
from gpuctl_sandbox.aws.wire import Call

RUN = {"Action": "RunInstances", "Version": "2016-11-15", "MinCount": "1", "MaxCount": "1", "ImageId": "ami-12c6146b"}
TAG = {"TagSpecification.1.ResourceType": "instance", "TagSpecification.1.Tag.1.Key": "k"}


def send(cloud: LoopbackAws, form: dict[str, str], service: str = "ec2") -> tuple[int, str]:
    """Send a form past the SDK, which would not send all of these, and return status and body."""
    request = AWSRequest("POST", f"{cloud.url}/", data=urlencode(form))
    request.headers["Content-Type"] = "application/x-www-form-urlencoded"
    SigV4Auth(Credentials("sandbox", "sandbox"), service, "us-east-1").add_auth(request)
    session = URLLib3Session()
    reply = session.send(request.prepare())
    session.close()
    return reply.status_code, reply.text


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Colour": "blue"}, "UnknownParameter"),
        ({"BlockDeviceMapping.1.Ebs.Colour": "blue"}, "UnknownParameter"),
        ({"BlockDeviceMapping.x.DeviceName": "/dev/sda1"}, "UnknownParameter"),
        ({"InstanceType.1": "g5.xlarge"}, "UnknownParameter"),
        ({"Placement": "us-east-1a"}, "InvalidParameterValue"),
        ({"MaxCount": ""}, "InvalidParameterValue"),
        ({"MaxCount": "one"}, "InvalidParameterValue"),
        ({"EbsOptimized": "yes"}, "InvalidParameterValue"),
        ({"InstanceType": "g99.huge"}, "InvalidParameterValue"),
        ({"InstanceInitiatedShutdownBehavior": "explode"}, "InvalidParameterValue"),
        ({"MetadataOptions.HttpTokens": "maybe"}, "InvalidParameterValue"),
        ({"MetadataOptions.HttpPutResponseHopLimit": "65"}, "InvalidParameterValue"),
        ({"BlockDeviceMapping.1.Ebs.VolumeType": "gp9"}, "InvalidParameterValue"),
        ({"ClientToken": "x" * 65}, "InvalidParameterValue"),
        ({"UserData": "not base64!"}, "InvalidParameterValue"),
        ({"UserData": base64.b64encode(b"x" * 16385).decode()}, "InvalidParameterValue"),
        ({"InstanceMarketOptions.SpotOptions.MaxPrice": "0.001"}, "InvalidParameterValue"),
        ({"InstanceMarketOptions.SpotOptions.SpotInstanceType": "persistent"}, "InvalidParameterCombination"),
        ({**TAG, "TagSpecification.1.Tag.1.Key": "aws:mine"}, "InvalidParameterValue"),
        ({**TAG, "TagSpecification.1.Tag.1.Key": "k" * 128}, "InvalidParameterValue"),
        ({**TAG, "TagSpecification.1.Tag.1.Value": "v" * 257}, "InvalidParameterValue"),
        ({**TAG, "TagSpecification.1.Tag.2.Key": "k"}, "InvalidParameterValue"),
        ({**TAG, **{f"TagSpecification.1.Tag.{n}.Key": f"k{n}" for n in range(1, 52)}}, "TagLimitExceeded"),
        ({**TAG, "TagSpecification.1.ResourceType": "snapshot"}, "InvalidParameterValue"),
        (
            {**TAG, "TagSpecification.1.Tag.1.Key": "a b", "MetadataOptions.InstanceMetadataTags": "enabled"},
            "InvalidParameterValue",
        ),
    ],
)
def test_run_instances_refuses_what_ec2_does_not_accept(cloud: LoopbackAws, change: dict[str, str], code: str) -> None:
    status, body = send(cloud, RUN | change)
    assert (status, f"<Code>{code}</Code>" in body) == (400, True), body
    assert cloud.instances() == []


def test_a_parameter_that_is_required_is_missed(cloud: LoopbackAws) -> None:
    status, body = send(cloud, {name: value for name, value in RUN.items() if name != "MinCount"})
    assert status == 400 and "<Code>MissingParameter</Code>" in body and "MinCount" in body


def test_an_action_that_does_not_exist_is_refused(cloud: LoopbackAws) -> None:
    assert "<Code>InvalidAction</Code>" in send(cloud, {"Action": "RunMachines", "Version": "2016-11-15"})[1]


def test_sts_refuses_a_parameter_that_it_does_not_have(cloud: LoopbackAws) -> None:
    form = {"Action": "GetCallerIdentity", "Version": "2011-06-15", "Who": "me"}
    assert send(cloud, form, "sts")[0] == 400


def test_a_whole_form_is_accepted(cloud: LoopbackAws) -> None:
    status, body = send(cloud, RUN | TAG | {"TagSpecification.1.Tag.1.Value": "v" * 256, "ClientToken": "x" * 64})
    assert status == 200, body


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("describe_instances", {"Filters": [{"Name": "colour", "Values": ["blue"]}]}, "InvalidParameterValue"),
        (
            "describe_instances",
            {"Filters": [{"Name": "instance-id", "Values": [f"i-{n:017x}" for n in range(201)]}]},
            "FilterLimitExceeded",
        ),
        ("describe_instances", {"MaxResults": 4}, "InvalidParameterValue"),
        (
            "describe_instances",
            {"MaxResults": 5, "InstanceIds": ["i-00000000000000000"]},
            "InvalidParameterCombination",
        ),
        (
            "describe_instance_status",
            {"InstanceIds": [f"i-{n:017x}" for n in range(101)]},
            "InvalidParameterValue",
        ),
        ("create_tags", {"Resources": ["i-00000000000000000"], "Tags": [{"Key": "x" * 128}]}, "InvalidParameterValue"),
    ],
)
def test_other_actions_refuse_what_ec2_does_not_accept(
    cloud: LoopbackAws, operation: str, parameters: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(cloud.client("ec2"), operation)(**parameters)
    assert refused.value.response["Error"]["Code"] == code


def test_a_tag_that_metadata_cannot_show_is_refused_on_an_instance_that_shows_its_tags(cloud: LoopbackAws) -> None:
    instance = cloud.launch(MetadataOptions={"InstanceMetadataTags": "enabled"})
    with pytest.raises(ClientError, match="is not a valid tag key"):
        cloud.client("ec2").create_tags(Resources=[instance], Tags=[{"Key": "a/b", "Value": "x"}])
    other = cloud.launch()
    cloud.client("ec2").create_tags(Resources=[other], Tags=[{"Key": "a/b", "Value": "x"}])


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("ssm", "get_parameter", {"Name": "x" * 2049}),
        ("ssm", "get_parameter", {"Name": 5}),
        ("ssm", "get_parameter", {}),
        ("service-quotas", "get_service_quota", {"ServiceCode": "ec2", "QuotaCode": "l 1!"}),
    ],
)
def test_a_json_service_refuses_what_its_model_does_not_declare(
    cloud: LoopbackAws, service: str, operation: str, parameters: dict[str, Any]
) -> None:
    client = boto3.Session("sandbox", "sandbox", region_name="us-east-1").client(
        service, endpoint_url=cloud.url, config=Config(parameter_validation=False, proxies={})
    )
    with pytest.raises(ClientError) as refused:
        getattr(client, operation)(**parameters)
    client.close()
    assert refused.value.response["Error"]["Code"] == "ValidationException"


@pytest.mark.parametrize(
    "body",
    [b'{"Name": "/a", "Colour": "blue"}', b'{"Name": ["/a"]}', b'{"Name": "/a", "WithDecryption": 1}', b"[]", b"{"],
)
def test_a_json_body_that_the_sdk_would_not_send_is_refused(body: bytes) -> None:
    refused = refused_request(Call("ssm", "us-east-1", "GetParameter", {}, body))
    assert refused is not None and refused.status_code == 400


def test_a_json_body_that_fits_is_accepted() -> None:
    body = b'{"Name": "/a", "WithDecryption": true}'
    assert refused_request(Call("ssm", "us-east-1", "GetParameter", {}, body)) is None
