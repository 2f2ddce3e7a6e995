"""Security groups that open port 22 to one address range: one for each state, network and range.

An instance has exactly one of them, so that it is reachable from the range it was started with and from no other.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from gpuctl.domain.market.ssh_source import is_ipv6
from gpuctl.domain.tags import STATE
from gpuctl.errors import CloudError, Extent, UnreachableError
from gpuctl.providers.aws.client import AwsClients
from gpuctl.providers.aws.errors import NO_SUCH_GROUP, code_of
from gpuctl.providers.base import Order

_SSH = 22
# More than one only where others changed the rules of a group of ours, or took its name.
_MOST_NAMES = 5
_Key = tuple[str, str, str | None, str]
_Rule = tuple[str, int | None, int | None, str]


class Ingress:
    """Finds, creates and deletes these groups. Results are kept, so that ten instances need one query.

    A group costs nothing. Only groups that carry this state's tag are used, changed or deleted.
    """

    def __init__(self, clients: AwsClients) -> None:
        self._clients = clients
        self._known: dict[_Key, str] = {}
        self._created: dict[_Key, str] = {}
        self._missing: Counter[_Key] = Counter()

    def group_of(self, order: Order) -> str | None:
        """The id of the group that opens port 22 to the order's range and to no other, created where it is missing.

        None where the order opens port 22 to nobody. Raises the SDK's errors, and UnreachableError while EC2 does not
        show a group that exists.
        """
        if order.ssh_from is None:
            return None
        key = _key(order, order.ssh_from)
        if key not in self._known:
            self._known[key] = self._opened(order, order.ssh_from)
        return self._known[key]

    def default_sources(self, region: str, subnet: str | None) -> list[str]:
        """What reaches port 22 of an instance without a group of ours: it has the network's default security group."""
        ec2 = self._clients.client("ec2", region)
        groups_by_name = _groups_by_name(ec2, _network(ec2, subnet), ["default"])
        return [
            f"instances in the default security group {group['GroupId']}"
            if source == group["GroupId"]
            else f"{source} (default security group {group['GroupId']})"
            for group in groups_by_name.values()
            for source in dict.fromkeys(rule[3] for rule in _rules(group) if _covers_ssh(rule))
        ]

    def forget(self, order: Order) -> None:
        """Query the group again next time: EC2 did not find it.

        EC2 may take a while to find a group that was just created, so the second call gives up a group of our own too.
        """
        key = _key(order, order.ssh_from or "")
        self._known.pop(key, None)
        self._missing[key] += 1
        if self._missing[key] > 1:
            self._created.pop(key, None)

    def close(self, region: str, state_id: str, needed: Collection[str]) -> bool:
        """Delete the state's groups in that region, except those of the ranges `needed`.

        Returns False if EC2 reports that one of them is still in use. Deleting twice is the same as once.
        """
        ec2 = self._clients.client("ec2", region)
        remaining = {name for cidr in needed for name in _names(state_id, cidr)}
        is_all = True
        for group in _groups_of_state(ec2, state_id):
            if group["GroupName"] in remaining:
                continue
            try:
                ec2.delete_security_group(GroupId=group["GroupId"])
            except ClientError as error:
                if code_of(error) == "DependencyViolation":
                    is_all = False
                elif code_of(error) not in NO_SUCH_GROUP:
                    raise
        self._known = {key: group for key, group in self._known.items() if key[:2] != (region, state_id)}
        return is_all

    def _opened(self, order: Order, cidr: str) -> str:
        ec2 = self._clients.client("ec2", order.region)
        network = _network(ec2, order.subnet)
        wanted: _Rule = ("tcp", _SSH, _SSH, cidr)
        groups = _groups_by_name(ec2, network, _names(order.state_id, cidr))
        for group in groups.values():
            # A rule that others added would let more in than was asked for: such a group is not used again.
            if _carries_state(group, order.state_id) and set(_rules(group)) <= {wanted}:
                return _with_rule(ec2, str(group["GroupId"]), cidr, is_present=bool(list(_rules(group))))
        created = self._created.get(_key(order, cidr))
        if created is not None:
            return _with_rule(ec2, created, cidr)
        free = [name for name in _names(order.state_id, cidr) if name not in groups]
        if not free:
            raise CloudError(
                f"{_MOST_NAMES} security groups named `{_names(order.state_id, cidr)[0]}` exist in {network}, and "
                f"others changed all of them",
                hint="delete those that nothing uses, or add `--ssh-from none`",
            )
        return _with_rule(ec2, self._create(ec2, order, cidr, network, free[0]), cidr)

    def _create(self, ec2: Any, order: Order, cidr: str, network: str, name: str) -> str:
        try:
            created = ec2.create_security_group(**_group(order, cidr, network, name))
        except ClientError as error:
            if code_of(error) != "InvalidGroup.Duplicate":
                raise
            # Another process created it just now, or an earlier send of ours did and its reply was lost.
            group = _groups_by_name(ec2, network, [name]).get(name)
            if group is None or not _carries_state(group, order.state_id):
                raise UnreachableError(f"EC2 does not show yet the security group `{name}`, which exists") from error
            return str(group["GroupId"])
        self._created[_key(order, cidr)] = str(created["GroupId"])
        return str(created["GroupId"])


def try_group(clients: AwsClients, order: Order, cidr: str) -> None:
    """Ask EC2 whether these credentials may create such a group. Raises its answer, which is an error in any case."""
    ec2 = clients.client("ec2", order.region)
    ec2.create_security_group(**_group(order, cidr, _network(ec2, order.subnet), "gpuctl-dry-run"), DryRun=True)


def _group(order: Order, cidr: str, network: str, name: str) -> dict[str, Any]:
    tags = [{"Key": "Name", "Value": name}, {"Key": STATE, "Value": order.state_id}]
    return {
        "GroupName": name,
        # No apostrophe: EC2 accepts a-zA-Z0-9. _-:/()#,@[]+=&;{}!$* only.
        "Description": f"ssh from {cidr} to instances of gpuctl state {order.state_id}",
        "VpcId": network,
        "TagSpecifications": [{"ResourceType": "security-group", "Tags": tags}],
    }


def _key(order: Order, cidr: str) -> _Key:
    return (order.region, order.state_id, order.subnet, cidr)


def _names(state_id: str, cidr: str) -> list[str]:
    # A range holds a dot or a colon and a state id does not, so no two states and ranges share a name.
    base = f"gpuctl-{state_id}-ssh-{cidr}"
    return [base, *(f"{base}-{number}" for number in range(2, _MOST_NAMES + 1))]


def _network(ec2: Any, subnet: str | None) -> str:
    if subnet is not None:
        return str(ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"])
    vpcs = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    if not vpcs:
        raise CloudError(
            "this account has no default network there",
            hint="add `--subnet subnet-...`",
            cloud_code="VPCIdNotSpecified",
            extent=Extent.REGION,
        )
    return str(vpcs[0]["VpcId"])


def _groups_by_name(ec2: Any, network: str, names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """The groups of these names in a network, by name, in the order of the names, regardless of their owner."""
    filters = [{"Name": "vpc-id", "Values": [network]}, {"Name": "group-name", "Values": list(names)}]
    fields = {str(group["GroupName"]): group for group in _described(ec2, filters)}
    return {name: fields[name] for name in names if name in fields}


def _groups_of_state(ec2: Any, state_id: str) -> Sequence[Mapping[str, Any]]:
    """The groups that gpuctl created for a state, in every network of the region."""
    filters = [
        {"Name": f"tag:{STATE}", "Values": [state_id]},
        {"Name": "group-name", "Values": [f"gpuctl-{state_id}*"]},
    ]
    return _described(ec2, filters)


def _described(ec2: Any, filters: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    pages = ec2.get_paginator("describe_security_groups").paginate(Filters=list(filters))
    return [group for page in pages for group in page["SecurityGroups"]]


def _carries_state(group: Mapping[str, Any], state_id: str) -> bool:
    return {"Key": STATE, "Value": state_id} in [dict(tag) for tag in group.get("Tags", ())]


def _rules(group: Mapping[str, Any]) -> Iterator[_Rule]:
    """Every rule of a group that lets something in: protocol, first and last port, source."""
    for permission in group.get("IpPermissions", ()):
        sources = [
            *(source["CidrIp"] for source in permission.get("IpRanges", ())),
            *(source["CidrIpv6"] for source in permission.get("Ipv6Ranges", ())),
            *(source["PrefixListId"] for source in permission.get("PrefixListIds", ())),
            *(source.get("GroupId", "") for source in permission.get("UserIdGroupPairs", ())),
        ]
        for source in sources:
            yield permission["IpProtocol"], permission.get("FromPort"), permission.get("ToPort"), str(source)


def _covers_ssh(rule: _Rule) -> bool:
    protocol, first, last, _ = rule
    if protocol not in ("tcp", "6"):
        return protocol == "-1"
    return first is None or last is None or first <= _SSH <= last


def _with_rule(ec2: Any, group_id: str, cidr: str, *, is_present: bool = False) -> str:
    """The group's id, once the group opens port 22 to the range."""
    if is_present:
        return group_id
    kind, key = ("Ipv6Ranges", "CidrIpv6") if is_ipv6(cidr) else ("IpRanges", "CidrIp")
    permission = {"IpProtocol": "tcp", "FromPort": _SSH, "ToPort": _SSH, kind: [{key: cidr, "Description": "gpuctl"}]}
    try:
        ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[permission])
    except ClientError as error:
        if code_of(error) != "InvalidPermission.Duplicate":
            raise
    return group_id
