"""Request bodies as ARM takes them: what stands in a shape is accepted, anything else is refused by name.

A shape is a type (`str`, `int`, `bool`, `float`), a tuple of the values allowed (in any case, as ARM reads them), a
list of one shape, a `MapOf`, an `Object`, or READ_ONLY: accepted because ARM's own replies carry it, and not read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpuctl_sandbox.azure.wire import Json, Refusal

READ_ONLY = object()


@dataclass(frozen=True)
class MapOf:
    """An object with any names, whose values all have one shape."""

    value: Any


@dataclass(frozen=True)
class Object:
    """An object of ARM's type `name` with these properties, of which `required` must be there."""

    name: str
    properties: Mapping[str, Any]
    required: tuple[str, ...] = ()


def checked(body: Any, shape: Object, code: str = "InvalidRequestContent") -> Json:
    """The body as a plain object without read-only properties. Raises Refusal with this code for what does not fit."""
    if body is None:
        raise Refusal(400, code, "The request content was invalid and could not be deserialized: it is empty.")
    fitted: Json = _fitted(body, shape, "", code)
    return fitted


def _fitted(value: Any, shape: Any, path: str, code: str) -> Any:
    if isinstance(shape, Object):
        return _fitted_object(value, shape, path, code)
    if isinstance(shape, MapOf):
        return {
            key: _fitted(item, shape.value, f"{path}.{key}", code) for key, item in _as(dict, value, path, code).items()
        }
    if isinstance(shape, list):
        return [_fitted(item, shape[0], f"{path}[{n}]", code) for n, item in enumerate(_as(list, value, path, code))]
    if isinstance(shape, tuple):
        return _one_of(value, shape, path, code)
    return _as(shape, value, path, code)


def _fitted_object(value: Any, shape: Object, path: str, code: str) -> Json:
    fitted: Json = {}
    for key, item in _as(dict, value, path, code).items():
        here = f"{path}.{key}" if path else key
        if key not in shape.properties:
            raise Refusal(
                400, code, f"Could not find member '{key}' on object of type '{shape.name}'. Path '{here}'.", here
            )
        if shape.properties[key] is not READ_ONLY and item is not None:
            fitted[key] = _fitted(item, shape.properties[key], here, code)
    for key in shape.required:
        if fitted.get(key) in (None, ""):
            here = f"{path}.{key}" if path else key
            raise Refusal(400, "InvalidParameter", f"Required parameter '{here}' is missing (null).", here)
    return fitted


def _as(kind: type, value: Any, path: str, code: str) -> Any:
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise Refusal(400, code, f"Error converting value '{value}' to type '{kind.__name__}'. Path '{path}'.", path)
    return value


def _one_of(value: Any, allowed: tuple[str, ...], path: str, code: str) -> str:
    for text in allowed:
        if isinstance(value, str) and value.lower() == text.lower():
            return text
    raise Refusal(
        400, code, f"The value '{value}' of '{path}' is not one of the allowed values: {', '.join(allowed)}.", path
    )


TAGS = MapOf(str)
_RESERVED = re.compile(r"[<>%&\\?/\x00-\x1f]")


def checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags, if ARM takes them: 50 at most, names up to 512 and values up to 256 characters, no reserved ones."""
    if len(tags) > 50:
        raise Refusal(400, "InvalidTagCount", f"The number of tags {len(tags)} exceeds the maximum of 50.")
    if len({name.lower() for name in tags}) < len(tags):
        raise Refusal(400, "InvalidTagName", "The tag names are not unique: names are compared without regard to case.")
    for name, value in tags.items():
        if not name or len(name) > 512 or len(value) > 256:
            raise Refusal(400, "InvalidTagNameOrValue", f"The tag '{name[:40]}' has a name or value of invalid length.")
        if _RESERVED.search(name):
            raise Refusal(
                400,
                "InvalidTagNameCharacters",
                f"The tag names '{name}' have reserved characters '<,>,%,&,\\,?,/' or control characters.",
            )
        if name.lower().startswith(("microsoft", "azure", "windows")):
            raise Refusal(400, "ReservedTagName", f"The tag name '{name}' has a reserved prefix.")
    return dict(tags)
