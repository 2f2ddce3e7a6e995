"""What a machine's PUT makes, and which of it may differ when the same machine is asked for again."""

from typing import Any
from uuid import uuid4

from gpuctl_sandbox.azure import lives
from gpuctl_sandbox.azure.books import Group, Resource, rfc3339, same
from gpuctl_sandbox.azure.images import Image
from gpuctl_sandbox.azure.interfaces import Interfaces, attach
from gpuctl_sandbox.azure.links import DISK, MACHINE, NIC
from gpuctl_sandbox.azure.machine_rules import check_machine, check_price, check_zones, size_named
from gpuctl_sandbox.azure.security import has_secure_boot, security_of
from gpuctl_sandbox.azure.stock import Stock
from gpuctl_sandbox.azure.wire import Call, Json, Refusal
from gpuctl_sandbox.azure.world import World

# Fixed at birth: what these say is compared with what the machine was made with.
_FIXED = (
    "osProfile.computerName",
    "osProfile.adminUsername",
    "osProfile.customData",
    "osProfile.linuxConfiguration.disablePasswordAuthentication",
    "osProfile.linuxConfiguration.ssh",
    "osProfile.linuxConfiguration.ssh.publicKeys",
    "storageProfile.imageReference",
    "storageProfile.osDisk.name",
    "storageProfile.osDisk.createOption",
    "storageProfile.osDisk.managedDisk.storageAccountType",
    "networkProfile.networkInterfaceConfigurations",
    "priority",
    "evictionPolicy",
    "securityProfile.securityType",
)


class Launches:
    """Makes machines with their disks, interfaces and addresses."""

    def __init__(self, world: World, stock: Stock, interfaces: Interfaces) -> None:
        self._world = world
        self._stock = stock
        self._interfaces = interfaces

    def launch(self, call: Call, group: Group, region: str, tags: dict[str, str], body: Json) -> Resource:
        """The new machine, with what hangs on it; refused, it leaves nothing behind."""
        reply, name = body["properties"], call.names["name"]
        size = size_named(reply["hardwareProfile"]["vmSize"], region)
        self._stock.check(call.subscription, region, size, is_spot=reply.get("priority") in ("Spot", "Low"))
        check_zones(body.get("zones", []), size, region)
        image, version = check_machine(name, body, size, self._world.conditions)
        check_price(reply, size, float(self._world.conditions.spot_prices.get(size.name, 0)))
        inline = reply["networkProfile"].get("networkInterfaceConfigurations", [])
        for item in inline:
            self._interfaces.check_inline(item, region)
        self._stock.check_addresses(call.subscription, region, sum(map(_addresses, inline)))
        machine = Resource(group, MACHINE, name, region, self._world.now(), tags)
        named = [
            self._free(network_interface, machine)
            for network_interface in reply["networkProfile"].get("networkInterfaces", [])
        ]
        disk = self._os_disk(machine, reply["storageProfile"], image)
        machine.hidden |= {"request": reply, "generation": image.generation, "failure": None}
        if "zones" in body:
            machine.top["zones"] = body["zones"]
        machine.properties = self._properties(reply, image, version, disk)
        features = self._world.conditions.features
        profile = security_of(reply.get("securityProfile", {}), size, image, features, call.api_version)
        if profile:
            machine.properties["securityProfile"] = profile
        machine.hidden["gpu_works"] = image.shows(size.gpu, secure_boot=has_secure_boot(profile))
        machine.hidden["has_driver"] = bool(image.gpus)
        lives.born(machine, self._world.now())
        self._world.books.add(machine)
        self._world.books.add(disk)
        created = [self._interfaces.make_inline(group, region, machine.id, item) for item in inline]
        machine.properties["networkProfile"] = {
            "networkInterfaces": named + [_reference(nic, item) for nic, item in zip(created, inline, strict=True)]
        }
        return machine

    def check_repeat(self, machine: Resource, region: str, body: Json) -> None:
        """Refuse a PUT that would change what is fixed, and take over what may change."""
        if region != machine.location:
            raise Refusal(
                409,
                "InvalidResourceLocation",
                f"The resource '{machine.name}' already exists in location '{machine.location}' in resource group "
                f"'{machine.group.name}'. A resource with the same name cannot be created in location '{region}'.",
            )
        before = machine.hidden["request"]
        for place in _FIXED:
            reply = _at(body["properties"], place)
            if reply is not None and reply != _at(before, place):
                raise _fixed(place)
        self._resize(machine, body["properties"])

    def check_patch(self, machine: Resource, body: Json) -> None:
        """The same for a PATCH."""
        for place in _FIXED:
            if _at(body, place) is not None and _at(body, place) != _at(machine.hidden["request"], place):
                raise _fixed(place)
        self._resize(machine, body)

    def _resize(self, machine: Resource, body: Json) -> None:
        wanted = body.get("hardwareProfile", {}).get("vmSize")
        if wanted is not None and not same(wanted, machine.properties["hardwareProfile"]["vmSize"]):
            machine.properties["hardwareProfile"] = {"vmSize": size_named(wanted, machine.location).name}

    def _os_disk(self, machine: Resource, body: Json, image: Image) -> Resource:
        os_disk = body["osDisk"]
        name = os_disk.get("name") or f"{machine.name}_OsDisk_1_{uuid4().hex}"
        disk = Resource(machine.group, DISK, name, machine.location, self._world.now(), dict(machine.tags))
        if self._world.books.find(disk.id) is not None:
            raise Refusal(
                409,
                "ConflictingUserInput",
                f"Disk {name} already exists in resource group {machine.group.name.upper()}. Only CreateOption.Attach "
                f"is supported.",
                "osDisk.name",
            )
        kind = os_disk.get("managedDisk", {}).get("storageAccountType", "Standard_LRS")
        disk.top = {"sku": {"name": kind, "tier": kind.partition("_")[0]}, "managedBy": machine.id}
        disk.properties = {
            "osType": "Linux",
            "hyperVGeneration": image.generation,
            "creationData": {"createOption": "FromImage", "imageReference": {"id": _image_id(machine, image)}},
            "diskSizeGB": os_disk.get("diskSizeGB", image.size_gb),
            "diskState": "Attached",
            "encryption": {"type": "EncryptionAtRestWithPlatformKey"},
            "networkAccessPolicy": "AllowAll",
            "publicNetworkAccess": "Enabled",
            "timeCreated": rfc3339(self._world.now()),
            "provisioningState": "Succeeded",
            "uniqueId": str(uuid4()),
        }
        disk.hidden["is_unnamed"] = not os_disk.get("name")
        return disk

    def _properties(self, body: Json, image: Image, version: str, disk: Resource) -> Json:
        os_disk = body["storageProfile"]["osDisk"]
        system: Json = {
            name: value for name, value in body["osProfile"].items() if name not in ("customData", "adminPassword")
        }
        system.setdefault("requireGuestProvisionSignal", True)
        system["secrets"] = []
        # An OS disk that nobody named shows its group in capitals here, as on Azure.
        disk_id = disk.id.replace(disk.group.name, disk.group.name.upper()) if disk.hidden["is_unnamed"] else disk.id
        properties: Json = {
            "vmId": str(uuid4()),
            "hardwareProfile": {"vmSize": size_named(body["hardwareProfile"]["vmSize"], "").name},
            "storageProfile": {
                "imageReference": {**body["storageProfile"]["imageReference"], "exactVersion": version},
                "osDisk": {
                    "osType": "Linux",
                    "name": disk.name,
                    "createOption": "FromImage",
                    "caching": os_disk.get("caching", "ReadWrite"),
                    "managedDisk": {"storageAccountType": disk.top["sku"]["name"], "id": disk_id},
                    "deleteOption": os_disk.get("deleteOption", "Detach"),
                    "diskSizeGB": disk.properties["diskSizeGB"],
                },
                "dataDisks": [],
            },
            "osProfile": system,
            "networkProfile": {"networkInterfaces": []},
            "provisioningState": "Creating",
            "timeCreated": rfc3339(self._world.now()),
        }
        for name in (
            "priority",
            "evictionPolicy",
            "billingProfile",
        ):
            if name in body:
                properties[name] = body[name]
        if body.get("priority") == "Spot":
            properties.setdefault("evictionPolicy", "Deallocate")
            properties.setdefault("billingProfile", {"maxPrice": -1.0})
        return properties

    def _free(self, reference: Json, machine: Resource) -> Json:
        nic = self._world.books.find(reference["id"])
        if nic is None or nic.type != NIC:
            raise Refusal(404, "NotFound", f"Resource {reference['id']} not found.", "networkProfile")
        holder = nic.properties.get("virtualMachine")
        if holder is not None and not same(holder["id"], machine.id):
            raise Refusal(
                400,
                "NicInUse",
                f"Network Interface {nic.id} is used by existing resource {holder['id']}. In order to delete the "
                f"network interface, it must be dissociated from the resource. To learn more, see aka.ms/deletenic.",
            )
        attach(nic, machine.id, is_primary=reference.get("properties", {}).get("primary", True))
        return {
            "id": nic.id,
            "properties": {"deleteOption": "Detach", "primary": True} | reference.get("properties", {}),
        }


def _addresses(parameters: Json) -> int:
    return sum(
        "publicIPAddressConfiguration" in ip_configuration["properties"]
        for ip_configuration in parameters["properties"]["ipConfigurations"]
    )


def _reference(nic: Resource, parameters: Json) -> Json:
    body = parameters["properties"]
    return {
        "id": nic.id,
        "properties": {"primary": body.get("primary", True), "deleteOption": body.get("deleteOption", "Detach")},
    }


def _image_id(machine: Resource, image: Image) -> str:
    if image.id:
        return f"{image.id}/versions/{image.versions[-1]}"
    return (
        f"/Subscriptions/{machine.group.subscription}/Providers/Microsoft.Compute/Locations/{machine.location}/Publishers/"
        f"{image.publisher}/ArtifactTypes/VMImage/Offers/{image.offer}/Skus/{image.sku}/Versions/{image.versions[-1]}"
    )


def _at(body: Any, place: str) -> Any:
    for name in place.split("."):
        body = body.get(name) if isinstance(body, dict) else None
    return body


def _fixed(place: str) -> Refusal:
    return Refusal(409, "PropertyChangeNotAllowed", f"Changing property '{place}' is not allowed.", place)
