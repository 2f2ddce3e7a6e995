"""Every AWS request checked against the service model that AWS publishes, before the emulated cloud acts on it.

The SDK checks little of an EC2 request before it is sent. Here the request is read back into the shape that the model
declares: unknown parameters, missing ones, wrong types, unknown enum values and lengths are refused as AWS does.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from html import unescape
from typing import Any

from moto.core.utils import get_service_model
from werkzeug.wrappers import Response

from gpuctl_sandbox.aws.wire import Call, json_refusal, query_refusal, refusal
from gpuctl_sandbox.fidelity import Rule

RULES = (
    Rule(
        "AWS",
        "unknown parameter",
        "A parameter that the service model does not declare for the action is refused: EC2 `UnknownParameter`.",
        "botocore service models; EC2 API error codes. That the JSON services refuse it as well is assumed",
        "documented",
    ),
    Rule(
        "AWS",
        "missing parameter",
        "A request without a parameter that the model declares as required is refused: EC2 `MissingParameter`.",
        "botocore service models, `required`; EC2 API error codes",
        "documented",
    ),
    Rule(
        "AWS",
        "parameter value",
        "A value of another type, outside the enum, or outside the length, range or pattern of the model is refused: "
        "EC2 `InvalidParameterValue`, JSON services `ValidationException`.",
        "botocore service models; EC2 API error codes",
        "documented",
    ),
    Rule(
        "AWS",
        "filters",
        "A filter name that the action does not document is `InvalidParameterValue`; more than 200 values of a filter "
        "are `FilterLimitExceeded`.",
        "EC2 service model, documentation of `Filters`; EC2 API error codes, FilterLimitExceeded",
        "documented",
    ),
)

# Signing name -> name of the service model. Other services do not exist here.
_MODELS = {
    "ec2": "ec2",
    "ssm": "ssm",
    "sts": "sts",
    "servicequotas": "service-quotas",
    "pricing": "pricing",
}
_ENVELOPE = ("Action", "Version")
_FILTER_VALUES = 200
_FILTER_NAME = re.compile(r"<li> ?<p> ?<code>([^<]+)</code>")


class _Refused(Exception):
    """Why a request is refused: one of `unknown`, `missing`, `value`, `limit`, and the parameter's name."""

    def __init__(self, kind: str, parameter: str, value: object = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.parameter = parameter
        self.value = value


def refused_request(call: Call) -> Response | None:
    """AWS's refusal of a request that does not fit its service model; None if it fits, or the service has no model."""
    if call.service not in _MODELS:
        return None
    model = get_service_model(_MODELS[call.service])
    if call.action not in model.operation_names:
        return _answer(call, "InvalidAction", f"The action {call.action} is not valid for this web service.")
    shape = model.operation_model(call.action).input_shape
    try:
        if call.form:
            _check_form(call, shape)
        else:
            _check_json(shape, call.body)
    except _Refused as refused:
        return _refusal(call, refused)
    return None


def _check_form(call: Call, shape: Any) -> None:
    names = {name: value for name, value in call.form.items() if name not in _ENVELOPE}
    if shape is None:
        for name in names:
            raise _Refused("unknown", name)
        return
    _check_structure(shape, _tree(names), "")
    _check_filters(call, shape)


def _tree(names: Mapping[str, str]) -> dict[str, Any]:
    """`A.1.B=x` as {"A": {"1": {"B": "x"}}}. Raises _Refused where a name is a value and has parts as well."""
    tree: dict[str, Any] = {}
    for name, value in names.items():
        *parts, last = name.split(".")
        node = tree
        for part in parts:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise _Refused("unknown", name)
        if last in node:
            raise _Refused("unknown", name)
        node[last] = value
    return tree


def _check(shape: Any, value: Any, path: str) -> None:
    if shape.type_name == "structure":
        _check_structure(shape, _object(value, path), path)
    elif shape.type_name == "list":
        for number, element in _elements(value, path):
            _check(shape.member, element, f"{path}.{number}")
    else:
        _check_value(shape, value, path)


def _check_structure(shape: Any, values: Mapping[str, Any], path: str) -> None:
    members = {_wire_name(name, member): (name, member) for name, member in shape.members.items()}
    for name in values:
        if name not in members:
            raise _Refused("unknown", _joined(path, name))
    for name, (declared, member) in members.items():
        if name in values:
            _check(member, values[name], _joined(path, name))
        elif declared in shape.required_members:
            raise _Refused("missing", _joined(path, name))


def _wire_name(name: str, shape: Any) -> str:
    """The name of a member in an EC2 form, where a location name begins with a capital."""
    if "queryName" in shape.serialization:
        return str(shape.serialization["queryName"])
    located = str(shape.serialization.get("name", name))
    return located[0].upper() + located[1:]


def _object(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _Refused("value", path, value)
    return value


def _elements(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    numbered = _object(value, path)
    for number in numbered:
        if not number.isdecimal():
            raise _Refused("unknown", _joined(path, number))
    yield from numbered.items()


def _check_value(shape: Any, value: Any, path: str) -> None:
    if not isinstance(value, str):
        raise _Refused("unknown", _joined(path, next(iter(value), "")) if isinstance(value, dict) else path)
    kind, limits = shape.type_name, shape.metadata
    if kind in ("integer", "long", "float", "double"):
        if not re.fullmatch(r"-?\d+" if kind in ("integer", "long") else r"-?\d+(\.\d+)?", value):
            raise _Refused("value", path, value)
        _check_range(limits, float(value), path, value)
    elif kind == "boolean":
        if value not in ("true", "false"):
            raise _Refused("value", path, value)
    elif kind == "string":
        _check_text(limits, value, path)


def _check_text(limits: Mapping[str, Any], value: str, path: str) -> None:
    if limits.get("enum") and value not in limits["enum"]:
        raise _Refused("value", path, value)
    if limits.get("pattern") and not _matches(limits["pattern"], value):
        raise _Refused("value", path, value)
    _check_range(limits, len(value), path, value)


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:  # a pattern of another dialect
        return True


def _check_range(limits: Mapping[str, Any], size: float, path: str, value: object) -> None:
    if size < limits.get("min", size) or size > limits.get("max", size):
        raise _Refused("value", path, value)


def _check_json(shape: Any, body: bytes) -> None:
    try:
        values = json.loads(body or b"{}")
    except ValueError as error:
        raise _Refused("value", "body", "not JSON") from error
    if shape is not None:
        _check_json_value(shape, values, "")


def _check_json_value(shape: Any, value: Any, path: str) -> None:
    expected = {"structure": dict, "map": dict, "list": list, "boolean": bool, "integer": int, "string": str}
    kind = shape.type_name
    if kind in expected and (not isinstance(value, expected[kind]) or (kind == "integer" and isinstance(value, bool))):
        raise _Refused("value", path, value)
    if kind == "structure":
        for name in value:
            if name not in shape.members:
                raise _Refused("unknown", _joined(path, name))
            _check_json_value(shape.members[name], value[name], _joined(path, name))
        for name in shape.required_members:
            if name not in value:
                raise _Refused("missing", _joined(path, name))
    elif kind == "list":
        _check_range(shape.metadata, len(value), path, value)
        for number, element in enumerate(value, 1):
            _check_json_value(shape.member, element, f"{path}.{number}")
    elif kind == "integer":
        _check_range(shape.metadata, value, path, value)
    elif kind == "string":
        _check_text(shape.metadata, value, path)


def _check_filters(call: Call, shape: Any) -> None:
    member = shape.members.get("Filters") or shape.members.get("Filter")
    if member is None:
        return
    names = _filter_names(call.action)
    for parameter, value in call.form.items():
        if re.fullmatch(r"Filter\.\d+\.Name", parameter) and names and value.partition(":")[0] not in names:
            raise _Refused("value", "filter", value)
        number = re.fullmatch(r"Filter\.\d+\.Value\.(\d+)", parameter)
        if number and int(number[1]) > _FILTER_VALUES:
            raise _Refused("limit", "filter", value)


@cache
def _filter_names(action: str) -> frozenset[str]:
    """The filters that this EC2 action documents, `tag:<key>` as `tag`; empty where it documents none."""
    shape: Any = get_service_model("ec2").operation_model(action).input_shape
    member = shape.members.get("Filters") or shape.members.get("Filter")
    names = _FILTER_NAME.findall(member.documentation)
    return frozenset(unescape(name).partition(":")[0] for name in names)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _refusal(call: Call, refused: _Refused) -> Response:
    name = refused.parameter
    if not call.form:
        return json_refusal(
            "ValidationException", f"1 validation error detected: Value at '{name}' failed to satisfy constraint"
        )
    match refused.kind:
        case "unknown":
            return _answer(call, "UnknownParameter", f"The parameter {name} is not recognized")
        case "missing":
            return _answer(call, "MissingParameter", f"The request must contain the parameter {name}")
        case "limit":
            return _answer(call, "FilterLimitExceeded", f"The maximum number of filter values is {_FILTER_VALUES}")
        case _ if name == "filter":
            return _answer(call, "InvalidParameterValue", f"The filter '{refused.value}' is invalid")
        case _:
            return _answer(call, "InvalidParameterValue", f"Value ({refused.value}) for parameter {name} is invalid.")


def _answer(call: Call, code: str, message: str) -> Response:
    if not call.form:
        return json_refusal(code, message)
    return (refusal if call.service == "ec2" else query_refusal)(code, message)
