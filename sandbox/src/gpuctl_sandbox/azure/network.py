"""Microsoft.Network: security groups, networks with subnets, interfaces and public addresses."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from werkzeug.wrappers import Response

from gpuctl_sandbox.azure import network_shapes as shapes
from gpuctl_sandbox.azure.addresses import check_rules, check_subnets
from gpuctl_sandbox.azure.books import Resource, etag, same
from gpuctl_sandbox.azure.interfaces import Interfaces
from gpuctl_sandbox.azure.links import ADDRESS, NIC, NSG, VNET, holders, used_subnets
from gpuctl_sandbox.azure.operations import accepted
from gpuctl_sandbox.azure.places import NETWORK
from gpuctl_sandbox.azure.schema import TAGS, Object, checked, checked_tags
from gpuctl_sandbox.azure.wire import Call, Json, Refusal, reply
from gpuctl_sandbox.azure.world import World, region_of

_SHAPES: dict[str, Object] = {
    NSG: shapes.SECURITY_GROUP,
    VNET: shapes.VIRTUAL_NETWORK,
    ADDRESS: shapes.ADDRESS,
    NIC: shapes.INTERFACE,
}
KINDS = {kind.lower(): kind for kind in _SHAPES}
_PATCH = Object("TagsObject", {"tags": TAGS})


class Network:
    """The calls about whatever lies in Microsoft.Network."""

    def __init__(self, world: World, interfaces: Interfaces) -> None:
        self._world = world
        self._interfaces = interfaces

    def get(self, call: Call) -> Response:
        return reply(self._find(call).shown())

    def every(self, call: Call) -> Response:
        kind = self._kind(call)
        group = self._world.books.group(call.subscription, call.group) if "group" in call.names else None
        resources = self._world.books.resources(kind, group=group, subscription=call.subscription)
        return self._world.page(call, [resource.shown() for resource in resources])

    def put(self, call: Call) -> Response:
        """Make the resource, or write it anew."""
        kind, group = self._kind(call), self._world.writable_group(call)
        body = checked(call.body, _SHAPES[kind], "InvalidRequestFormat")
        region, tags = region_of(body["location"], kind), checked_tags(body.get("tags", {}))
        present = self._world.books.find(f"{group.id}/providers/{kind}/{call.names['name']}")
        if present is not None and present.location != region:
            raise _moved(present, region)
        name = present.name if present is not None else call.names["name"]
        draft = Resource(group, kind, name, region, self._world.now(), tags)
        self._makers[kind](draft, body, present)
        resource = present or self._world.books.add(draft)
        resource.tags, resource.top = tags, draft.top | {"etag": etag()}
        resource.changed_at = self._world.now()
        resource.properties = draft.properties | {
            "resourceGuid": resource.properties.get("resourceGuid", str(uuid4())),
            # An interface is there at once, as recorded; the rest is written for a moment.
            "provisioningState": "Succeeded" if kind == NIC else "Updating",
        }
        return self._begun(call, resource, 200 if present else 201, lambda: _settle(resource))

    def patch(self, call: Call) -> Response:
        """Write the tags anew."""
        self._world.writable_group(call)
        resource, body = self._find(call), checked(call.body, _PATCH, "InvalidRequestFormat")
        resource.tags = checked_tags(body.get("tags", {}))
        return reply(resource.shown())

    def delete(self, call: Call) -> Response:
        """Begin to delete. Absent already is 204; in use is refused."""
        self._world.writable_group(call)
        kind = self._kind(call)
        group = self._world.books.group(call.subscription, call.group)
        resource = self._world.books.find(f"{group.id}/providers/{kind}/{call.names['name']}")
        if resource is None:
            return reply(None, 204)
        self._check_free(resource)
        resource.state = "Deleting"
        return self._begun(call, resource, 202, lambda: self._world.books.remove(resource), location=True)

    def subnets(self, call: Call) -> Response:
        vnet = self._vnet(call)
        return self._world.page(call, vnet.properties["subnets"])

    def subnet(self, call: Call) -> Response:
        vnet, name = self._vnet(call), call.names["subnet"]
        for subnet in vnet.properties["subnets"]:
            if same(subnet["name"], name):
                return reply(subnet)
        raise Refusal(404, "NotFound", f"Resource {vnet.id}/subnets/{name} not found.")

    def put_subnet(self, call: Call) -> Response:
        """Put one subnet into its network, or write it anew."""
        self._world.writable_group(call)
        vnet, name = self._vnet(call), call.names["subnet"]
        body = checked(call.body, shapes.SUBNET, "InvalidRequestFormat") | {"name": name}
        self._check_reference(vnet, body.get("properties", {}).get("networkSecurityGroup"))
        others = [subnet for subnet in vnet.properties["subnets"] if not same(subnet["name"], name)]
        check_subnets(vnet.name, vnet.properties["addressSpace"]["addressPrefixes"], [*others, body])
        subnet = _part(vnet, "subnets", body)
        status = 201 if len(others) == len(vnet.properties["subnets"]) else 200
        vnet.properties["subnets"] = [*others, subnet]
        operation = self._world.begin(call, VNET, lambda: None)
        place = f"/subscriptions/{call.subscription}/providers/{NETWORK}/locations/{vnet.location}"
        return accepted(call, operation, place, self._world.conditions.retry_after, subnet, status, location=False)

    def delete_subnet(self, call: Call) -> Response:
        """Take one subnet out of its network, unless interfaces use it."""
        self._world.writable_group(call)
        vnet, name = self._vnet(call), call.names["subnet"]
        remaining = [subnet for subnet in vnet.properties["subnets"] if not same(subnet["name"], name)]
        if len(remaining) == len(vnet.properties["subnets"]):
            return reply(None, 204)
        self._check_kept(vnet, remaining)
        vnet.properties["subnets"] = remaining
        return self._begun(call, vnet, 202, lambda: None, location=True)

    @property
    def _makers(self) -> dict[str, Callable[[Resource, Json, Resource | None], None]]:
        return {
            NSG: self._make_security_group,
            VNET: self._make_vnet,
            ADDRESS: self._interfaces.make_address,
            NIC: self._interfaces.make_interface,
        }

    def _make_security_group(self, draft: Resource, body: Json, present: Resource | None) -> None:
        rules = body.get("properties", {}).get("securityRules", [])
        check_rules(rules)
        draft.properties = {"securityRules": [_part(draft, "securityRules", rule) for rule in rules]}

    def _make_vnet(self, draft: Resource, body: Json, present: Resource | None) -> None:
        properties = body["properties"]
        subnets = properties.get("subnets", [])
        space = properties["addressSpace"]["addressPrefixes"]
        for subnet in subnets:
            if not subnet.get("name"):
                raise Refusal(400, "InvalidRequestFormat", "Subnet name is missing.", "subnets.name")
            self._check_reference(draft, subnet.get("properties", {}).get("networkSecurityGroup"))
        check_subnets(draft.name, space, subnets)
        draft.properties = properties | {"subnets": [_part(draft, "subnets", subnet) for subnet in subnets]}
        draft.properties.setdefault("enableDdosProtection", False)
        if present is not None:
            self._check_kept(present, draft.properties["subnets"])

    def _check_reference(self, draft: Resource, reference: Json | None) -> None:
        if reference is None:
            return
        resource = self._world.books.find(reference["id"])
        if resource is None or resource.location != draft.location:
            raise Refusal(
                400,
                "InvalidResourceReference",
                f"Resource {reference['id']} referenced by resource {draft.id} was not found. Please make sure that "
                f"the referenced resource exists, and that both resources are in the same region.",
            )

    def _check_kept(self, vnet: Resource, remaining: list[Json]) -> None:
        names = {item["id"].lower() for item in remaining}
        for subnet, users in used_subnets(self._world.books, vnet).items():
            if subnet not in names:
                raise _subnet_in_use(subnet.rpartition("/")[2], users[0])

    def _check_free(self, resource: Resource) -> None:
        if resource.type == VNET:
            self._check_kept(resource, [])
        users = holders(self._world.books, resource)
        held_until = resource.hidden.get("held_until")
        if held_until is not None and held_until > self._world.now():
            raise Refusal(
                400,
                "NicReservedForAnotherVm",
                f"Nic(s) in request is reserved for another Virtual Machine for 180 seconds: {resource.id}.",
            )
        if not users:
            return
        user, this = users[0], resource.id
        if resource.type == NIC:
            raise Refusal(
                400,
                "NicInUse",
                f"Network Interface {this} is used by existing resource {user.id}. In order to delete the network "
                f"interface, it must be dissociated from the resource. To learn more, see aka.ms/deletenic.",
            )
        if resource.type == ADDRESS:
            configuration = user.properties["ipConfigurations"][0]["id"]
            raise Refusal(
                400,
                "PublicIPAddressCannotBeDeleted",
                f"Public IP address {this} can not be deleted since it is still allocated to resource {configuration}. "
                f"In order to delete the public IP, disassociate/detach the Public IP address from the resource.",
            )
        raise Refusal(
            400,
            "InUseNetworkSecurityGroupCannotBeDeleted",
            f"Network security group {this} cannot be deleted because it is in use by the following resources: "
            f"{user.id}. In order to delete the Network security group, remove the association with the resource(s).",
        )

    def _begun(
        self, call: Call, resource: Resource, status: int, finish: Callable[[], None], *, location: bool = False
    ) -> Response:
        operation = self._world.begin(call, resource.type, finish)
        place = f"/subscriptions/{call.subscription}/providers/{NETWORK}/locations/{resource.location}"
        shown: Any = None if location else resource.shown()
        return accepted(call, operation, place, self._world.conditions.retry_after, shown, status, location=location)

    def _find(self, call: Call) -> Resource:
        group = self._world.books.group(call.subscription, call.group)
        return self._world.known(self._world.books.resource(group, self._kind(call), call.names["name"]))

    def _vnet(self, call: Call) -> Resource:
        group = self._world.books.group(call.subscription, call.group)
        return self._world.books.resource(group, VNET, call.names["name"])

    def _kind(self, call: Call) -> str:
        kind = KINDS.get(f"{NETWORK}/{call.names['kind']}".lower())
        if kind is None:
            raise Refusal(
                404,
                "InvalidResourceType",
                f"The resource type '{call.names['kind']}' could not be found in the namespace '{NETWORK}' for "
                f"api version '{call.api_version}'.",
            )
        return kind


def _settle(resource: Resource) -> None:
    if resource.state == "Updating":
        resource.state = "Succeeded"


def _part(owner: Resource, kind: str, body: Json) -> Json:
    properties = dict(body.get("properties", {})) | {"provisioningState": "Succeeded"}
    return {"name": body["name"], "id": f"{owner.id}/{kind}/{body['name']}", "etag": etag(), "properties": properties}


def _moved(present: Resource, region: str) -> Refusal:
    return Refusal(
        409,
        "InvalidResourceLocation",
        f"The resource '{present.name}' already exists in location '{present.location}' in resource group "
        f"'{present.group.name}'. A resource with the same name cannot be created in location '{region}'.",
    )


def _subnet_in_use(name: str, user: str) -> Refusal:
    return Refusal(
        400,
        "InUseSubnetCannotBeDeleted",
        f"Subnet {name} is in use by {user} and cannot be deleted. In order to delete the subnet, delete all the "
        f"resources within the subnet. See aka.ms/deletesubnet.",
    )
