"""From where port 22 of a machine can be reached: the rules of its network security group, and Azure's own."""

from gpuctl_sandbox.azure.books import Books, Resource
from gpuctl_sandbox.azure.links import interfaces
from gpuctl_sandbox.azure.wire import Json
from gpuctl_sandbox.fidelity import Rule

_SSH = 22
_NETWORK = "VirtualNetwork"
_EVERYBODY = "*"

RULES = (
    Rule(
        "Azure",
        "default rule AllowVnetInBound",
        "Every network security group lets in `VirtualNetwork`: the network, networks peered with it, its gateways.",
        "Microsoft Learn, Network security groups, Default security rules",
        "documented",
    ),
    Rule(
        "Azure",
        "interface without a network security group",
        "Every port of an interface without a network security group is reachable from everywhere.",
        "true of Basic public addresses; a Standard one is closed without a group, which is the more favourable answer",
        "assumed",
    ),
)


def ssh_from(books: Books, machine: Resource) -> list[str]:
    """The sources that reach port 22, as Azure writes them: ranges, `VirtualNetwork`, `*`."""
    names: set[str] = set()
    for reference in interfaces(machine):
        nic = books.find(reference["id"])
        group = books.find(nic.properties.get("networkSecurityGroup", {}).get("id")) if nic is not None else None
        if group is None:
            names.add(_EVERYBODY)
            continue
        names.add(_NETWORK)
        names |= {str(rule["sourceAddressPrefix"]) for rule in _rules(group) if _lets_ssh_in(rule)}
    return sorted(names)


def _rules(group: Resource) -> list[Json]:
    return [rule["properties"] for rule in group.properties["securityRules"]]


def _lets_ssh_in(rule: Json) -> bool:
    ports = str(rule.get("destinationPortRange", ""))
    first, _, last = ports.partition("-")
    covers = ports == "*" or (first.isdigit() and int(first) <= _SSH <= int(last or first))
    return covers and (rule["direction"], rule["access"]) == ("Inbound", "Allow")
