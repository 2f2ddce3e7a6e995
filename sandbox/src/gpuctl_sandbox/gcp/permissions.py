"""Which permissions of IAM each call needs, as Google's reference of each method lists them."""

from collections.abc import Iterator

from gpuctl_sandbox.gcp.wire import Call, Json

# The method's own permission where it is not simply `compute.RESOURCE.METHOD`.
_NAMES = {
    "instances.insert": "compute.instances.create",
    "instances.aggregatedList": "compute.instances.list",
    "disks.aggregatedList": "compute.disks.list",
    "machineTypes.aggregatedList": "compute.machineTypes.list",
    "acceleratorTypes.aggregatedList": "compute.acceleratorTypes.list",
    "images.getFromFamily": "compute.images.getFromFamily",
    "firewalls.insert": "compute.firewalls.create",
    "projects.get": "compute.projects.get",
}
# Anybody may call these.
_FREE = {"instances.testIamPermissions"}
# Public images and their families may be read by everybody.
_PUBLIC = ("images.get", "images.getFromFamily")


def needed(call: Call, body: Json | None, own_project: bool) -> Iterator[str]:
    """The permissions that the call needs, in the order in which they are checked."""
    if call.method in _FREE or (call.method in _PUBLIC and not own_project):
        return
    yield _NAMES.get(call.method, f"compute.{call.method}")
    if call.method == "instances.insert" and body is not None:
        yield from _of_insert(body)
    if call.method in ("firewalls.insert", "firewalls.delete"):
        yield "compute.networks.updatePolicy"


def _of_insert(body: Json) -> Iterator[str]:
    yield "compute.disks.create"
    if body.get("labels"):
        yield "compute.instances.setLabels"
    if body.get("metadata", {}).get("items"):
        yield "compute.instances.setMetadata"
    if body.get("tags", {}).get("items"):
        yield "compute.instances.setTags"
    for disk in body.get("disks", ()):
        if disk.get("initializeParams", {}).get("labels"):
            yield "compute.disks.setLabels"
    for interface in body.get("networkInterfaces", ()):
        yield "compute.subnetworks.use"
        if interface.get("accessConfigs"):
            yield "compute.subnetworks.useExternalIp"
    if body.get("serviceAccounts"):
        yield "iam.serviceAccounts.actAs"
