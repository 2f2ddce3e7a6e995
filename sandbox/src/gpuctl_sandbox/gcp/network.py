"""Networks, their firewall rules, and from where port 22 of an instance can be reached."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from gpuctl_sandbox.gcp.operations import Operation, Target
from gpuctl_sandbox.gcp.places import PROJECT, REGIONS
from gpuctl_sandbox.gcp.rules import check_name
from gpuctl_sandbox.gcp.wire import Call, Json, Refusal, invalid, last, link, not_found, rfc3339
from gpuctl_sandbox.gcp.world import Instance, World

_INTERNAL = "10.128.0.0/9"
_SSH = 22
_ORDINARY = 65534


class Network:
    """The calls about networks and firewall rules."""

    def __init__(self, world: World) -> None:
        self._world = world

    def subnet(self, call: Call) -> Json:
        region, name = call.names["region"], call.names["subnetwork"]
        if region not in REGIONS:
            raise invalid("region", region, "Unknown region.")
        if name != "default":
            raise not_found(f"projects/{call.project}/regions/{region}/subnetworks/{name}")
        number = list(REGIONS).index(region)
        return {
            "kind": "compute#subnetwork",
            "id": str(9_000 + number),
            "creationTimestamp": "2025-02-01T01:02:03.004-08:00",
            "name": "default",
            "network": link(f"projects/{PROJECT}/global/networks/default"),
            "ipCidrRange": f"10.{128 + number}.0.0/20",
            "gatewayAddress": f"10.{128 + number}.0.1",
            "region": link(f"projects/{PROJECT}/regions/{region}"),
            "selfLink": link(f"projects/{PROJECT}/regions/{region}/subnetworks/default"),
            "privateIpGoogleAccess": False,
            "purpose": "PRIVATE",
            "stackType": "IPV4_ONLY",
            "fingerprint": "3ba6uRW6NPQ=",
        }

    def interface(self, requested: list[Json], zone: str) -> tuple[str, bool]:
        """The network of an insert's one interface and whether it has a public address. Refused where it has none."""
        if not requested:
            raise invalid("resource.networkInterfaces", "", "At least one network interface is required.")
        interface = requested[0]
        network = last(interface.get("network", "default"))
        subnet = interface.get("subnetwork")
        if subnet is not None and last(subnet) != "default":
            raise invalid(
                "resource.networkInterfaces[0].subnetwork",
                subnet,
                "The referenced subnetwork resource cannot be found.",
            )
        if network != "default" or not self._world.conditions.default_network:
            raise invalid(
                "resource.networkInterfaces[0].network",
                interface.get("network", ""),
                "The referenced network resource cannot be found.",
            )
        configs = interface.get("accessConfigs", [])
        if len(configs) > 1 or any(config.get("type", "ONE_TO_ONE_NAT") != "ONE_TO_ONE_NAT" for config in configs):
            raise invalid("resource.networkInterfaces[0].accessConfigs", len(configs), "At most one is supported.")
        return network, bool(configs)

    def rules(self, call: Call) -> list[Json]:
        return self._rules()

    def rule(self, call: Call) -> Json:
        for rule in self._rules():
            if rule["name"] == call.names["firewall"]:
                return rule
        raise not_found(f"projects/{call.project}/global/firewalls/{call.names['firewall']}")

    def insert_rule(self, call: Call, body: Json) -> Operation:
        """Make a rule. It holds when its operation is done."""
        name = check_name(body["name"])
        path = f"projects/{PROJECT}/global/firewalls/{name}"
        if any(rule["name"] == name for rule in self._rules()):
            raise Refusal(409, "alreadyExists", f"The resource '{path}' already exists")
        if bool(body.get("allowed")) == bool(body.get("denied")):
            raise Refusal(400, "invalid", "Exactly one of allowed and denied must be specified.")
        for item in (*body.get("sourceRanges", ()),):
            _network(item)
        if not 0 <= body.get("priority", 1000) <= 65535:
            raise invalid("resource.priority", body["priority"], "Must be between 0 and 65535.")
        for tag in body.get("targetTags", []):
            check_name(tag, "resource.targetTags")
        rule: Json = {
            "kind": "compute#firewall",
            "id": self._world.number(),
            "creationTimestamp": rfc3339(self._world.now()),
            "network": link(f"projects/{PROJECT}/global/networks/default"),
            "priority": 1000,
            "direction": "INGRESS",
            "disabled": False,
            "logConfig": {"enable": False},
            "selfLink": link(path),
        } | body
        if "sourceRanges" not in rule and "sourceTags" not in rule:
            rule["sourceRanges"] = ["0.0.0.0/0"]
        rule["network"] = link(f"projects/{PROJECT}/global/networks/{last(rule['network'])}")
        self._world.firewalls[name] = rule
        return self._world.begin(call, "global", "insert", Target(str(rule["id"]), path), lambda: None)

    def delete_rule(self, call: Call) -> Operation:
        """Delete a rule; nothing refuses that while instances use it."""
        rule = self.rule(call)
        self._world.firewalls.pop(rule["name"], None)
        path = f"projects/{PROJECT}/global/firewalls/{rule['name']}"
        return self._world.begin(call, "global", "delete", Target(str(rule["id"]), path), lambda: None)

    def ssh_from(self, instance: Instance) -> list[str]:
        """The ranges outside the network from which port 22 of that instance is reached, by priority of the rules."""
        if instance.public_ip is None:
            return []
        allowed: list[Any] = []
        denied: list[Any] = []
        # A denial comes before a permission of the same priority.
        for rule in sorted(self._rules(), key=lambda rule: (rule["priority"], "allowed" in rule)):
            if not _applies(rule, instance) or rule.get("disabled"):
                continue
            ranges = [_network(text) for text in rule.get("sourceRanges", ())]
            if "denied" in rule:
                denied += ranges
                continue
            allowed += [wanted for wanted in ranges if not any(_covers(closed, wanted) for closed in denied)]
        inside = ip_network(_INTERNAL)
        return sorted({str(item) for item in allowed if not _covers(inside, item)})

    def _rules(self) -> list[Json]:
        ordinary = []
        if self._world.conditions.default_network:
            ordinary.append(
                _ordinary("default-allow-internal", _INTERNAL, [{"IPProtocol": "tcp", "ports": ["0-65535"]}])
            )
            ordinary.append(_ordinary("default-allow-icmp", "0.0.0.0/0", [{"IPProtocol": "icmp"}]))
            if self._world.conditions.allows_ssh:
                ordinary.append(_ordinary("default-allow-ssh", "0.0.0.0/0", [{"IPProtocol": "tcp", "ports": ["22"]}]))
        return [*ordinary, *self._world.firewalls.values()]


def _ordinary(name: str, source: str, allowed: list[Json]) -> Json:
    return {
        "kind": "compute#firewall",
        "id": str(8_000_000 + sum(map(ord, name))),
        "creationTimestamp": "2025-02-01T01:02:03.004-08:00",
        "name": name,
        "description": name.replace("-", " "),
        "network": link(f"projects/{PROJECT}/global/networks/default"),
        "priority": _ORDINARY,
        "sourceRanges": [source],
        "allowed": allowed,
        "direction": "INGRESS",
        "disabled": False,
        "logConfig": {"enable": False},
        "selfLink": link(f"projects/{PROJECT}/global/firewalls/{name}"),
    }


def _applies(rule: Json, instance: Instance) -> bool:
    targets = rule.get("targetTags")
    if rule["direction"] != "INGRESS" or (targets is not None and not set(targets) & set(instance.tags)):
        return False
    return any(_meets_ssh(item) for item in (*rule.get("allowed", ()), *rule.get("denied", ())))


def _meets_ssh(item: Json) -> bool:
    protocol, ports = str(item["IPProtocol"]).lower(), item.get("ports")
    if protocol not in ("tcp", "6", "all"):
        return False
    for text in ports or ["0-65535"]:
        first, _, last_port = str(text).partition("-")
        if int(first) <= _SSH <= int(last_port or first):
            return True
    return False


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise invalid("resource.sourceRanges", text, "Must be a valid CIDR range.") from error


def _covers(outer: Any, inner: Any) -> bool:
    return bool(outer.version == inner.version and inner.subnet_of(outer))
