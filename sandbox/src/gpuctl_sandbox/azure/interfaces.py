"""Interfaces and public addresses, which a machine's call describes inline."""

from uuid import uuid4

from gpuctl_sandbox.azure.addresses import private_address
from gpuctl_sandbox.azure.books import Group, Resource, etag, same
from gpuctl_sandbox.azure.links import ADDRESS, NIC, VNET
from gpuctl_sandbox.azure.wire import Json, Refusal
from gpuctl_sandbox.azure.world import World


class Interfaces:
    """What machines hang on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._handed_out = 0

    def make_inline(self, group: Group, region: str, machine_id: str, parameters: Json) -> Resource:
        """The interface and its address that a machine's call describes; their names get a suffix of our choice.

        The machine's own tags stay with it and its disk: these carry only what their part of the call says.
        """
        body, name = parameters["properties"], f"{parameters['name']}-{uuid4().hex[:8]}"
        nic = Resource(group, NIC, name, region, self._world.now(), self._tags(parameters))
        configurations = []
        for ip_configuration in body["ipConfigurations"]:
            own = dict(ip_configuration["properties"])
            wanted = own.pop("publicIPAddressConfiguration", None)
            if wanted is not None:
                address = self._inline_address(group, region, wanted)
                own["publicIPAddress"] = {"id": address.id}
            configurations.append({"name": ip_configuration["name"], "properties": own})
        nic.properties = self._interface(nic, body, configurations)
        attach(nic, machine_id, is_primary=body.get("primary", True))
        nic.properties["provisioningState"] = "Succeeded"
        nic.top = {"etag": etag()}
        self._world.books.add(nic)
        for configuration in nic.properties["ipConfigurations"]:
            self._attach(configuration)
        return nic

    def check_inline(self, parameters: Json, region: str) -> None:
        """Refuse an inline interface whose network, rules or address cannot be."""
        for ip_configuration in parameters["properties"]["ipConfigurations"]:
            body = ip_configuration["properties"]
            self._subnet(body["subnet"]["id"], region)
            wanted = body.get("publicIPAddressConfiguration")
            if wanted is not None:
                check_address_sku(wanted.get("sku", {}), wanted.get("properties", {}))
        rules = parameters["properties"].get("networkSecurityGroup")
        if rules is not None and self._world.find(rules["id"]) is None:
            raise _no_such(rules["id"])

    def _inline_address(self, group: Group, region: str, wanted: Json) -> Resource:
        name = f"{wanted['name']}-{uuid4().hex[:8]}"
        address = Resource(group, ADDRESS, name, region, self._world.now(), self._tags(wanted))
        sku, properties = wanted.get("sku", {}), wanted.get("properties", {})
        check_address_sku(sku, properties)
        address.top = {"sku": {"name": "Standard", "tier": sku.get("tier", "Regional")}, "etag": etag()}
        if wanted.get("zones"):
            address.top["zones"] = wanted["zones"]
        address.properties = {
            "publicIPAllocationMethod": "Static",
            "publicIPAddressVersion": properties.get("publicIPAddressVersion", "IPv4"),
            "idleTimeoutInMinutes": properties.get("idleTimeoutInMinutes", 4),
            "ipAddress": self._next_address(),
            "provisioningState": "Succeeded",
            "resourceGuid": str(uuid4()),
        }
        if "deleteOption" in properties:
            address.properties["deleteOption"] = properties["deleteOption"]
        return self._world.books.add(address)

    def _tags(self, parameters: Json) -> dict[str, str]:
        return {} if self._world.conditions.no_inline_tags else dict(parameters.get("tags", {}))

    def _interface(self, nic: Resource, body: Json, configurations: list[Json]) -> Json:
        created, used = [], self._taken()
        for number, configuration in enumerate(configurations):
            own, subnet = (
                configuration["properties"],
                self._subnet(configuration["properties"]["subnet"]["id"], nic.location),
            )
            address = private_address(subnet, used)
            used.add(address)
            properties = {
                "provisioningState": "Succeeded",
                "privateIPAddress": address,
                "privateIPAllocationMethod": "Dynamic",
                "privateIPAddressVersion": "IPv4",
                "primary": own.get("primary", number == 0),
                "subnet": {"id": subnet["id"]},
            }
            if "publicIPAddress" in own:
                properties["publicIPAddress"] = own["publicIPAddress"]
            place = f"{nic.id}/ipConfigurations/{configuration['name']}"
            created.append({"name": configuration["name"], "id": place, "etag": etag(), "properties": properties})
        shown: Json = {
            "ipConfigurations": created,
            "resourceGuid": str(uuid4()),
            "enableAcceleratedNetworking": body.get("enableAcceleratedNetworking", False),
            "enableIPForwarding": body.get("enableIPForwarding", False),
            "nicType": "Standard",
        }
        if "networkSecurityGroup" in body:
            if self._world.books.find(body["networkSecurityGroup"]["id"]) is None:
                raise _no_such(body["networkSecurityGroup"]["id"])
            shown["networkSecurityGroup"] = body["networkSecurityGroup"]
        return shown

    def _attach(self, configuration: Json) -> None:
        reference = configuration["properties"].get("publicIPAddress")
        address = self._world.books.find(reference["id"]) if reference else None
        if address is not None:
            address.properties["ipConfiguration"] = {"id": configuration["id"]}

    def _subnet(self, subnet_id: str, region: str) -> Json:
        vnet_id, _, name = subnet_id.rpartition("/subnets/")
        vnet = self._world.find(vnet_id)
        if vnet is not None and vnet.type == VNET and vnet.location == region:
            for subnet in vnet.properties["subnets"]:
                if same(subnet["name"], name):
                    fields: Json = subnet
                    return fields
        raise _no_such(subnet_id)

    def _taken(self) -> set[str]:
        return {
            ip_configuration["properties"]["privateIPAddress"]
            for nic in self._world.books.resources(NIC)
            for ip_configuration in nic.properties["ipConfigurations"]
        }

    def _next_address(self) -> str:
        # 203.0.113.0/24 and its neighbours are for documentation: nobody can be reached there.
        self._handed_out += 1
        return f"203.0.{113 + self._handed_out // 250}.{1 + self._handed_out % 250}"


def attach(nic: Resource, machine_id: str, *, is_primary: bool) -> None:
    """Hang an interface on a machine: only then has it a hardware address."""
    hardware = "-".join(uuid4().hex[:6].upper()[n : n + 2] for n in (0, 2, 4))
    nic.properties |= {
        "virtualMachine": {"id": machine_id},
        "primary": is_primary,
        "macAddress": f"00-0D-3A-{hardware}",
    }


def detach(nic: Resource) -> None:
    """Take it off again."""
    for name in ("virtualMachine", "primary", "macAddress"):
        nic.properties.pop(name, None)


def check_address_sku(sku: Json, body: Json) -> None:
    """Refuse a Basic address (what one without a sku is), and a Standard one that is not static."""
    if sku.get("name", "Basic") == "Basic":
        raise Refusal(
            400,
            "IPv4BasicSkuPublicIpCountLimitReached",
            "Cannot create more than 0 IPv4 Basic SKU public IP addresses for this subscription in this region.",
        )
    if body.get("publicIPAllocationMethod", "Dynamic") != "Static":
        raise Refusal(
            400,
            "StandardSkuPublicIPAddressesMustBeStatic",
            "Standard sku public IP address must have AllocationMethod set to Static.",
        )


def _no_such(resource_id: str) -> Refusal:
    return Refusal(
        400,
        "InvalidResourceReference",
        f"Resource {resource_id} referenced by the request was not found. Please make sure that the referenced "
        f"resource exists, and that both resources are in the same region.",
    )
