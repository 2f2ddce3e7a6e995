"""Microsoft.Network: security groups and networks are put; interfaces and addresses come with a machine."""

from uuid import uuid4

from werkzeug.wrappers import Response

from gpuctl_sandbox.azure import network_shapes as shapes
from gpuctl_sandbox.azure.addresses import check_rules, check_subnets
from gpuctl_sandbox.azure.books import Resource, etag
from gpuctl_sandbox.azure.links import ADDRESS, NIC, NSG, VNET
from gpuctl_sandbox.azure.operations import accepted
from gpuctl_sandbox.azure.places import NETWORK
from gpuctl_sandbox.azure.schema import Object, checked, checked_tags
from gpuctl_sandbox.azure.wire import Call, Json, Refusal, reply
from gpuctl_sandbox.azure.world import World, region_of

_SHAPES: dict[str, Object] = {NSG: shapes.SECURITY_GROUP, VNET: shapes.VIRTUAL_NETWORK}
KINDS = {kind.lower(): kind for kind in (*_SHAPES, ADDRESS, NIC)}


class Network:
    """The calls about whatever lies in Microsoft.Network."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, call: Call) -> Response:
        return reply(self._find(call).shown())

    def put(self, call: Call) -> Response:
        """Make the resource, or write it anew."""
        kind, group = self._kind(call), self._world.writable_group(call)
        if kind not in _SHAPES:
            raise Refusal(405, "MethodNotAllowed", f"The sandbox makes a `{kind}` only with a machine.")
        body = checked(call.body, _SHAPES[kind], "InvalidRequestFormat")
        region, tags = region_of(body["location"], kind), checked_tags(body.get("tags", {}))
        present = self._world.books.find(f"{group.id}/providers/{kind}/{call.names['name']}")
        if present is not None and present.location != region:
            raise _moved(present, region)
        name = present.name if present is not None else call.names["name"]
        draft = Resource(group, kind, name, region, self._world.now(), tags)
        (self._make_security_group if kind == NSG else self._make_vnet)(draft, body)
        resource = present or self._world.books.add(draft)
        resource.tags, resource.top = tags, draft.top | {"etag": etag()}
        resource.changed_at = self._world.now()
        resource.properties = draft.properties | {
            "resourceGuid": resource.properties.get("resourceGuid", str(uuid4())),
            "provisioningState": "Updating",
        }
        operation = self._world.begin(call, kind, lambda: _settle(resource))
        place = f"/subscriptions/{call.subscription}/providers/{NETWORK}/locations/{region}"
        status, patience = 200 if present else 201, self._world.conditions.retry_after
        return accepted(call, operation, place, patience, resource.shown(), status, location=False)

    def _make_security_group(self, draft: Resource, body: Json) -> None:
        rules = body.get("properties", {}).get("securityRules", [])
        check_rules(rules)
        draft.properties = {"securityRules": [_part(draft, "securityRules", rule) for rule in rules]}

    def _make_vnet(self, draft: Resource, body: Json) -> None:
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

    def _find(self, call: Call) -> Resource:
        group = self._world.books.group(call.subscription, call.group)
        return self._world.known(self._world.books.resource(group, self._kind(call), call.names["name"]))

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
