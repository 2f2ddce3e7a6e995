"""In which availability zones of a region an instance can be put."""

import re
from collections.abc import Sequence
from typing import Any

# A Local Zone or Wavelength Zone (`us-west-2-lax-1a`) has other prices, volumes and networks than its region.
_LETTER = re.compile(r"[a-z]")


def zones_of(ec2: Any, region: str, instance_type: str) -> Sequence[str]:
    """The zones where the type is offered and the default network has a subnet, sorted; raises the SDK's errors.

    In a zone without a default subnet EC2 refuses whatever names that zone and no subnet.
    """
    offered = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [instance_type]}]
    )["InstanceTypeOfferings"]
    subnets = ec2.describe_subnets(
        Filters=[{"Name": "default-for-az", "Values": ["true"]}, {"Name": "state", "Values": ["available"]}]
    )["Subnets"]
    usable = {str(subnet["AvailabilityZone"]) for subnet in subnets}
    zones = {str(offering["Location"]) for offering in offered} & usable
    return sorted(zone for zone in zones if _LETTER.fullmatch(zone.removeprefix(region)))
