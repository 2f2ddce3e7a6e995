"""Calls held to Google's discovery document for Compute Engine v1: paths, parameters, bodies and replies.

`discovery.json` is the part of it that `scripts/extract_discovery.py` takes; the revision is in it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from gpuctl_sandbox.gcp.wire import Call, Json, Refusal, invalid

# Parameters that every Google API takes.
_COMMON = {"alt", "fields", "key", "prettyPrint", "quotaUser", "userIp", "$.xgafv", "access_token", "oauth_token"}
_INTEGERS = {"int32": 31, "uint32": 32, "int64": 63, "uint64": 64}
_KINDS: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "object": dict,
    "array": list,
    "number": (int, float),
}


@dataclass(frozen=True)
class Method:
    """One method of the API: its name, how it is called, and the schemas of its body and reply."""

    name: str
    http: str
    path: re.Pattern[str]
    query: Mapping[str, Json]
    request: str | None
    response: str | None


class Discovery:
    """The extract of the discovery document."""

    def __init__(self) -> None:
        document = json.loads(files(__package__).joinpath("discovery.json").read_text("utf-8"))
        self.revision = str(document["revision"])
        self.prefix = f"/{document['path']}"
        self._schemas: dict[str, Json] = document["schemas"]
        self._methods = [_method(name, method) for name, method in document["methods"].items()]

    def find(self, call: Call) -> Call:
        """The call with its method and the names in its path. Refused if no method has that path."""
        path = call.path.removeprefix(self.prefix)
        is_known = False
        for method in self._methods:
            match = method.path.fullmatch(path)
            is_known = is_known or match is not None
            if match is not None and method.http == call.http:
                return replace(call, method=method.name, names=match.groupdict())
        status = (405, "httpMethodNotAllowed") if is_known else (404, "notFound")
        raise Refusal(*status, f"The requested URL {quote(call.path)} was not found on this server.")

    def check(self, call: Call) -> Any:
        """The body of the call, without what only Google sets. Refused for anything that is not in the document."""
        method = self._named(call.method)
        for name, value in call.query.items():
            if name not in _COMMON:
                _check_parameter(name, value, method)
        if method.request is None:
            return None
        if call.body is None:
            raise Refusal(400, "required", "Required field 'resource' not specified")
        return self._fitted(call.body, {"$ref": method.request}, "resource", call.method)

    def faults_of_reply(self, method: str, reply: Any) -> list[str]:
        """What of a reply does not stand in the document; for the tests of this cloud."""
        name = self._named(method).response
        return [] if name is None else list(self._strange(reply, {"$ref": name}, name))

    def _named(self, name: str) -> Method:
        return next(method for method in self._methods if method.name == name)

    def _fitted(self, value: Any, schema: Json, place: str, method: str) -> Any:
        schema = self._resolved(schema)
        kind = schema.get("type")
        if kind == "array":
            items = _of_kind(list, value, place)
            return [self._fitted(item, schema["items"], f"{place}[{n}]", method) for n, item in enumerate(items)]
        if kind == "object":
            return self._fitted_object(_of_kind(dict, value, place), schema, place, method)
        return _scalar(value, schema, place)

    def _fitted_object(self, value: Json, schema: Json, place: str, method: str) -> Json:
        if "properties" not in schema:
            extra = schema.get("additionalProperties", {"type": "any"})
            return {key: self._fitted(item, extra, f"{place}.{key}", method) for key, item in value.items()}
        properties: dict[str, Json] = schema["properties"]
        for key in value:
            if key not in properties:
                at = f" at '{place}'" if place != "resource" else ""
                raise Refusal(
                    400,
                    "badRequest",
                    f'Invalid JSON payload received. Unknown name "{key}"{at}: Cannot find field.',
                    [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": place}]}],
                )
        for key, item in properties.items():
            if f"compute.{method}" in item.get("required", ()) and value.get(key) in (None, "", []):
                raise Refusal(400, "required", f"Invalid value for field '{place}.{key}': ''. Required field.")
        return {
            key: self._fitted(item, properties[key], f"{place}.{key}", method)
            for key, item in value.items()
            if item is not None and not properties[key].get("readOnly")
        }

    def _strange(self, value: Any, schema: Json, place: str) -> Iterator[str]:
        schema = self._resolved(schema)
        kind = schema.get("type")
        if kind in _KINDS and not isinstance(value, _KINDS[kind]):
            yield f"{place} is no {kind}"
        elif isinstance(value, list):
            for item in value:
                yield from self._strange(item, schema["items"], f"{place}[]")
        elif isinstance(value, dict):
            known, extra = schema.get("properties", {}), schema.get("additionalProperties")
            for key, item in value.items():
                if key not in known and extra is None:
                    yield f"{place}.{key} is not in the document"
                else:
                    yield from self._strange(item, known.get(key, extra), f"{place}.{key}")
        elif "enum" in schema and value not in schema["enum"]:
            yield f"{place} is {value!r}"

    def _resolved(self, schema: Json) -> Json:
        return self._schemas[schema["$ref"]] if "$ref" in schema else schema


def _method(name: str, method: Json) -> Method:
    source = re.escape(method["path"]).replace(r"\{", "{").replace(r"\}", "}")
    for key, pattern in method["names"].items():
        # `family` and others come with groups of their own, which stay unnamed.
        source = source.replace(f"{{{key}}}", f"(?P<{key}>{pattern})")
    return Method(name, method["method"], re.compile(source), method["query"], method["request"], method["response"])


def _check_parameter(name: str, value: str, method: Method) -> None:
    if name not in method.query:
        raise Refusal(
            400, "badRequest", f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter.'
        )
    schema = method.query[name]
    if schema.get("type") == "integer" and not re.fullmatch(r"\d{1,10}", value):
        raise Refusal(400, "invalidParameter", f"Invalid value '{value}'. Values must match the type of '{name}'.")
    if schema.get("type") == "boolean" and value.lower() not in ("true", "false"):
        raise Refusal(400, "invalidParameter", f"Invalid value '{value}' for the parameter '{name}'.")


def _of_kind(kind: type, value: Any, place: str) -> Any:
    if not isinstance(value, kind):
        raise invalid(place, value, f"It must be of type {'object' if kind is dict else 'array'}.")
    return value


def _scalar(value: Any, schema: Json, place: str) -> Any:
    """The value as Google reads it: whole numbers may come as text and the other way round."""
    kind, form = schema.get("type"), schema.get("format", "")
    if form in _INTEGERS:
        text = str(value)
        if isinstance(value, bool) or not re.fullmatch(r"-?\d{1,20}", text) or int(text) >= 2 ** _INTEGERS[form]:
            raise invalid(place, value, f"It must be a whole number of the form {form}.")
        return text if kind == "string" else int(text)
    if kind in _KINDS and (not isinstance(value, _KINDS[kind]) or (isinstance(value, bool) and kind != "boolean")):
        raise invalid(place, value, f"It must be of type {kind}.")
    if "enum" in schema and value not in schema["enum"]:
        raise invalid(place, value, f"It must be one of {', '.join(schema['enum'])}.")
    return value
