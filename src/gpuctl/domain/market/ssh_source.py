"""From where an instance lets ssh in: an address range, or nobody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from gpuctl.domain.duration import as_typed
from gpuctl.domain.instance import SSH_ALSO_FROM
from gpuctl.errors import UsageError

AUTO, NONE = "auto", "none"
EVERYWHERE = ("0.0.0.0/0", "::/0")
HINT = "add `--ssh-from 203.0.113.7/32`, or `--ssh-from none`"

# Wider than any one network of a person's own.
_WIDE = {4: 8, 6: 16}


@dataclass(frozen=True, slots=True)
class SshSource:
    """The allowed SSH source: `auto`, `none` or a CIDR range; `is_demanded`: failing to open it is an error."""

    text: str = AUTO
    is_demanded: bool = False


def source(text: str, *, option: str) -> str:
    """`auto`, `none`, or the range in its one spelling; a single address is a range of one. UsageError else.

    An IPv4 address written as IPv6 is refused: it would be a rule that lets nobody in, or everybody.
    """
    text = text.strip(" ")
    if text.lower() in (AUTO, NONE):
        return text.lower()
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise UsageError(
            f"{option} must be auto, none or a range of addresses, not {as_typed(text)}", hint=HINT
        ) from None
    if isinstance(network, IPv6Network) and (network.network_address.ipv4_mapped or "%" in text):
        raise UsageError(f"{option} must be a plain range of addresses, not {as_typed(text)}", hint=HINT)
    return str(network)


def with_sources(metadata: Mapping[str, str], sources: Sequence[str]) -> dict[str, str]:
    """The metadata of a record with the sources from which the network itself lets ssh in, none included."""
    rest = {key: value for key, value in metadata.items() if key != SSH_ALSO_FROM}
    return rest | ({SSH_ALSO_FROM: "; ".join(sources)} if sources else {})


def is_wide(cidr: str) -> bool:
    """Whether it lets in more than any one network: worth a warning."""
    network = ip_network(cidr)
    return network.prefixlen < _WIDE[network.version]


def is_ipv6(cidr: str) -> bool:
    """Whether the range is one of IPv6."""
    return isinstance(ip_network(cidr), IPv6Network)


def own_range(text: str) -> str | None:
    """The range of one that a caller's public IPv4 address makes, as a service told it; None for any other answer.

    Nothing but one global address is taken: not 0.0.0.0, no private or reserved one, no IPv6 (which changes with every
    network and hides others behind it), no page of a captive portal.
    """
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    if address.version != 4 or not address.is_global or address.is_multicast:
        return None
    return str(IPv4Network(int(address)))
