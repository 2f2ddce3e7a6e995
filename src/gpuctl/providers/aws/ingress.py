"""The one security group of a state in a network: it opens port 22 to the addresses its machines were asked from."""

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from gpuctl.domain.ingress import is_ipv6
from gpuctl.domain.tags import STATE
from gpuctl.errors import CloudError
from gpuctl.providers.aws.client import Clients
from gpuctl.providers.aws.errors import NO_SUCH_GROUP, code_of
from gpuctl.providers.base import Order

_SSH = 22
_RULES_KEPT = 50
_Key = tuple[str, str, str | None, str]


class Ingress:
    """Finds, makes and removes these groups. What was found is remembered, so that ten machines ask once.

    A group bills nothing, belongs to no machine, and is the same whoever asks for it: made twice, it is one. Only a
    group that carries this state's tag is used or touched.
    """

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._known: dict[_Key, str] = {}
        self._just_made: dict[tuple[str, str, str], str] = {}

    def group_of(self, order: Order) -> str | None:
        """The id of the group that opens port 22 to the order's range, made if need be; None where nobody is let in.

        Raises the SDK's errors.
        """
        if order.ssh_from is None:
            return None
        key = _key(order, order.ssh_from)
        if key not in self._known:
            self._known[key] = self._opened(order, order.ssh_from)
        return self._known[key]

    def forget(self, order: Order) -> None:
        """Look it up again: it is not there any more."""
        self._known.pop(_key(order, order.ssh_from or ""), None)
        self._just_made.clear()

    def close(self, region: str, state_id: str) -> bool:
        """Remove the state's groups there, in every network; False if a machine still uses one."""
        ec2 = self._clients.client("ec2", region)
        gone = True
        for group in _groups(ec2, state_id, None):
            try:
                ec2.delete_security_group(GroupId=group["GroupId"])
            except ClientError as error:
                if code_of(error) == "DependencyViolation":
                    gone = False
                elif code_of(error) not in NO_SUCH_GROUP:
                    raise
        self._known = {key: one for key, one in self._known.items() if key[:2] != (region, state_id)}
        return gone

    def _opened(self, order: Order, cidr: str) -> str:
        ec2 = self._clients.client("ec2", order.region)
        network = _network(ec2, order.subnet)
        found = _groups(ec2, order.state_id, network)
        group = found[0] if found else self._made(ec2, order.region, order.state_id, network)
        group_id, rules, said = str(group["GroupId"]), _rules(group), f"gpuctl {order.created_at:%Y-%m-%d}"
        if cidr not in rules:
            _let_in(ec2, group_id, cidr, rules, said)
        elif rules[cidr] != said:
            # The day keeps a rule that is in use from being taken for the oldest.
            permission = _permission(cidr, said)
            ec2.update_security_group_rule_descriptions_ingress(GroupId=group_id, IpPermissions=[permission])
        return group_id

    def _made(self, ec2: Any, region: str, state_id: str, network: str) -> Mapping[str, Any]:
        just_made = self._just_made.get((region, state_id, network))
        if just_made is not None:
            # EC2 may take a while to show what it has made.
            return {"GroupId": just_made}
        name = _name(state_id)
        tags = [{"Key": "Name", "Value": name}, {"Key": STATE, "Value": state_id}]
        try:
            made = ec2.create_security_group(
                GroupName=name,
                # No apostrophe: EC2 accepts a-zA-Z0-9. _-:/()#,@[]+=&;{}!$* only.
                Description=f"ssh to the instances of gpuctl state {state_id}",
                VpcId=network,
                TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
            )
        except ClientError as error:
            if code_of(error) != "InvalidGroup.Duplicate":
                raise
            # Made by another process just now, or by our own send before this one, whose reply was lost.
            found = _groups(ec2, state_id, network)
            if not found:
                raise CloudError(
                    f"the security group `{name}` is there and does not carry this state's tag",
                    hint="add `--ssh-from none`, or rename that group",
                ) from error
            return found[0]
        self._just_made[region, state_id, network] = str(made["GroupId"])
        return {"GroupId": made["GroupId"]}


def _key(order: Order, cidr: str) -> _Key:
    return (order.region, order.state_id, order.subnet, cidr)


def _name(state_id: str) -> str:
    return f"gpuctl-{state_id}"


def _network(ec2: Any, subnet: str | None) -> str:
    if subnet is not None:
        return str(ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"])
    found = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    if not found:
        raise CloudError(
            "this account has no default network there",
            hint="add `--subnet subnet-...`",
            cloud_code="VPCIdNotSpecified",
        )
    return str(found[0]["VpcId"])


def _groups(ec2: Any, state_id: str, network: str | None) -> Sequence[Mapping[str, Any]]:
    filters = [
        {"Name": f"tag:{STATE}", "Values": [state_id]},
        {"Name": "group-name", "Values": [_name(state_id)]},
        *([{"Name": "vpc-id", "Values": [network]}] if network else []),
    ]
    found: Sequence[Mapping[str, Any]] = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    return found


def _rules(group: Mapping[str, Any]) -> dict[str, str]:
    """The ranges that the group opens port 22 to, each with the day it was let in, as our rule's description says."""
    found: dict[str, str] = {}
    for one in group.get("IpPermissions", ()):
        if (one.get("IpProtocol"), one.get("FromPort"), one.get("ToPort")) == ("tcp", _SSH, _SSH):
            found |= {said["CidrIp"]: said.get("Description", "") for said in one.get("IpRanges", ())}
            found |= {said["CidrIpv6"]: said.get("Description", "") for said in one.get("Ipv6Ranges", ())}
    return found


def _let_in(ec2: Any, group_id: str, cidr: str, rules: Mapping[str, str], said: str) -> None:
    # A group has room for 60 rules, and whoever works from a train, or in CI, has a new address every day.
    if len(rules) >= _RULES_KEPT:
        oldest = min(rules, key=lambda one: (rules[one], one))
        ec2.revoke_security_group_ingress(GroupId=group_id, IpPermissions=[_permission(oldest)])
    try:
        ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[_permission(cidr, said)])
    except ClientError as error:
        if code_of(error) != "InvalidPermission.Duplicate":
            raise


def _permission(cidr: str, said: str | None = None) -> dict[str, Any]:
    kind, key = ("Ipv6Ranges", "CidrIpv6") if is_ipv6(cidr) else ("IpRanges", "CidrIp")
    described = {"Description": said} if said else {}
    return {"IpProtocol": "tcp", "FromPort": _SSH, "ToPort": _SSH, kind: [{key: cidr, **described}]}
