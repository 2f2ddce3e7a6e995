"""What follows a refusal that is bound to a zone, a region or a market, and which exit code is left in the end."""

from dataclasses import replace as with_
from typing import Any

import pytest
from support.cli import Operator
from support.wire import Sent, refuse

FULL = refuse("InsufficientInstanceCapacity", 500)
NO_SUBNET = refuse("InvalidInput", 400, "No default subnet for availability zone: 'us-east-1a'.")
UNSUPPORTED = refuse("Unsupported", 400, "Your requested instance type is not supported in your requested zone")
POLICY = refuse("UnauthorizedOperation", 403, "not authorized, with an explicit deny in a service control policy")
NO_ROLE = refuse("AuthFailure.ServiceLinkedRoleCreationNotPermitted", 403, "may not create the role")
CLOSED = "The security token included in the request is invalid"


def zones_asked(operator: Operator) -> list[str]:
    return [sent.form.get("Placement.AvailabilityZone", "") for sent in operator.wire.calls("RunInstances")]


def closed_region(operator: Operator, region: str) -> None:
    """Let SSM answer there as it does in a region that the account has not enabled."""

    def answer(sent: Sent) -> Any:
        if sent.action != "GetParameter" or f"/{region}/ssm/" not in sent.headers.get("Authorization", ""):
            return None
        body = f'{{"__type": "UnrecognizedClientException", "message": "{CLOSED}"}}'
        return 400, {"Content-Type": "application/x-amz-json-1.1"}, body.encode()

    operator.wire.instead = answer


@pytest.mark.parametrize("trouble", [NO_SUBNET, UNSUPPORTED, refuse("VolumeTypeNotAvailableInZone")])
def test_trouble_with_one_zone_leads_to_the_next_zone(operator: Operator, trouble: Any) -> None:
    operator.wire.arm("RunInstances", FULL, trouble)
    ran = operator.provision()
    assert ran.code == 0
    assert zones_asked(operator) == ["", "us-east-1a", "us-east-1b"]
    assert [attempt["outcome"] for attempt in ran.instance["attempts"]] == ["refused", "refused", "created"]


def test_a_zone_without_a_default_subnet_is_not_tried(operator: Operator) -> None:
    ec2 = operator.cloud.client("ec2")
    filters = [{"Name": "availability-zone", "Values": ["us-east-1a"]}]
    (subnet,) = ec2.describe_subnets(Filters=filters)["Subnets"]
    ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    operator.wire.arm("RunInstances", FULL)
    assert operator.provision().code == 0
    assert zones_asked(operator) == ["", "us-east-1b"]


def test_full_zones_and_one_that_never_had_it_are_a_lack_of_room_with_awss_sentence(operator: Operator) -> None:
    operator.wire.arm("RunInstances", FULL, NO_SUBNET, *[FULL] * 9)
    error = operator.provision().json["error"]
    assert (error["exitCode"], error["code"]) == (5, "capacity")
    assert "No default subnet for availability zone" in error["message"]
    assert error["message"].endswith("no instance was started")


def test_where_no_refusal_was_a_lack_of_room_the_exit_code_is_not_5(operator: Operator) -> None:
    operator.wire.arm("RunInstances", *[UNSUPPORTED] * 30)
    error = operator.json("provision", "g4dn.xlarge", "--region", "us-east-1,us-west-2").json["error"]
    assert (error["exitCode"], error["code"], error["retryable"]) == (1, "cloud", False)
    assert "not supported in your requested zone" in error["message"]


def test_a_full_subnet_is_not_reported_as_a_lack_of_instances(operator: Operator) -> None:
    subnet = operator.cloud.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    operator.wire.arm("RunInstances", refuse("InsufficientFreeAddressesInSubnet", 400, "The subnet has no addresses"))
    error = operator.provision("--subnet", subnet).json["error"]
    assert (error["exitCode"], error["hint"]) == (1, "the subnet is full: add another `--subnet`")
    assert "The subnet has no addresses" in error["message"]


@pytest.mark.parametrize("trouble", [POLICY, refuse("PendingVerification", 400), refuse("VPCIdNotSpecified", 400)])
def test_a_region_that_may_not_be_used_leads_to_the_next_region_and_not_to_its_zones(
    operator: Operator, trouble: Any
) -> None:
    operator.wire.arm("RunInstances", trouble)
    ran = operator.json("provision", "g4dn.xlarge", "--region", "us-east-1,us-west-2")
    assert (ran.code, ran.instance["region"], zones_asked(operator)) == (0, "us-west-2", ["", ""])


def test_a_region_without_a_default_network_leads_to_the_next_region(operator: Operator) -> None:
    ec2 = operator.cloud.client("ec2")
    (network,) = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    for subnet in ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [network["VpcId"]]}])["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    ec2.delete_vpc(VpcId=network["VpcId"])
    ran = operator.json("provision", "g4dn.xlarge", "--region", "us-east-1,us-west-2", "--ssh-from", "203.0.113.7/32")
    assert (ran.code, ran.instance["region"]) == (0, "us-west-2"), ran.err


def test_a_policy_that_forbids_security_groups_in_a_region_leads_to_the_next_region(operator: Operator) -> None:
    operator.wire.arm("CreateSecurityGroup", POLICY)
    ran = operator.json("provision", "g4dn.xlarge", "--region", "us-east-1,us-west-2", "--ssh-from", "203.0.113.7/32")
    assert (ran.code, ran.instance["region"]) == (0, "us-west-2"), ran.err


def test_a_policy_that_forbids_security_groups_everywhere_is_reported_with_its_own_hint(operator: Operator) -> None:
    operator.wire.arm("CreateSecurityGroup", POLICY)
    error = operator.provision("--ssh-from", "203.0.113.7/32").json["error"]
    assert (error["exitCode"], error["code"]) == (4, "credentials")
    assert error["hint"] == "your organization's policy forbids it there"


def test_a_policy_that_forbids_every_region_is_a_lack_of_permission_with_its_sentence(operator: Operator) -> None:
    operator.wire.arm("RunInstances", *[POLICY] * 9)
    error = operator.json("provision", "g4dn.xlarge", "--region", "us-east-1,us-west-2").json["error"]
    assert (error["exitCode"], error["code"]) == (4, "credentials")
    assert "service control policy" in error["message"]


def test_an_account_that_never_had_spot_falls_back_to_on_demand(operator: Operator) -> None:
    operator.wire.arm("RunInstances", NO_ROLE)
    ran = operator.json(
        "provision", "g4dn.xlarge", "--region", "us-east-1,us-west-2", "--spot", "--fallback", "on-demand", "--yes"
    )
    assert (ran.code, ran.instance["market"]) == (0, "on-demand")
    # The role is the account's: no other region is asked for spot.
    assert len(zones_asked(operator)) == 2


def test_without_a_fallback_the_error_explains_how_the_role_is_created(operator: Operator) -> None:
    operator.wire.arm("RunInstances", *[NO_ROLE] * 9)
    ran = operator.provision("--spot", "--yes")
    error = ran.json["error"]
    assert (error["exitCode"], error["code"]) == (4, "credentials")
    assert error["hint"] == "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com"
    assert "may not create the role" in error["message"]
    assert [record.status for record in operator.records] == ["FAILED"]
    assert len(zones_asked(operator)) == 1


@pytest.mark.parametrize("code", ["InsufficientVolumeCapacity", "InsufficientAddressCapacity", "UnfulfillableCapacity"])
def test_every_capacity_code_of_ec2s_leads_to_the_next_region(operator: Operator, code: str) -> None:
    operator.wire.arm("RunInstances", refuse(code, 500))
    ran = operator.json("provision", "g4dn.xlarge", "--region", "us-east-1,us-west-2")
    assert (ran.code, ran.instance["region"]) == (0, "us-west-2")


def test_a_spot_price_above_the_maximum_is_queried_again_at_once(operator: Operator) -> None:
    low = refuse("SpotMaxPriceTooLow", 400, "Your Spot request price of 0.1 is lower than the minimum of 0.2")
    operator.wire.arm("RunInstances", *[low] * 9)
    error = operator.provision("--spot", "--max-price", "0.10", "--yes").json["error"]
    assert (error["exitCode"], error["hint"]) == (5, "raise `--max-price`, or leave it out")
    assert "lower than the minimum" in error["message"]
    operator.wire.reset()
    assert operator.provision("--spot", "--max-price", "1", "--yes").code == 0


def test_a_region_that_is_not_enabled_is_named_and_the_next_one_is_tried(operator: Operator) -> None:
    closed_region(operator, "ap-east-1")
    ran = operator.json("provision", "g4dn.xlarge", "--region", "ap-east-1,us-east-1")
    assert (ran.code, ran.instance["region"]) == (0, "us-east-1")
    assert "ap-east-1 is skipped" in ran.err


def test_a_region_that_is_not_enabled_alone_is_reported_with_the_command_that_enables_it(operator: Operator) -> None:
    closed_region(operator, "ap-east-1")
    error = operator.json("provision", "g4dn.xlarge", "--region", "ap-east-1").json["error"]
    assert error["exitCode"] == 4
    assert "`ap-east-1` is not enabled in this account" in error["message"]
    assert CLOSED in error["message"]
    assert error["hint"].startswith("aws account enable-region --region-name ap-east-1")


def test_a_region_that_was_disabled_later_is_named_by_the_reaper(operator: Operator) -> None:
    operator.provision("--no-wait")
    closed = refuse("AuthFailure", 401, "AWS was not able to validate the provided access credentials")
    operator.wire.arm("DescribeInstances", *[closed] * 8)
    ran = operator.run("reap", "--sweep")
    assert ran.code == 8
    assert "`us-east-1` is not enabled in this account" in ran.err


def test_throttling_is_waited_out_at_the_same_place_and_never_elsewhere(operator: Operator) -> None:
    throttled = refuse("RequestLimitExceeded", 503, "Request limit exceeded.")
    operator.wire.arm("RunInstances", *[throttled] * 9)
    ran = operator.json("provision", "g4dn.xlarge", "--region", "us-east-1,us-west-2")
    assert (ran.code, ran.json["error"]["code"]) == (5, "throttled")
    assert len(zones_asked(operator)) == 4
    assert [record.status for record in operator.records] == ["FAILED"]


def test_throttled_sends_before_it_do_not_make_a_refusal_unknown(operator: Operator) -> None:
    throttled = refuse("RequestLimitExceeded", 503)
    operator.wire.arm("RunInstances", throttled, throttled, FULL)
    ran = operator.json("provision", "g4dn.xlarge", "--region", "us-east-1,us-west-2")
    assert (ran.code, ran.instance["region"]) == (0, "us-west-2")


@pytest.mark.parametrize("status", [400, 403, 409])
def test_an_unknown_code_is_a_refusal_with_the_clouds_own_sentence(operator: Operator, status: int) -> None:
    new = refuse("SomethingOfNextYear", status, "its own sentence")
    operator.wire.arm("RunInstances", new, with_(new), new, new)
    error = operator.provision().json["error"]
    assert (error["exitCode"], error["code"]) == (1, "cloud")
    assert "`SomethingOfNextYear` (its own sentence)" in error["message"]
    assert [record.status for record in operator.records] == ["FAILED"]
    assert len(zones_asked(operator)) == 1
