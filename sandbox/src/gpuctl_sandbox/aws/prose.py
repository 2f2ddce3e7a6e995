"""The rules of EC2 that stand only in the prose of its documentation, each with its source."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from werkzeug.wrappers import Response

from gpuctl_sandbox.aws.wire import Call, refusal
from gpuctl_sandbox.fidelity import Rule

_METADATA_KEY = re.compile(r"[0-9a-zA-Z\-_+=,.@:]{1,255}")
_RESERVED_KEYS = (".", "..", "_index")
_USER_DATA_BYTES = 16384
_TAGS = 50
_KEY_LENGTH = 127
_VALUE_LENGTH = 256
_TAGGABLE = ("instance", "volume", "network-interface", "spot-instances-request", "elastic-gpu")
_TAG_KEY = re.compile(r"(?P<owner>TagSpecification\.\d+\.)?Tag\.(?P<number>\d+)\.Key")


@dataclass(frozen=True)
class Prose:
    """One rule: `broken` returns EC2's code and message for a call that breaks the rule, else None."""

    rule: Rule
    broken: Callable[[Call, Any], tuple[str, str] | None]


def refused_prose(call: Call, backend: Any) -> Response | None:
    """EC2's refusal by the first of these rules that the call breaks; None if it keeps them all."""
    for prose in PROSE:
        broken = prose.broken(call, backend)
        if broken is not None:
            return refusal(*broken)
    return None


def _tags(call: Call) -> Iterator[tuple[str, str, str]]:
    """The list that each tag of the call stands in, its key and its value."""
    for parameter, key in call.form.items():
        if match := _TAG_KEY.fullmatch(parameter):
            yield match["owner"] or "", key, call.form.get(parameter.removesuffix("Key") + "Value", "")


def _reserved_key(call: Call, backend: Any) -> tuple[str, str] | None:
    for _, key, _ in _tags(call):
        if key.lower().startswith("aws:"):
            return "InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use"
    return None


def _long_tag(call: Call, backend: Any) -> tuple[str, str] | None:
    for _, key, value in _tags(call):
        if not 1 <= len(key) <= _KEY_LENGTH:
            return "InvalidParameterValue", f"Tag key exceeds the maximum length of {_KEY_LENGTH} characters"
        if len(value) > _VALUE_LENGTH:
            return "InvalidParameterValue", f"Tag value exceeds the maximum length of {_VALUE_LENGTH} characters"
    return None


def _many_tags(call: Call, backend: Any) -> tuple[str, str] | None:
    lists: dict[str, list[str]] = {}
    for owner, key, _ in _tags(call):
        lists.setdefault(owner, []).append(key)
    for keys in lists.values():
        repeated = [key for key in keys if keys.count(key) > 1]
        if repeated:
            return "InvalidParameterValue", f"Duplicate tag key '{repeated[0]}' specified."
        for resource in call.values("ResourceId") if call.action == "CreateTags" else [""]:
            if len({*keys, *backend.tags.get(resource, ())}) > _TAGS:
                return "TagLimitExceeded", f"The maximum number of Tags for a resource is {_TAGS}."
    return None


def _metadata_key(call: Call, backend: Any) -> tuple[str, str] | None:
    if call.action == "RunInstances" and call.form.get("MetadataOptions.InstanceMetadataTags") == "enabled":
        keys = list(call.tags_for("instance"))
    elif call.action == "CreateTags" and any(_shows_tags(name, backend) for name in call.values("ResourceId")):
        keys = [key for _, key, _ in _tags(call)]
    else:
        return None
    for key in keys:
        if not _METADATA_KEY.fullmatch(key) or key in _RESERVED_KEYS:
            return (
                "InvalidParameterValue",
                f"'{key}' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\-_+=,.@:]{{1,255}}), and "
                "must not be a reserved name ('.', '..', '_index')",
            )
    return None


def _shows_tags(name: str, backend: Any) -> bool:
    return any(
        instance.id == name and instance.metadata_options.instance_metadata_tags == "enabled"
        for instance in backend.all_instances()
    )


def _not_taggable(call: Call, backend: Any) -> tuple[str, str] | None:
    if call.action != "RunInstances":
        return None
    for parameter, kind in call.form.items():
        if re.fullmatch(r"TagSpecification\.\d+\.ResourceType", parameter) and kind not in _TAGGABLE:
            return "InvalidParameterValue", f"'{kind}' is not a valid taggable resource type for this operation."
    return None


def _client_token(call: Call, backend: Any) -> tuple[str, str] | None:
    token = call.form.get("ClientToken", "")
    if len(token) > 64 or not token.isascii():
        return "InvalidParameterValue", f"Value ({token}) for parameter clientToken is invalid. At most 64 characters."
    return None


def _user_data(call: Call, backend: Any) -> tuple[str, str] | None:
    encoded = call.form.get("UserData", "")
    try:
        size = len(base64.b64decode(encoded, validate=True))
    except binascii.Error:
        return "InvalidParameterValue", "Invalid BASE64 encoding of user data."
    if size > _USER_DATA_BYTES:
        return "InvalidParameterValue", f"User data is limited to {_USER_DATA_BYTES} bytes"
    return None


def _hop_limit(call: Call, backend: Any) -> tuple[str, str] | None:
    limit = call.form.get("MetadataOptions.HttpPutResponseHopLimit", "1")
    if not 1 <= int(limit) <= 64:
        return "InvalidParameterValue", f"Value ({limit}) for parameter HttpPutResponseHopLimit is invalid."
    return None


def _spot_price(call: Call, backend: Any) -> tuple[str, str] | None:
    price = call.form.get("InstanceMarketOptions.SpotOptions.MaxPrice")
    if price is None:
        return None
    try:
        is_valid = Decimal(price) > Decimal("0.001")
    except InvalidOperation:
        is_valid = False
    return None if is_valid else ("InvalidParameterValue", f"Value ({price}) for parameter price is invalid.")


def _spot_kind(call: Call, backend: Any) -> tuple[str, str] | None:
    spot = "InstanceMarketOptions.SpotOptions"
    kind = call.form.get(f"{spot}.SpotInstanceType", "one-time")
    behaviour = call.form.get(f"{spot}.InstanceInterruptionBehavior", "terminate")
    if kind == "persistent" and behaviour == "terminate":
        return "InvalidParameterCombination", "Persistent Spot requests need the behavior stop or hibernate."
    if kind == "one-time" and behaviour != "terminate":
        return "InvalidParameterCombination", f"The behavior {behaviour} needs a persistent Spot request."
    return None


def _page_size(call: Call, backend: Any) -> tuple[str, str] | None:
    size = call.form.get("MaxResults")
    if call.action != "DescribeInstances" or size is None:
        return None
    if call.values("InstanceId"):
        return (
            "InvalidParameterCombination",
            "The parameter instancesSet cannot be used with the parameter maxResults",
        )
    if not 5 <= int(size) <= 1000:
        return "InvalidParameterValue", f"Value ( {size} ) for parameter maxResults is invalid. Expecting 5 to 1000."
    return None


def _status_count(call: Call, backend: Any) -> tuple[str, str] | None:
    if call.action == "DescribeInstanceStatus" and len(call.values("InstanceId")) > 100:
        return "InvalidParameterValue", "At most 100 instance IDs may be specified."
    return None


def _rule(name: str, statement: str, source: str, status: Any = "documented") -> Rule:
    return Rule("AWS", name, statement, source, status)


PROSE = (
    Prose(
        _rule(
            "tag key prefix",
            "A tag key that begins with `aws:` is `InvalidParameterValue`.",
            "EC2 service model, Tag.Key",
        ),
        _reserved_key,
    ),
    Prose(
        _rule(
            "tag lengths",
            f"A tag key has 1 to {_KEY_LENGTH} characters and a value at most {_VALUE_LENGTH}. The user guide allows "
            "128 for the key; the smaller number is used here.",
            "EC2 service model, Tag.Key and Tag.Value",
        ),
        _long_tag,
    ),
    Prose(
        _rule(
            "tag count",
            f"A resource has at most {_TAGS} tags (`TagLimitExceeded`), and no key twice in one request.",
            "EC2 API error codes, TagLimitExceeded; EC2 user guide, Tag restrictions",
        ),
        _many_tags,
    ),
    Prose(
        _rule(
            "tag keys in instance metadata",
            "With tags in instance metadata a key is of `0-9a-zA-Z-_+=,.@:` and not `.`, `..` or `_index`.",
            "EC2 user guide, Tag restrictions; message as quoted in seek-oss/aec#411",
        ),
        _metadata_key,
    ),
    Prose(
        _rule(
            "resources that RunInstances tags",
            "RunInstances tags instances, volumes, network interfaces and Spot requests only.",
            "EC2 service model, RunInstancesRequest.TagSpecifications",
        ),
        _not_taggable,
    ),
    Prose(
        _rule(
            "client token length",
            "A client token has at most 64 ASCII characters.",
            "EC2 service model, RunInstancesRequest.ClientToken",
        ),
        _client_token,
    ),
    Prose(
        _rule(
            "user data size",
            f"User data is valid base64 of at most {_USER_DATA_BYTES} bytes before encoding.",
            "EC2 user guide, Run commands at launch using instance user data",
        ),
        _user_data,
    ),
    Prose(
        _rule(
            "metadata hop limit",
            "The hop limit is an integer from 1 to 64.",
            "EC2 service model, InstanceMetadataOptionsRequest.HttpPutResponseHopLimit",
        ),
        _hop_limit,
    ),
    Prose(
        _rule(
            "spot price",
            "A maximum price is a number above 0.001.",
            "EC2 service model, SpotMarketOptions.MaxPrice",
        ),
        _spot_price,
    ),
    Prose(
        _rule(
            "spot request kind",
            "A persistent request needs the interruption behaviour stop or hibernate, a one-time request terminate.",
            "EC2 service model, SpotMarketOptions.SpotInstanceType",
        ),
        _spot_kind,
    ),
    Prose(
        _rule(
            "page size of DescribeInstances",
            "MaxResults is from 5 to 1000 and not combined with instance IDs.",
            "EC2 API reference, DescribeInstances, MaxResults",
        ),
        _page_size,
    ),
    Prose(
        _rule(
            "instances per DescribeInstanceStatus",
            "At most 100 instance IDs in one request.",
            "EC2 service model, DescribeInstanceStatusRequest.InstanceIds",
        ),
        _status_count,
    ),
)
