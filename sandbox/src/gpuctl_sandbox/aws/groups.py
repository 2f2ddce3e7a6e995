"""Security groups as AWS holds them and moto does not: how many there may be, when one may go, and what they let in."""

from typing import Any

from werkzeug.wrappers import Response

from gpuctl_sandbox.aws.wire import Call, refusal
from gpuctl_sandbox.fidelity import Rule

MOST_GROUPS = 2_500
_SSH = 22

RULES = (
    Rule(
        "AWS",
        "security groups per region",
        f"With {MOST_GROUPS:,} security groups in a region CreateSecurityGroup is `SecurityGroupLimitExceeded`.",
        "Amazon VPC user guide, Amazon VPC quotas, VPC security groups per Region; message as quoted in "
        "otiai10/hotsub#36",
        "documented",
    ),
    Rule(
        "AWS",
        "rules per security group",
        "The 61st inbound rule of a security group is `RulesPerSecurityGroupLimitExceeded`.",
        "Amazon VPC user guide, Amazon VPC quotas, Inbound or outbound rules per security group; code as quoted in "
        "dan-v/awslambdaproxy#25",
        "documented",
    ),
    Rule(
        "AWS",
        "a security group in use cannot be deleted",
        "DeleteSecurityGroup of a group that an instance uses is `DependencyViolation`.",
        "EC2 service model, DeleteSecurityGroup; message as quoted in hashicorp/terraform-provider-aws#1671",
        "documented",
    ),
    Rule(
        "AWS",
        "default security group",
        "An instance without a security group gets the network's default one, which lets in every instance in it.",
        "EC2 service model, CreateSecurityGroup: default security group",
        "documented",
    ),
    Rule(
        "AWS",
        "what a security group lets in",
        "Port 22 of an instance is reachable from the sources of all rules of all its groups, and from no other.",
        "EC2 service model, AuthorizeSecurityGroupIngress; Amazon VPC user guide, Security group rules",
        "documented",
    ),
)


def refused(call: Call, backend: Any, most_groups: int = MOST_GROUPS) -> Response | None:
    """AWS's refusal of a call about security groups; None where AWS would serve it."""
    if call.action == "CreateSecurityGroup":
        groups = sum(len(groups) for groups in backend.groups.values())
        message = f"The maximum number of security groups for VPC '{call.form.get('VpcId', '')}' has been reached."
        return refusal("SecurityGroupLimitExceeded", message) if groups >= most_groups else None
    if call.action == "DeleteSecurityGroup":
        group_id = call.form.get("GroupId", "")
        message = f"resource {group_id} has a dependent object"
        return refusal("DependencyViolation", message) if group_id in _used(backend) else None
    return None


def complete(backend: Any) -> None:
    """Give the default security group of the default network the rule that AWS creates it with, and moto does not."""
    group = backend.get_security_group_by_name_or_id("default", backend.default_vpc.id)
    itself = [{"GroupId": group.id}]
    if not group.ingress_rules:
        backend.authorize_security_group_ingress(group.id, "-1", None, None, [], source_groups=itself)


def ssh_from(instance: Any, backend: Any) -> list[str]:
    """The sources that the instance's security groups let reach its port 22: ranges, or the ids of other groups."""
    names: set[str] = set()
    default = backend.get_security_group_by_name_or_id("default", instance.vpc_id or backend.default_vpc.id)
    for name in _group_ids(instance) or {default.id}:
        group = backend.get_security_group_from_id(name)
        for rule in group.ingress_rules if group is not None else ():
            if _covers_ssh(rule):
                source = rule.ip_range.get("CidrIp") or rule.ip_range.get("CidrIpv6") or rule.source_group["GroupId"]
                names.add(str(source))
    return sorted(names)


def _used(backend: Any) -> set[str]:
    """The groups of every network interface that exists. One of a terminated instance is gone with it."""
    return {
        name for instance in backend.all_instances() if instance.state != "terminated" for name in _group_ids(instance)
    }


def _group_ids(instance: Any) -> set[str]:
    return {getattr(group, "id", group) for group in instance.security_groups}


def _covers_ssh(rule: Any) -> bool:
    if rule.ip_protocol == "-1":
        return True
    return rule.ip_protocol == "tcp" and int(rule.from_port) <= _SSH <= int(rule.to_port)
