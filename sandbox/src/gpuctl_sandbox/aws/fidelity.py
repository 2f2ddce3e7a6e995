"""The rules of the emulated AWS and their sources, for docs/fidelity.md."""

from gpuctl_sandbox.aws.conditions import RULES as CONDITIONS
from gpuctl_sandbox.aws.gate import RULES as GATE
from gpuctl_sandbox.aws.groups import RULES as GROUP_RULES
from gpuctl_sandbox.aws.guests import RULES as GUESTS
from gpuctl_sandbox.aws.images import RULES as IMAGES
from gpuctl_sandbox.aws.lives import RULES as LIVES
from gpuctl_sandbox.aws.prose import PROSE
from gpuctl_sandbox.aws.texts import TEXTS
from gpuctl_sandbox.fidelity import Rule

RULES: tuple[Rule, ...] = (
    *(text.rule for text in TEXTS),
    *GATE,
    *IMAGES,
    *LIVES,
    *(prose.rule for prose in PROSE),
    *CONDITIONS,
    *GROUP_RULES,
    *GUESTS,
    Rule(
        "AWS",
        "client token",
        "A repeated RunInstances with the same token and parameters returns the same instances; with other parameters "
        "it is `IdempotentParameterMismatch`, after their termination `IdempotentInstanceTerminated`.",
        "EC2 developer guide, Ensuring idempotency in Amazon EC2 API requests",
        "documented",
    ),
    Rule(
        "AWS",
        "terminated instances stay visible for an hour",
        "A terminated instance is listed for one hour; afterwards its ID is `InvalidInstanceID.NotFound`.",
        "EC2 user guide, Terminate Amazon EC2 instances",
        "documented",
    ),
    Rule(
        "AWS",
        "newest console output",
        "GetConsoleOutput with `Latest` is `UnsupportedOperation` for instance types that are not built on Nitro.",
        "EC2 API reference, GetConsoleOutput; the message is quoted in the end-to-end tests of aws-k8s-tester",
        "reported",
    ),
    Rule(
        "AWS",
        "newest console output of a terminated instance",
        "GetConsoleOutput with `Latest` is empty for a terminated instance; without it, the last output stays for an "
        "hour.",
        "EC2 API reference, GetConsoleOutput, says when output is posted; no source on `Latest` after the end",
        "assumed",
    ),
    Rule(
        "AWS",
        "user data is executed by cloud-init only",
        "An image without cloud-init executes no user data; one with cloud-init runs a `text/cloud-boothook` part at "
        "every boot, a minute after the launch at the latest.",
        "cloud-init, User data formats; the minute is assumed",
        "documented",
    ),
    Rule(
        "AWS",
        "IPv6 endpoint of the metadata service",
        "RunInstances with `HttpProtocolIpv6` enabled is `UnsupportedOperation` for instance types on Xen.",
        "aws/aws-ec2-imdsv2-get#6 quotes the message, of ModifyInstanceMetadataOptions",
        "reported",
    ),
)
