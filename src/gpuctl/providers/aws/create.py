"""The one RunInstances call that carries everything an instance needs to end by itself."""

from collections.abc import Mapping
from typing import Any

from gpuctl.domain.instance import Market
from gpuctl.domain.tags import EXPIRES_AT, ID, OWNER, PREFIX, STATE, deadline_tag
from gpuctl.errors import UsageError
from gpuctl.providers.aws.observe import NAME
from gpuctl.providers.aws.userdata import user_data
from gpuctl.providers.base import Order

# With instance metadata tags on, EC2 takes only these in a key.
_KEY = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+=.,_:@-")
_RESERVED_KEYS = frozenset({".", "..", "_index"})
_MOST_TAGS = 50
_OURS = 5  # four of ours and Name
_LONGEST_KEY = 127  # EC2's service model says 127, its user guide 128
_LONGEST_VALUE = 256


def run_instances(order: Order, group_id: str | None, *, is_ipv6_only: bool = False) -> dict[str, Any]:
    """The call's parameters. The same arguments give the same parameters, which is what makes a repeat harmless.

    `group_id` is the security group that opens port 22; without one the network's default group applies. In a subnet
    without IPv4 (`is_ipv6_only`) the metadata service is switched on at its IPv6 address as well: the guard reads the
    deadline there. Elsewhere it stays off, because EC2 refuses it for instance types on Xen.
    """
    tags = [{"Key": key, "Value": value} for key, value in sorted(_tags(order).items())]
    root = {
        "DeviceName": order.image.root_device,
        "Ebs": {"VolumeSize": order.disk_gb, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True},
    }
    call: dict[str, Any] = {
        "ClientToken": order.token,
        "MinCount": 1,
        "MaxCount": 1,
        "ImageId": order.image.id,
        "InstanceType": order.instance_type,
        # A disk of the image without DeleteOnTermination would stay, and bill, after the instance.
        "BlockDeviceMappings": [
            root,
            *({"DeviceName": disk.device, "Ebs": {"DeleteOnTermination": True}} for disk in order.image.disks),
        ],
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "InstanceMetadataTags": "enabled",
            **({"HttpProtocolIpv6": "enabled"} if is_ipv6_only else {}),
        },
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume", "network-interface")
        ],
        "UserData": user_data(order),
    }
    if group_id is not None:
        call["SecurityGroupIds"] = [group_id]
    if order.zone is not None:
        call["Placement"] = {"AvailabilityZone": order.zone}
    if order.subnet is not None:
        call["SubnetId"] = order.subnet
    if order.market is Market.SPOT:
        # One-time only: a persistent request would start the instance again after its end.
        spot = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
        if order.max_price is not None:
            spot["MaxPrice"] = f"{order.max_price:f}"
        call["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": spot}
    return call


def check_tags(tags: Mapping[str, str]) -> None:
    """Raise UsageError for a user tag that EC2 would refuse beside ours."""
    if len(tags) > _MOST_TAGS - _OURS:
        raise UsageError(
            f"AWS accepts at most {_MOST_TAGS - _OURS} tags in addition to those of gpuctl, not {len(tags)}"
        )
    for key, value in tags.items():
        if not 1 <= len(key) <= _LONGEST_KEY or not set(key) <= _KEY or key in _RESERVED_KEYS:
            raise UsageError(
                f"AWS takes 1 to {_LONGEST_KEY} of `A-Za-z0-9+=.,_:@-` in a tag's key, not `{key[:60]}`",
                hint="add `--tag project=x`",
            )
        if key.casefold().startswith(("aws:", PREFIX)):
            raise UsageError(
                f"a tag may not begin with `{key[: key.index(':') + 1] if ':' in key else PREFIX}`: `{key}`"
            )
        if len(value) > _LONGEST_VALUE:
            raise UsageError(f"AWS takes at most {_LONGEST_VALUE} characters in a tag's value: `{key}`")


def _tags(order: Order) -> dict[str, str]:
    return {
        NAME: order.name or order.record_id,
        **order.tags,
        ID: order.record_id,
        STATE: order.state_id,
        OWNER: order.owner[:_LONGEST_VALUE],
        EXPIRES_AT: deadline_tag(order.expires_at),
    }
