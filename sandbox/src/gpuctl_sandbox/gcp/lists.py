"""Lists: filters, pages, and what a zone that is out looks like in them."""

from collections.abc import Mapping, Sequence

from werkzeug.wrappers import Response

from gpuctl_sandbox.gcp.filters import matching, page
from gpuctl_sandbox.gcp.places import ZONES
from gpuctl_sandbox.gcp.wire import Call, Json, Refusal, link, reply
from gpuctl_sandbox.gcp.world import World


def listed(world: World, call: Call, kind: str, items: Sequence[Json]) -> Response:
    """The reply of a list of one scope."""
    if world.conditions.zones_out.get(call.names.get("zone", "")) is not None:
        raise _out(call.zone)
    shown, following = page(call, matching(call.query.get("filter"), items), world.conditions.page_size)
    body: Json = {"kind": kind, "id": call.path.removeprefix("/compute/v1/"), "selfLink": link(call.path[12:])}
    if shown:
        body["items"] = shown
    if following is not None:
        body["nextPageToken"] = following
    return reply(body)


def aggregated(world: World, call: Call, kind: str, key: str, fields: Mapping[str, Sequence[Json]]) -> Response:
    """The reply of an aggregated list: every zone with what it has on this page, or with a warning instead."""
    out = world.conditions.zones_out
    for zone, how in out.items():
        if how == "error":
            raise _out(zone)
    flat = [(scope, item) for scope in sorted(fields) for item in matching(call.query.get("filter"), fields[scope])]
    flat = [(scope, item) for scope, item in flat if scope.removeprefix("zones/") not in out]
    on_page, following = page(
        call, [{"scope": scope, "item": item} for scope, item in flat], world.conditions.page_size
    )
    items: Json = {}
    for zone in ZONES:
        scope = f"zones/{zone}"
        here = [entry["item"] for entry in on_page if entry["scope"] == scope]
        if here:
            items[scope] = {key: here}
        elif out.get(zone) == "warning":
            items[scope] = {"warning": _warning("UNREACHABLE", f"The scope '{scope}' cannot be reached.", scope)}
        elif out.get(zone) != "unreachables":
            text = f"There are no results for scope '{scope}' on this page."
            items[scope] = {"warning": _warning("NO_RESULTS_ON_PAGE", text, scope)}
    body: Json = {"kind": kind, "id": call.path.removeprefix("/compute/v1/"), "items": items}
    body["selfLink"] = link(call.path[12:])
    unreachable = [f"zones/{zone}" for zone, how in out.items() if how == "unreachables"]
    if unreachable:
        body["unreachables"] = unreachable
    if following is not None:
        body["nextPageToken"] = following
    return reply(body)


def _warning(code: str, message: str, scope: str) -> Json:
    return {"code": code, "message": message, "data": [{"key": "scope", "value": scope}]}


def _out(zone: str) -> Refusal:
    return Refusal(503, "backendError", f"The zone '{zone}' is currently unreachable. Try again later.")
