"""What a test or a user can set up in the emulated AWS: accounts, regions, zones, capacity and failed launches."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from werkzeug.wrappers import Response

from gpuctl_sandbox.aws.wire import Call, json_refusal, query_refusal, refusal
from gpuctl_sandbox.fidelity import Rule

_INVALID_TOKEN = "The security token included in the request is invalid."

RULES = (
    Rule(
        "AWS",
        "region that is not enabled",
        "EC2 answers `AuthFailure` (401), STS `InvalidClientTokenId` (403), SSM and the other JSON services "
        "`UnrecognizedClientException` (400); DescribeRegions leaves the region out.",
        "turbot/steampipe-plugin-aws#75 (EC2), aws/aws-sdk-ruby#2850 (STS), aws/chalice#1445 (JSON services)",
        "reported",
    ),
    Rule(
        "AWS",
        "zone without a default subnet",
        "RunInstances that names a zone without a default subnet and no subnet is `InvalidInput`: No default subnet "
        "for availability zone; one that names no zone gets another zone.",
        "juju's table of EC2 errors per zone (provider/ec2) and nozaq/terraform-aws-secure-baseline#31",
        "reported",
    ),
    Rule(
        "AWS",
        "type that a zone does not support",
        "RunInstances in a zone that does not support the type is `Unsupported` (400), which names the zones that do; "
        "without a zone EC2 takes a zone that supports the type.",
        "skyplane-project/skyplane#172, fedora-copr/copr#2840",
        "reported",
    ),
    Rule(
        "AWS",
        "zone without capacity",
        "RunInstances in a zone without capacity is `InsufficientInstanceCapacity` (500); without a zone EC2 takes a "
        "zone that has capacity.",
        "EC2 API error codes, server error codes; message as quoted in runs-on/runs-on#5",
        "documented",
    ),
    Rule(
        "AWS",
        "account of an access key",
        "Every access key belongs to one account; instances of other accounts are not visible with it.",
        "STS API reference, GetCallerIdentity",
        "documented",
    ),
    Rule(
        "AWS",
        "instance that ends while launching",
        "RunInstances succeeds, then the instance goes from pending to terminated, and StateReason names the cause.",
        "EC2 service model, StateReason.Message; EC2 user guide, Instance terminates immediately",
        "documented",
    ),
)


@dataclass(frozen=True)
class LaunchFailure:
    """How the next launches end: StateReason's code and message of the instance."""

    code: str
    message: str


@dataclass
class Conditions:
    """The settings, named as in the JSON that changes them; a reset restores these defaults.

    `accounts`: account ID by access key ID; unlisted keys belong to the default account. `disabledRegions`: names.
    `noDefaultSubnet`: zone names whose default subnet is deleted when set. `unsupported` and `full`: zone names by
    instance type; the type `*` means every type. `launchFailures`: one entry per launch that fails.
    """

    accounts: dict[str, str] = field(default_factory=dict)
    disabled_regions: list[str] = field(default_factory=list)
    no_default_subnet: list[str] = field(default_factory=list)
    unsupported: dict[str, list[str]] = field(default_factory=dict)
    full: dict[str, list[str]] = field(default_factory=dict)
    launch_failures: list[LaunchFailure] = field(default_factory=list)

    def change(self, settings: Mapping[str, Any]) -> None:
        """Apply all settings, or raise ValueError and apply none of them."""
        types = {_camel_case(field.name): (field.name, type(getattr(self, field.name))) for field in fields(self)}
        for name, value in settings.items():
            if name not in types or not isinstance(value, types[name][1]):
                raise ValueError(f"unknown setting or value: {name}")
        for name, value in settings.items():
            self.__dict__[types[name][0]] = _failures(value) if name == "launchFailures" else value

    def account_of(self, call: Call) -> str:
        """The account whose resources this call sees."""
        return self.accounts.get(call.access_key, DEFAULT_ACCOUNT_ID)

    def refused_region(self, call: Call) -> Response | None:
        """The refusal of a call to a region that the account has not enabled; None if the region is enabled."""
        if call.region not in self.disabled_regions:
            return None
        return unknown_login(call)

    def zone_refusal(self, instance_type: str, zone: str, zones: list[str]) -> Response | None:
        """EC2's refusal of this type in this zone; None if it can be launched. `zones`: all zones of the region."""
        if zone in _zones(self.unsupported, instance_type):
            others = [name for name in zones if name not in _zones(self.unsupported, instance_type)]
            return refusal(
                "Unsupported",
                f"Your requested instance type ({instance_type}) is not supported in your requested Availability Zone "
                f"({zone}). Please retry your request by not specifying an Availability Zone or choosing "
                f"{', '.join(others)}."
                if others
                else "The requested configuration is currently not supported. Please check the documentation for "
                "supported configurations.",
            )
        if zone in _zones(self.full, instance_type):
            return refusal(
                "InsufficientInstanceCapacity",
                f"We currently do not have sufficient {instance_type} capacity in the Availability Zone you requested "
                f"({zone}). Our system will be working on provisioning additional capacity.",
                status=500,
            )
        return None


def unknown_login(call: Call) -> Response:
    """The refusal of credentials that a region does not know, in the words of each service."""
    if call.service == "ec2":
        return refusal("AuthFailure", "AWS was not able to validate the provided access credentials", status=401)
    if call.form:
        return query_refusal("InvalidClientTokenId", _INVALID_TOKEN, status=403)
    return json_refusal("UnrecognizedClientException", _INVALID_TOKEN)


def read_settings(body: bytes) -> dict[str, Any]:
    """The JSON object in a request's body. Raises ValueError for anything else."""
    settings = json.loads(body or b"{}")
    if not isinstance(settings, dict):
        raise ValueError("settings are a JSON object")
    return settings


def _zones(by_type: Mapping[str, list[str]], instance_type: str) -> list[str]:
    return [*by_type.get(instance_type, ()), *by_type.get("*", ())]


def _failures(value: list[Any]) -> list[LaunchFailure]:
    try:
        return [LaunchFailure(str(entry["code"]), str(entry["message"])) for entry in value]
    except (TypeError, KeyError) as error:
        raise ValueError("a launch failure has a code and a message") from error


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
