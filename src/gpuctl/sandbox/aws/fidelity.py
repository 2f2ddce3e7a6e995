"""The rules of the emulated AWS and their sources, for docs/fidelity.md."""

from gpuctl.sandbox.aws.conditions import RULES as CONDITIONS
from gpuctl.sandbox.aws.gate import RULES as GATE
from gpuctl.sandbox.aws.groups import RULES as GROUP_RULES
from gpuctl.sandbox.aws.prose import PROSE
from gpuctl.sandbox.aws.texts import TEXTS
from gpuctl.sandbox.fidelity import Rule

RULES: tuple[Rule, ...] = (
    *(text.rule for text in TEXTS),
    *GATE,
    *(prose.rule for prose in PROSE),
    *CONDITIONS,
    *GROUP_RULES,
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
)
