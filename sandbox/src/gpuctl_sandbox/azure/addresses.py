"""Network arithmetic: prefixes inside prefixes, rules that contradict each other, and addresses to hand out."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from gpuctl_sandbox.azure.wire import Json, Refusal

_SERVICE_TAGS = {"*", "internet", "virtualnetwork", "azureloadbalancer", "azurecloud"}


def network(prefix: str, what: str) -> IPv4Network | IPv6Network:
    """The prefix as a network. Refused if it is none, or has bits set behind its length."""
    try:
        return ip_network(prefix)
    except ValueError as error:
        raise Refusal(
            400, "InvalidCIDRNotation", f"The address prefix {prefix} in {what} has invalid CIDR notation.", what
        ) from error


def check_rules(rules: Sequence[Json]) -> None:
    """Refuse rules that the network provider would not take."""
    used: dict[tuple[str, int], str] = {}
    for rule in rules:
        body, name = rule["properties"], rule["name"]
        if not 100 <= body["priority"] <= 4096:
            raise Refusal(
                400,
                "SecurityRuleInvalidPriority",
                f"Security rule has invalid Priority. Value provided: {body['priority']} Allowed range 100-4096.",
            )
        other = used.setdefault((body["direction"], body["priority"]), name)
        if other != name:
            raise Refusal(
                400,
                "SecurityRuleConflict",
                f"Security rule {name} conflicts with rule {other}. Rules cannot have the same Priority and Direction.",
            )
        for side in ("source", "destination"):
            _check_side(name, body, side)


def _check_side(name: str, body: Json, side: str) -> None:
    port, place = (str(body.get(f"{side}{what}", "")) for what in ("PortRange", "AddressPrefix"))
    for value, what in ((port, "PortRange"), (place, "AddressPrefix")):
        if not value:
            raise Refusal(
                400,
                "SecurityRuleParameterNotSpecified",
                f"Required security rule parameters are missing for security rule with Id: {name}. Security rule must "
                f"specify either {side.title()}{what} or {side.title()}{what}es.",
            )
    first, _, last = port.partition("-")
    bounds = [first, last or first]
    if port != "*" and not all(bound.isdigit() and 0 <= int(bound) <= 65535 for bound in bounds):
        raise Refusal(
            400, "SecurityRuleInvalidPortRange", f"Security rule has invalid Port range. Value provided: {port}."
        )
    if place.lower() not in _SERVICE_TAGS:
        try:
            ip_network(place)
        except ValueError as error:
            raise Refusal(
                400,
                "SecurityRuleInvalidAddressPrefix",
                f"Security rule has invalid Address prefix. Value provided: {place}.",
            ) from error


def check_subnets(vnet: str, space: Sequence[str], subnets: Sequence[Json]) -> None:
    """Refuse subnets outside the network's space, too small ones, and ones that overlap."""
    spaces = [network(prefix, "addressSpace") for prefix in space]
    observed: list[tuple[str, IPv4Network | IPv6Network]] = []
    for subnet in subnets:
        for prefix in prefixes(subnet):
            here = network(prefix, f"subnet {subnet['name']}")
            if not any(here.version == space.version and here.subnet_of(space) for space in spaces):  # type: ignore[arg-type]
                raise Refusal(
                    400,
                    "NetcfgSubnetRangeOutsideVnet",
                    f"Subnet '{subnet['name']}' is not valid because its IP address range is outside the IP address "
                    f"range of virtual network '{vnet}'.",
                )
            if here.version == 4 and here.prefixlen > 29:
                raise Refusal(
                    400, "NetcfgInvalidSubnet", f"Subnet '{subnet['name']}' is not valid in virtual network '{vnet}'."
                )
            for name, other in observed:
                if here.overlaps(other):
                    raise Refusal(
                        400,
                        "NetcfgSubnetRangesOverlap",
                        f"Subnet '{subnet['name']}' is not valid because its IP address range overlaps with that of an "
                        f"existing subnet '{name}' in virtual network '{vnet}'.",
                    )
            observed.append((subnet["name"], here))


def prefixes(subnet: Json) -> list[str]:
    """The address prefixes of one subnet."""
    body = subnet.get("properties", {})
    return [body["addressPrefix"]] if "addressPrefix" in body else list(body.get("addressPrefixes", []))


def private_address(subnet: Json, used: set[str]) -> str:
    """The first free address: the cloud keeps the first four of each subnet for itself."""
    here = network(prefixes(subnet)[0], "subnet")
    for number in range(4, here.num_addresses - 1):
        address = str(here[number])
        if address not in used:
            return address
    raise Refusal(400, "SubnetIsFull", f"Subnet {subnet['name']} does not have enough capacity for 1 IP addresses.")
