"""The Google side of the loopback sandbox: plain calls of its API, and what is known behind it."""

from typing import Any
from urllib.parse import quote, urlencode

from support.loopback import LoopbackCloud

from gpuctl_sandbox.gcp.places import PROJECT

IMAGE = "projects/ubuntu-os-accelerator-images/global/images/family/ubuntu-accelerator-2204-amd64-with-nvidia-580"
ZONE = "us-central1-a"


class Refused(Exception):
    """An answer of status 400 or more, as Google writes it."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(f"{status} {error}")
        self.status = status
        self.reason = str(error["errors"][0]["reason"])
        self.message = str(error["message"])


class LoopbackGoogle(LoopbackCloud):
    """Compute Engine."""

    name = "gcp"
    project = PROJECT

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """One call below `projects/P/`: its JSON. Raises Refused for an error."""
        target = f"/compute/v1/projects/{PROJECT}/{path}".rstrip("/") + (f"?{urlencode(query)}" if query else "")
        status, reply = self.raw(method, target, body)
        if status >= 400:
            raise Refused(status, reply["error"])
        return reply

    def raw(self, method: str, target: str, body: Any = None) -> tuple[int, Any]:
        """One plain request: status and JSON."""
        status, _, reply = self.request(method, target, body)
        return status, reply

    def insert(self, name: str = "vm", zone: str = ZONE, request_id: str | None = None, **changes: Any) -> Any:
        """The operation that an insert of `instance(...)` begins."""
        query = {"requestId": request_id} if request_id is not None else {}
        return self.call("POST", f"zones/{zone}/instances", instance(name, zone, **changes), **query)

    def launch(self, name: str = "vm", zone: str = ZONE, **changes: Any) -> str:
        """Start an instance past gpuctl, as another tool would, and return `zone/name`."""
        self.done(self.insert(name, zone, **changes))
        return f"{zone}/{name}"

    def done(self, operation: Any) -> Any:
        """The operation as it stands now; a zone's or a global one."""
        scope = "zones/" + operation["zone"].rpartition("/")[2] if "zone" in operation else "global"
        return self.call("GET", f"{scope}/operations/{operation['name']}")

    def get(self, instance_id: str) -> Any:
        """The instance `zone/name` as the API shows it."""
        zone, _, name = instance_id.partition("/")
        return self.call("GET", f"zones/{zone}/instances/{name}")

    def resources(self, kind: str = "") -> list[dict[str, Any]]:
        """Every instance, disk and firewall rule of that type: id, type, tags, state, bills."""
        results = self._cloud.ask("GET", "/gpuctl-sandbox/gcp/resources")
        return [item for item in results if item["type"] == (kind or item["type"])]

    def calls(self, action: str = "") -> list[dict[str, str]]:
        """The calls of that method served since the last reset, oldest first: action, method, region, path."""
        return [
            call
            for call in self._cloud.calls()
            if call["service"] == "gcp" and call["action"] == (action or call["action"])
        ]

    def fail_host(self, instance_id: str) -> None:
        """Let the host of an instance fail."""
        self._cloud.ask("POST", f"/gpuctl-sandbox/gcp/host-error?id={quote(instance_id)}")


def instance(
    name: str = "vm",
    zone: str = ZONE,
    *,
    kind: str = "g2-standard-4",
    gpus: str | None = None,
    image: str = IMAGE,
    disk_gb: int = 100,
    disk: str = "pd-balanced",
    auto_delete: bool = True,
    labels: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    tags: list[str] | None = None,
    has_address: bool = True,
    scheduling: dict[str, Any] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """The body of an insert; `gpus` is `2xnvidia-tesla-t4`, `fields` come on top."""
    interface: dict[str, Any] = {"network": "global/networks/default"}
    if has_address:
        interface["accessConfigs"] = [{"type": "ONE_TO_ONE_NAT", "name": "External NAT"}]
    values = {"sourceImage": image, "diskSizeGb": str(disk_gb), "diskType": f"zones/{zone}/diskTypes/{disk}"}
    body: dict[str, Any] = {
        "name": name,
        "machineType": f"zones/{zone}/machineTypes/{kind}",
        "disks": [{"boot": True, "autoDelete": auto_delete, "initializeParams": values}],
        "networkInterfaces": [interface],
        "labels": labels or {},
        "scheduling": {"onHostMaintenance": "TERMINATE", "automaticRestart": False} | (scheduling or {}),
        "metadata": {"items": [{"key": key, "value": value} for key, value in (metadata or {}).items()]},
        "tags": {"items": tags or []},
    }
    if gpus is not None:
        count, _, model = gpus.partition("x")
        kind = f"projects/{PROJECT}/zones/{zone}/acceleratorTypes/{model}"
        body["guestAccelerators"] = [{"acceleratorType": kind, "acceleratorCount": int(count)}]
    return body | fields
