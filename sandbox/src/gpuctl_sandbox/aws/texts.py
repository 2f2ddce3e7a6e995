"""The texts that EC2 rejects although its service model declares them as plain strings."""

import re
from dataclasses import dataclass

from werkzeug.wrappers import Response

from gpuctl_sandbox.aws.wire import Call, refusal
from gpuctl_sandbox.fidelity import Rule

_GROUP_CHARACTERS = r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]"
_GROUP_SET = "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"


@dataclass(frozen=True)
class Text:
    """The values that one parameter of some actions may have, and EC2's answer to any other."""

    rule: Rule
    actions: re.Pattern[str]
    parameter: re.Pattern[str]
    allowed: re.Pattern[str]
    code: str
    message: str  # may contain {value}


TEXTS = (
    Text(
        Rule(
            "AWS",
            "security group description",
            "A description has 1 to 255 characters from the set `a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*`; no apostrophe.",
            "EC2 service model, CreateSecurityGroupRequest.Description; message as quoted in "
            "cds-snc/notification-terraform#561",
            "documented",
        ),
        re.compile("CreateSecurityGroup"),
        re.compile("GroupDescription"),
        re.compile(rf"{_GROUP_CHARACTERS}{{1,255}}"),
        "InvalidParameterValue",
        "Invalid security group description. Valid descriptions are strings less than 256 characters from the "
        f"following set:  {_GROUP_SET}",
    ),
    Text(
        Rule(
            "AWS",
            "security group name",
            "A name has 1 to 255 characters from the same set and does not begin with `sg-`.",
            "EC2 service model, CreateSecurityGroupRequest.GroupName",
            "documented",
        ),
        re.compile("CreateSecurityGroup"),
        re.compile("GroupName"),
        re.compile(rf"(?!sg-){_GROUP_CHARACTERS}{{1,255}}"),
        "InvalidParameterValue",
        "Value ({value}) for parameter GroupName is invalid.",
    ),
    Text(
        Rule(
            "AWS",
            "security group rule description",
            "The description of an address range in a rule has at most 255 characters from the same set.",
            "EC2 service model, IpRange.Description and Ipv6Range.Description; message as quoted in "
            "aws-cloudformation/cfn-lint#173",
            "documented",
        ),
        re.compile(r"AuthorizeSecurityGroup\w+|UpdateSecurityGroupRuleDescriptions\w+"),
        re.compile(r"IpPermissions\.\d+\.(IpRanges|Ipv6Ranges)\.\d+\.Description"),
        re.compile(rf"{_GROUP_CHARACTERS}{{0,255}}"),
        "InvalidParameterValue",
        "Invalid rule description. Valid descriptions are strings less than 256 characters from the following set:  "
        f"{_GROUP_SET}",
    ),
)


def refused_text(call: Call) -> Response | None:
    """EC2's refusal of the first text in this call that it does not accept; None if all are acceptable."""
    for text in TEXTS:
        if not text.actions.fullmatch(call.action):
            continue
        for parameter, value in call.form.items():
            if text.parameter.fullmatch(parameter) and not text.allowed.fullmatch(value):
                return refusal(text.code, text.message.replace("{value}", value))
    return None
