"""Where an instance can be reached; asked of ARM plainly, because the network's client is slow to load."""

from collections.abc import Mapping
from typing import Any

from gpuctl.providers.azure.client import AzureClients
from gpuctl.providers.azure.errors import unless_absent

_API = "2022-11-01"


def addresses_of(clients: AzureClients, machine: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of an `Observed` that say where that instance is reached; raises what the SDK raises."""
    interfaces = machine["properties"].get("networkProfile", {}).get("networkInterfaces", ())
    interface = read_network(clients, interfaces[0]["id"]) if interfaces else None
    configured = (interface or {}).get("properties", {}).get("ipConfigurations", ())
    inner = configured[0]["properties"] if configured else {}
    public = inner.get("publicIPAddress", {}).get("id")
    address = read_network(clients, public) if public else None
    ip_address = (address or {}).get("properties", {}).get("ipAddress")
    return {
        "public_ip": ip_address or None,
        "private_ip": inner.get("privateIPAddress") or None,
        "reports_addresses": True,
    }


def read_network(clients: AzureClients, resource_id: str) -> Mapping[str, Any] | None:
    """The network resource of that id; None where it is absent. Raises what the SDK raises."""
    return unless_absent(lambda: clients.ask("GET", resource_id, _API).json())
