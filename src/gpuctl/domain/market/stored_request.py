"""A request as a record keeps it, so that another process can make the same request again."""

from dataclasses import fields, replace
from typing import Any

from pydantic import TypeAdapter

from gpuctl.domain.market.request import DEFAULT_TTL, Request

# The process that makes the request again decides these anew.
_NOT_STORED = {"timed_work", "decision", "pool", "count"}


def stored(request: Request, *, has_fixed_ttl: bool) -> dict[str, Any]:
    """The fields of the request that differ from their defaults, as JSON; the TTL only if the user has set it."""
    request = request if has_fixed_ttl else replace(request, ttl=DEFAULT_TTL)
    document: dict[str, Any] = TypeAdapter(Request).dump_python(request, mode="json", exclude=_NOT_STORED)
    standard = TypeAdapter(Request).dump_python(Request(user=""), mode="json")
    return {key: value for key, value in document.items() if value != standard[key]}


def request_of(document: dict[str, Any]) -> Request:
    """The request that was stored. ValueError if the document is none."""
    known = {field.name for field in fields(Request)} - _NOT_STORED
    if unknown := set(document) - known:
        raise ValueError(f"unknown fields of a request: {', '.join(sorted(unknown))}")
    return TypeAdapter(Request).validate_python({"user": "", **document})
