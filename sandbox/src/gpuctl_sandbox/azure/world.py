"""What every part of the cloud shares: the books, the operations, the conditions and the clock."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from werkzeug.wrappers import Response

from gpuctl_sandbox.azure.books import Books, Group, Resource, no_resource
from gpuctl_sandbox.azure.conditions import OF_THE_OPERATION, Conditions
from gpuctl_sandbox.azure.operations import Operation, Operations
from gpuctl_sandbox.azure.places import REGIONS
from gpuctl_sandbox.azure.wire import Call, Json, Refusal, reply


@dataclass
class World:
    """One cloud's whole state. `ended` are the machines that are no more, as the sandbox shows them."""

    now: Callable[[], datetime]
    books: Books = field(default_factory=Books)
    operations: Operations = field(default_factory=Operations)
    conditions: Conditions = field(default_factory=Conditions)
    ended: list[Json] = field(default_factory=list)

    def begin(self, call: Call, kind: str, finish: Callable[[], None]) -> Operation:
        """Start the operation that this call asks for."""
        fault = self.conditions.take(call, kind, OF_THE_OPERATION)
        polls = None if fault is not None and fault.code == "StuckOperation" else self.conditions.polls
        is_lost = fault is not None and fault.code == "LostOperation"
        return self.operations.begin(self.now(), polls, finish, is_lost=is_lost)

    def is_known(self, thing: Group | Resource) -> bool:
        """Whether it is found by its id: what was just made may not be for a moment."""
        return (self.now() - thing.created_at).total_seconds() >= self.conditions.reference_lag_s

    def find(self, resource_id: str | None) -> Resource | None:
        """What a call refers to, where it exists and is known by now."""
        resource = self.books.find(resource_id)
        return resource if resource is not None and self.is_known(resource) else None

    def known(self, resource: Resource) -> Resource:
        """That resource. Refused as if there were none, where it is not known yet."""
        if not self.is_known(resource):
            raise no_resource(resource.group, resource.type, resource.name)
        return resource

    def group(self, call: Call) -> Group:
        """The group of a call. Refused if it is absent or not known yet."""
        group = self.books.group(call.subscription, call.group)
        if not self.is_known(group):
            raise Refusal(404, "ResourceGroupNotFound", f"Resource group '{call.group}' could not be found.")
        return group

    def writable_group(self, call: Call, *, is_known: bool = False) -> Group:
        """The group of a call that writes. Refused if it is absent, not known yet or on its way out."""
        group = self.books.group(call.subscription, call.group) if is_known else self.group(call)
        if group.state == "Deleting":
            raise Refusal(
                409,
                "ResourceGroupBeingDeleted",
                f"The resource group '{group.name}' is in deprovisioning state and cannot perform this operation.",
            )
        return group

    def page(self, call: Call, shown: Sequence[Json]) -> Response:
        """One page of a listing, with the address of the next."""
        try:
            start = int(call.query.get("$skiptoken", "0"))
            size = min(int(call.query.get("$top", self.conditions.page_size)), self.conditions.page_size)
        except ValueError as error:
            raise Refusal(400, "InvalidParameter", "The value of '$skiptoken' or '$top' is not valid.") from error
        body: Json = {"value": list(shown[start : start + size])}
        if start + size < len(shown) and "$top" not in call.query:
            remaining = {name: value for name, value in call.query.items() if name not in ("api-version", "$skiptoken")}
            body["nextLink"] = call.url(
                call.path, **{name: _quoted(v) for name, v in remaining.items()}, **{"$skiptoken": str(start + size)}
            )
        return reply(body)


def _quoted(value: str) -> str:
    from urllib.parse import quote

    return quote(value, safe="")


def region_of(location: str, kind: str) -> str:
    """A location as ARM writes it (`East US` is `eastus`). Refused if there is no such region."""
    region = location.replace(" ", "").lower()
    if region not in REGIONS:
        code = (
            "LocationNotAvailableForResourceGroup"
            if kind.endswith("resourceGroups")
            else ("LocationNotAvailableForResourceType")
        )
        raise Refusal(
            400,
            code,
            f"The provided location '{location}' is not available for resource type '{kind}'. "
            f"List of available regions is '{','.join(sorted(REGIONS))}'.",
        )
    return region
