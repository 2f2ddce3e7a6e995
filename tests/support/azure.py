"""The Azure side of the loopback sandbox, through Microsoft's own clients and behind their backs."""

from typing import Any

from azure.core.credentials import AccessToken
from azure.core.pipeline.policies import SansIOHTTPPolicy
from support.clouds import LoopbackAws
from support.loopback import LoopbackCloud

from gpuctl_sandbox.azure.places import SUBSCRIPTION

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ1aWx0IGZvciB0ZXN0cywgb3BlbnMgbm90aGluZyE= loopback"
GEN1 = "Canonical:0001-com-ubuntu-server-jammy:22_04-lts:latest"
GEN2 = "microsoft-dsvm:ubuntu-hpc:2204:latest"


class _Token(SansIOHTTPPolicy[Any, Any]):
    """Puts a token on the wire where the SDK's own policy would refuse to, over plain http."""

    def on_request(self, request: Any) -> None:
        request.http_request.headers["Authorization"] = "Bearer sandbox"


class _Credential:
    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken("sandbox", 4_000_000_000)


class LoopbackAzure(LoopbackCloud):
    """Azure Resource Manager."""

    name = "azure"
    subscription = SUBSCRIPTION

    def __init__(self, cloud: LoopbackAws) -> None:
        super().__init__(cloud)
        self._clients: dict[str, Any] = {}
        self.register()

    def register(self) -> None:
        """Register the subscription for all that gpuctl needs, as most are that anybody works with."""
        self.set(registered=["Microsoft.Compute", "Microsoft.Network", "Microsoft.DevTestLab"])

    @property
    def compute(self) -> Any:
        from azure.mgmt.compute import ComputeManagementClient

        return self._client("compute", ComputeManagementClient)

    @property
    def network(self) -> Any:
        from azure.mgmt.network import NetworkManagementClient

        return self._client("network", NetworkManagementClient)

    @property
    def groups(self) -> Any:
        return self.resource_client.resource_groups

    @property
    def resource_client(self) -> Any:
        from azure.mgmt.resource.resources import ResourceManagementClient

        return self._client("resources", ResourceManagementClient)

    def resources(self, kind: str = "") -> list[dict[str, Any]]:
        """Everything that exists, groups included, whose type ends so: id, type, location, tags, state, bills."""
        results = self._cloud.ask("GET", "/gpuctl-sandbox/azure/resources")
        return [item for item in results if item["type"].lower().endswith(kind.lower())]

    def calls(self) -> list[dict[str, str]]:
        """The ARM calls served since the last reset, oldest first: method, type, action, region, path."""
        return [call for call in self._cloud.calls() if call["service"] == "azure"]

    def client_of(self, url: str) -> Any:
        """A compute client of another server on loopback, for the subscription of Microsoft's recordings."""
        from azure.mgmt.compute import ComputeManagementClient

        nobody = "00000000-0000-0000-0000-000000000000"
        return ComputeManagementClient(_Credential(), nobody, **_settings(url))

    def group(self, name: str = "theirs", region: str = "eastus", tags: dict[str, str] | None = None) -> str:
        """Make a resource group past gpuctl, and return its id."""
        created = self.groups.create_or_update(name, {"location": region, "tags": tags or {}})
        return str(created.id)

    def disk(self, name: str, group: str = "theirs", tags: dict[str, str] | None = None) -> str:
        """Make an empty disk past gpuctl in a group that exists, and return its id."""
        region = self.groups.get(group).location
        properties = {"diskSizeGB": 32, "creationData": {"createOption": "Empty"}}
        body = {"location": region, "tags": tags or {}, "properties": properties}
        path = f"/subscriptions/{self.subscription}/resourceGroups/{group}/providers/Microsoft.Compute/disks/{name}"
        return str(self.raw("PUT", f"{path}?api-version=2024-03-02", body)[2]["id"])

    def launch(
        self,
        name: str = "vm",
        group: str = "theirs",
        region: str = "eastus",
        tags: dict[str, str] | None = None,
        **changes: Any,
    ) -> str:
        """Start an instance past gpuctl, group, network and all, as another tool would, and return its id."""
        self.group(group, region, tags)
        self.vnet(group, region)
        requested = machine(region, subnet=self.subnet_id(group), tags=tags, name=name, **changes)
        return str(self.compute.virtual_machines.begin_create_or_update(group, name, requested).result()["id"])

    def vnet(self, group: str, region: str = "eastus") -> None:
        """A network with one subnet, in a group that exists."""
        message = {
            "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
            "subnets": [{"name": "default", "properties": {"addressPrefix": "10.0.0.0/24"}}],
        }
        body = {"location": region, "properties": message}
        self.network.virtual_networks.begin_create_or_update(group, "net", body).result()

    def subnet_id(self, group: str) -> str:
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{group}/providers/Microsoft.Network"
            f"/virtualNetworks/net/subnets/default"
        )

    def raw(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], Any]:
        """One plain call: status, headers (names in lower case) and JSON (None if there is none)."""
        return self.request(method, path, body)

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def _client(self, name: str, kind: Any) -> Any:
        if name not in self._clients:
            self._clients[name] = kind(_Credential(), self.subscription, **_settings(self.url))
        return self._clients[name]


def _settings(url: str) -> dict[str, Any]:
    return {
        "base_url": url,
        "authentication_policy": _Token(),
        "credential_scopes": ["https://management.azure.com/.default"],
        "polling_interval": 0.01,
        "retry_total": 0,
    }


def machine(
    region: str,
    *,
    subnet: str,
    name: str = "vm",
    size: str = "Standard_NC4as_T4_v3",
    image: str = GEN2,
    tags: dict[str, str] | None = None,
    disk_gb: int | None = 100,
    storage: str = "StandardSSD_LRS",
    delete: str | None = "Delete",
    **properties: Any,
) -> dict[str, Any]:
    """The body of an instance's PUT, whose parts go with it (or as `delete` says); `properties` come on top."""
    publisher, offer, sku, version = image.split(":")
    goes = {} if delete is None else {"deleteOption": delete}
    size_gb = {} if disk_gb is None else {"diskSizeGB": disk_gb}
    address = {
        "name": f"{name}-ip",
        "sku": {"name": "Standard"},
        "properties": {"publicIPAllocationMethod": "Static", **goes},
    }
    interface = {
        "name": f"{name}-nic",
        "properties": {
            "primary": True,
            **goes,
            "ipConfigurations": [
                {"name": "ip", "properties": {"subnet": {"id": subnet}, "publicIPAddressConfiguration": address}}
            ],
        },
    }
    body = {
        "hardwareProfile": {"vmSize": size},
        "storageProfile": {
            "imageReference": {"publisher": publisher, "offer": offer, "sku": sku, "version": version},
            "osDisk": {
                "createOption": "FromImage",
                "managedDisk": {"storageAccountType": storage},
                **size_gb,
                **goes,
            },
        },
        "osProfile": {
            "computerName": name,
            "adminUsername": "gpu",
            "linuxConfiguration": {
                "disablePasswordAuthentication": True,
                "ssh": {"publicKeys": [{"path": "/home/gpu/.ssh/authorized_keys", "keyData": KEY}]},
            },
        },
        "networkProfile": {"networkApiVersion": "2022-11-01", "networkInterfaceConfigurations": [interface]},
    }
    return {"location": region, "tags": tags or {}, "properties": {**body, **properties}}
