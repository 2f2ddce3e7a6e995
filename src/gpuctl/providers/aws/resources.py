"""Everything that exists in EC2 for one record: its instances, their volumes and interfaces, and the state's groups."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from gpuctl.domain.resource import Resource
from gpuctl.domain.tags import ID, STATE

_TERMINATED = ("terminated",)


def list_resources(ec2: Any, record_id: str, cloud_id: str, known: Collection[str]) -> list[Resource]:
    """The resources that carry the record's ID tag, those its instance refers to, and those of the IDs in `known`.

    Complete, or it raises what the SDK raises: KeyError, IndexError, TypeError or ValueError for an odd answer.
    """
    instances = list(_instances(ec2, record_id, cloud_id))
    volumes, interfaces, groups = _part_ids(instances)
    resources = [_resource("instance", instance["InstanceId"], instance.get("Tags")) for instance in instances]
    volumes |= {name for name in known if name.startswith("vol-")}
    interfaces |= {name for name in known if name.startswith("eni-")}
    groups |= {name for name in known if name.startswith("sg-")}
    resources += [
        _resource("volume", item["VolumeId"], item.get("Tags"))
        for item in _items(ec2, "describe_volumes", "Volumes", _filters(record_id, "volume-id", volumes))
        if item.get("State") != "deleted"
    ]
    resources += [
        _resource("network-interface", item["NetworkInterfaceId"], item.get("TagSet"))
        for item in _items(
            ec2,
            "describe_network_interfaces",
            "NetworkInterfaces",
            _filters(record_id, "network-interface-id", interfaces),
        )
    ]
    if groups:
        filters = [{"Name": "group-id", "Values": sorted(groups)}]
        reply = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
        # A group without our tag is the network's own, or the user's.
        resources += [
            _resource("security-group", item["GroupId"], item["Tags"], is_shared=True)
            for item in reply
            if any(tag["Key"] == STATE for tag in item.get("Tags", ()))
        ]
    return resources


def _instances(ec2: Any, record_id: str, cloud_id: str) -> Iterator[Mapping[str, Any]]:
    pages = (
        page
        for filters in _filters(record_id, "instance-id", {cloud_id} - {""})
        for page in ec2.get_paginator("describe_instances").paginate(Filters=[filters])
    )
    instances: dict[str, Mapping[str, Any]] = {}
    for page in pages:
        for reservation in page["Reservations"]:
            instances |= {instance["InstanceId"]: instance for instance in reservation["Instances"]}
    yield from (item for item in instances.values() if item["State"]["Name"] not in _TERMINATED)


def _part_ids(instances: Sequence[Mapping[str, Any]]) -> tuple[set[str], set[str], set[str]]:
    """IDs of the volumes, interfaces and security groups that the instances refer to."""
    volumes, interfaces, groups = set[str](), set[str](), set[str]()
    for instance in instances:
        volumes |= {disk["Ebs"]["VolumeId"] for disk in instance.get("BlockDeviceMappings", ()) if "Ebs" in disk}
        interfaces |= {each["NetworkInterfaceId"] for each in instance.get("NetworkInterfaces", ())}
        groups |= {group["GroupId"] for group in instance.get("SecurityGroups", ())}
    return volumes, interfaces, groups


def _filters(record_id: str, name: str, ids: Collection[str]) -> list[dict[str, Any]]:
    """A filter by tag and one by ID, for a call each: all filters of a call must match. An unknown ID is no error."""
    by_tag = {"Name": f"tag:{ID}", "Values": [record_id]}
    return [by_tag, {"Name": name, "Values": sorted(ids)}] if ids else [by_tag]


def _items(ec2: Any, operation: str, key: str, filters: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    fields: dict[str, Mapping[str, Any]] = {}
    for each in filters:
        for page in ec2.get_paginator(operation).paginate(Filters=[each]):
            fields |= {str(item.get("VolumeId") or item.get("NetworkInterfaceId")): item for item in page[key]}
    return list(fields.values())


def _resource(kind: str, name: str, tags: Any, *, is_shared: bool = False) -> Resource:
    return Resource(kind, name, {tag["Key"]: tag["Value"] for tag in tags or ()}, is_shared=is_shared)
