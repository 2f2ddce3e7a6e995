"""The `filter` expressions of Compute Engine's lists, as far as gpuctl sends them, and their pages."""

import re
from collections.abc import Sequence

from gpuctl_sandbox.gcp.wire import Call, Json, Refusal, invalid

_COMPARISON = re.compile(r'(?P<name>[A-Za-z][\w.-]*)(?P<operator>=|:)(?P<value>"[^"]*"|[^\s()=:"]+)')
MOST = 500


def matching(expression: str | None, items: Sequence[Json]) -> list[Json]:
    """Those items that the filter means: `name=value`, or `name:*` for any value. Refused for anything else."""
    if not expression:
        return list(items)
    match = _COMPARISON.fullmatch(expression)
    if match is None or (match["operator"] == ":") != (match["value"] == "*"):
        raise invalid("filter", expression, "Invalid list filter expression.")
    name, value = match["name"], match["value"].strip('"')
    if value == "*":
        return [item for item in items if _value(item, name) is not None]
    return [item for item in items if str(_value(item, name)).lower() == value.lower()]


def page(call: Call, items: Sequence[Json], page_size: int) -> tuple[list[Json], str | None]:
    """One page of those items and the token of the next, None for the last."""
    most = int(call.query.get("maxResults", MOST))
    if not 0 <= most <= MOST:
        raise Refusal(400, "invalidParameter", f"Invalid value '{most}'. Values must be within the range: [0, {MOST}]")
    size, token = min(most or MOST, page_size), call.query.get("pageToken", "")
    if token and not re.fullmatch(r"page-\d+", token):
        raise Refusal(400, "invalid", f"Invalid value for field 'pageToken': '{token}'.")
    start = int(token.removeprefix("page-") or 0)
    following = f"page-{start + size}" if start + size < len(items) else None
    return list(items[start : start + size]), following


def _value(item: Json, name: str) -> object:
    held: object = item
    # A label's key has no dots, so every dot is a step.
    for part in name.split("."):
        held = held.get(part) if isinstance(held, dict) else None
    return held
