"""The zone in which EC2 launches: the requested one or, without a request, the first that can take the launch."""

from collections.abc import Mapping
from typing import Any

from werkzeug.wrappers import Response

from gpuctl_sandbox.aws.conditions import Conditions
from gpuctl_sandbox.aws.wire import Call, refusal

_ZONE = "Placement.AvailabilityZone"


def place(call: Call, backend: Any, conditions: Conditions) -> Mapping[str, str] | Response:
    """The parameter that places this RunInstances call, or EC2's refusal.

    Empty where the call names a zone or a subnet itself. A subnet places the call in the subnet's zone.
    """
    instance_type = call.form.get("InstanceType", "m1.small")
    zones = sorted(zone.name for zone in backend.describe_availability_zones())
    subnet = call.form.get("SubnetId") or call.form.get("NetworkInterface.1.SubnetId")
    with_subnet = sorted(backend.get_default_subnets())
    if subnet is not None:
        possible = [matching.availability_zone for matching in backend.describe_subnets() if matching.id == subnet]
    elif _ZONE in call.form:
        possible = [call.form[_ZONE]]
        if call.form[_ZONE] in zones and call.form[_ZONE] not in with_subnet and with_subnet:
            return refusal("InvalidInput", f"No default subnet for availability zone: '{call.form[_ZONE]}'.")
    else:
        possible = with_subnet
    refusals: list[Response] = []
    for zone in possible:
        refused = conditions.zone_refusal(instance_type, zone, zones)
        if refused is None:
            return {} if subnet is not None else {_ZONE: str(zone)}
        refusals.append(refused)
    # A lack of capacity (500) says more than an unsupported zone.
    return max(refusals, key=lambda refused: refused.status_code) if refusals else {}


def delete_default_subnet(backend: Any, zone: str) -> None:
    """Delete the zone's default subnet. No effect if it has none."""
    subnet = backend.get_default_subnets().get(zone)
    if subnet is not None:
        backend.delete_subnet(subnet.id)
