"""The `$filter` expressions that ARM's listings of groups and resources take."""

import re
from collections.abc import Sequence
from typing import Any

from gpuctl_sandbox.azure.wire import Refusal

_TERM = re.compile(r"(?P<name>\w+)\s+eq\s+'(?P<value>(?:[^']|'')*)'")


def matching(expression: str | None, matching: Sequence[Any]) -> list[Any]:
    """Those of the groups or resources that the filter means: by tag, or resources by type, name or group.

    As in ARM, a tag's name is compared without regard to case, its value exactly, and a filter by tag stands alone.
    """
    if not expression:
        return list(matching)
    stored = _read(expression)
    if "tagName" in stored:
        return [item for item in matching if _has_tag(item, stored)]
    return [item for item in matching if all(_has(item, name, value) for name, value in stored.items())]


def _read(expression: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for part in re.split(r"\s+and\s+(?=\w+\s+eq\s)", expression.strip()):
        term = _TERM.fullmatch(part.strip())
        if term is None or term["name"] not in (
            "tagName",
            "tagValue",
            "resourceType",
            "name",
            "resourceGroup",
            "location",
        ):
            raise _invalid(expression)
        parameters[term["name"]] = term["value"].replace("''", "'")
    by_tag = {"tagName", "tagValue"} & set(parameters)
    if by_tag and (set(parameters) - by_tag or "tagName" not in parameters):
        raise _invalid(expression)
    return parameters


def _has_tag(item: Any, parameters: dict[str, str]) -> bool:
    for name, value in item.tags.items():
        if name.lower() == parameters["tagName"].lower():
            return parameters.get("tagValue") in (None, value)
    return False


def _has(item: Any, name: str, value: str) -> bool:
    text = {"resourceType": "type", "resourceGroup": "group"}.get(name, name)
    held = getattr(item, text, "")
    return str(getattr(held, "name", held)).lower() == value.lower()


def _invalid(expression: str) -> Refusal:
    return Refusal(400, "InvalidFilterInQueryString", f"Invalid $filter '{expression}' specified in the query string.")
