"""Firewall rules that open port 22 to one address range, and one that closes it to everybody else.

Both reach only instances with their own network tag. Google has no groups of rules and no labels on them: the name and
the description say whose a rule is. The ordinary network `default` lets everybody in to port 22; that rule is not ours
to touch, so that instances of gpuctl are closed by a rule of a higher priority.
"""

import hashlib
from collections.abc import Collection, Mapping
from datetime import timedelta
from ipaddress import IPv4Network, ip_network
from typing import Any

from gpuctl.domain.tags import STATE
from gpuctl.errors import CloudError
from gpuctl.providers.base import Order
from gpuctl.providers.gcp.client import Api, Json, last_part, region_of
from gpuctl.providers.gcp.create import NETWORK, subnet_path
from gpuctl.providers.gcp.errors import is_absent
from gpuctl.providers.gcp.failures import ApiError
from gpuctl.providers.gcp.operations import finished

# A lower number comes first; rules of a network's own have 65534 or, where nobody chose, 1000.
OPEN, CLOSED = 800, 900
_WITHIN = timedelta(seconds=60)
_SSH = 22
_INTERNET = ("0.0.0.0/0", "::/0")
_PREFIX = "gpuctl-"
_PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))


class Ingress:
    """Finds, creates and deletes these rules. A rule costs nothing; only rules that say they are ours are touched."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._made: set[str] = set()

    def tags_for(self, order: Order) -> list[str]:
        """The network tags of the order's instance, after the rules behind them were created where they are missing.

        Empty where port 22 is open to nobody anyway. Raises what a call raises, OperationFailed and TimeoutError.
        """
        network = self._network(order.subnet, order.region)
        closed = _name(order.state_id, order.region, network, "closed")
        rules = self._rules_of(network)
        tags = []
        if any(_is_open_to_internet(rule) for rule in rules if not _is_ours(rule)):
            internet = {"denied": _ssh(), "sourceRanges": [_INTERNET[0]], "priority": CLOSED}
            self._create(rules, closed, order, network, "from nobody else", internet)
            tags.append(closed)
        if order.ssh_from is not None:
            opened = _name(order.state_id, order.region, network, order.ssh_from)
            narrow = {"allowed": _ssh(), "sourceRanges": [order.ssh_from], "priority": OPEN}
            self._create(rules, opened, order, network, f"from {order.ssh_from}", narrow)
            tags.append(opened)
        return tags

    def other_sources(self, region: str, subnet: str | None) -> list[str]:
        """What reaches port 22 of an instance there whatever rules gpuctl creates; in words."""
        rules = self._rules_of(self._network(subnet, region))
        return [
            f"{source} (firewall rule `{rule['name']}`)"
            for rule in rules
            if not _is_ours(rule) and _is_open_to_internet(rule) and int(rule.get("priority", 1000)) < CLOSED
            for source in _public(rule)
        ]

    def close(self, region: str, state_id: str, needed: Collection[str]) -> bool:
        """Delete the state's rules of that region, except those for the ranges `needed`.

        Returns False while an instance uses one of them: Google would delete it all the same. Twice is the same.
        """
        prefix = f"gpuctl state {state_id}, {region}:"
        rules = [rule for rule in self._rules() if _is_ours(rule) and str(rule["description"]).startswith(prefix)]
        remaining = {
            str(rule["name"])
            for rule in rules
            if ("denied" in rule and needed) or set(rule.get("sourceRanges") or ()) & set(needed)
        }
        unneeded = [str(rule["name"]) for rule in rules if rule["name"] not in remaining]
        in_use = self._in_use(region, state_id) if unneeded else frozenset()
        for name in unneeded:
            if name not in in_use:
                self._delete(name)
        return not in_use.intersection(unneeded)

    def _create(
        self, rules: list[Json], name: str, order: Order, network: str, words: str, body: Mapping[str, Any]
    ) -> None:
        present = next((rule for rule in rules if rule["name"] == name), None)
        if present is not None:
            if not _is_unchanged(present, body):
                raise CloudError(
                    f"others changed the firewall rule `{name}` of gpuctl",
                    hint=f"gcloud compute firewall-rules delete {name}",
                )
            return
        if name in self._made:
            return
        whole = {
            "name": name,
            "description": f"gpuctl state {order.state_id}, {order.region}: ssh {words}",
            "network": network,
            "direction": "INGRESS",
            "targetTags": [name],
            **body,
        }
        try:
            finished(self._api, self._api.post("global/firewalls", whole), "global", _WITHIN)
        except ApiError as error:
            # Another process made it just now, whose name says that it is the same rule; or the endpoint has no rules.
            if error.reason != "alreadyExists" and not error.is_unsupported:
                raise
        self._made.add(name)

    def _delete(self, name: str) -> None:
        self._made.discard(name)
        try:
            self._api.delete(f"global/firewalls/{name}")
        except ApiError as error:
            if not is_absent(error):
                raise

    def _in_use(self, region: str, state_id: str) -> frozenset[str]:
        matching = self._api.aggregated("instances", filter=f"labels.{STATE}={state_id}")
        here = (instance for zone, instance in matching if region_of(zone) == region)
        return frozenset(str(tag) for instance in here for tag in (instance.get("tags") or {}).get("items") or ())

    def _network(self, subnet: str | None, region: str) -> str:
        """The network as a rule names it."""
        if subnet is None:
            return NETWORK
        path = subnet_path(subnet, region)
        reply = self._api.get(path)
        return str(reply["network"]).partition("/compute/v1/")[2] or NETWORK

    def _rules_of(self, network: str) -> list[Json]:
        return [rule for rule in self._rules() if last_part(rule.get("network")) == last_part(network)]

    def _rules(self) -> list[Json]:
        try:
            return [rule for page in self._api.pages("global/firewalls") for rule in page.get("items") or ()]
        except ApiError as error:
            if is_absent(error) or error.is_unsupported:
                return []
            raise


def _name(state_id: str, region: str, network: str, what: str) -> str:
    digest = hashlib.sha256(f"{state_id}\n{region}\n{last_part(network)}\n{what}".encode()).hexdigest()
    return f"{_PREFIX}ssh-{digest[:20]}"


def _ssh() -> list[Json]:
    return [{"IPProtocol": "tcp", "ports": [str(_SSH)]}]


def _is_ours(rule: Mapping[str, Any]) -> bool:
    named = str(rule.get("name")).startswith(f"{_PREFIX}ssh-")
    return named and str(rule.get("description", "")).startswith("gpuctl state ")


def _is_unchanged(rule: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    same = all(_plain(rule.get(key)) == _plain(value) for key, value in body.items())
    return same and rule.get("targetTags") == [rule["name"]] and not rule.get("disabled")


def _plain(value: Any) -> Any:
    return sorted(map(str, value)) if isinstance(value, list) else value


def _is_open_to_internet(rule: Mapping[str, Any]) -> bool:
    """Whether it opens port 22 of every instance of its network to an address outside private ranges."""
    if rule.get("direction", "INGRESS") != "INGRESS" or rule.get("disabled"):
        return False
    if rule.get("targetTags") or rule.get("targetServiceAccounts") or not rule.get("allowed"):
        return False
    return bool(_public(rule)) and any(_includes_ssh(item) for item in rule["allowed"])


def _public(rule: Mapping[str, Any]) -> list[str]:
    """The source ranges of a rule that are not inside a private network."""
    return [str(source) for source in rule.get("sourceRanges") or () if not _is_private(str(source))]


def _is_private(source: str) -> bool:
    network = ip_network(source, strict=False)
    return isinstance(network, IPv4Network) and any(network.subnet_of(private) for private in _PRIVATE)


def _includes_ssh(item: Mapping[str, Any]) -> bool:
    if str(item.get("IPProtocol")).lower() not in ("tcp", "6", "all"):
        return False
    return any(_includes_port(str(text)) for text in item.get("ports") or ("0-65535",))


def _includes_port(ports: str) -> bool:
    first, _, upper = ports.partition("-")
    return first.isdigit() and int(first) <= _SSH <= int(upper or first)
