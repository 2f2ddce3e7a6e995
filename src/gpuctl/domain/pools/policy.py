"""Policies of a pool: how many idle instances it holds, and how long an idle instance is kept."""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from gpuctl.domain.duration import as_typed, exact, parse_duration
from gpuctl.errors import UsageError

DEFAULT_WAITING_VALUE = 30.0
POLICY_FORMS = ("auto", "on-demand", "keep:10m", "reactive", "predict", "tuned", "always:N")
_QUIET_S = 300
_MOST_INSTANCES = 10_000
_WORTH = re.compile(r"\d{1,6}(\.\d{1,3})?", re.ASCII)


class PolicyKind(StrEnum):
    """The closed set of policies."""

    ON_DEMAND = "on-demand"
    KEEP = "keep"
    REACTIVE = "reactive"
    PREDICT = "predict"
    ALWAYS = "always"
    TUNED = "tuned"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy. `keep_s` belongs to `keep`, `count` to `always`; `str()` is the text that `parse_policy` accepts.

    `worth` belongs to `predict`: the value of waiting that it assumes, in prices of an instance; None means the pool's.
    """

    kind: PolicyKind
    keep_s: int = 0
    count: int = 0
    worth: float | None = None

    def __str__(self) -> str:
        match self.kind:
            case PolicyKind.KEEP:
                return f"keep:{spelled_seconds(self.keep_s)}"
            case PolicyKind.ALWAYS:
                return f"always:{self.count}"
            case PolicyKind.PREDICT if self.worth is not None:
                return f"predict:{self.worth:g}"
            case _:
                return self.kind.value


ON_DEMAND, REACTIVE, PREDICT, TUNED, AUTO = (
    Policy(kind)
    for kind in (PolicyKind.ON_DEMAND, PolicyKind.REACTIVE, PolicyKind.PREDICT, PolicyKind.TUNED, PolicyKind.AUTO)
)


def parse_policy(text: str, *, option: str = "--policy") -> Policy:
    """The policy that the text names. UsageError, naming the option, for anything else."""
    name, _, value = text.strip(" ").casefold().partition(":")
    if not value and text.strip(" ")[-1:] != ":":
        for policy in (ON_DEMAND, REACTIVE, PREDICT, TUNED, AUTO):
            if name == policy.kind:
                return policy
    if name == PolicyKind.KEEP and value:
        keep_s = int(parse_duration(value, option=f"the time of {option} keep").total_seconds())
        return Policy(PolicyKind.KEEP, keep_s=keep_s) if keep_s else ON_DEMAND
    if name == PolicyKind.ALWAYS and value.isdecimal() and value.isascii() and 1 <= int(value[:9]) <= _MOST_INSTANCES:
        return Policy(PolicyKind.ALWAYS, count=int(value))
    if name == PolicyKind.PREDICT and _WORTH.fullmatch(value) and float(value) > 0:
        return Policy(PolicyKind.PREDICT, worth=float(value))
    raise UsageError(
        f"{option} must be auto, on-demand, keep:TIME, reactive, predict, tuned or always:N, not {as_typed(text)}",
        hint="for example `keep:10m` or `always:2`",
    )


def idle_limit_s(policy: Policy) -> int | None:
    """How long an instance beyond demand and spares may be idle before it is terminated. None: without limit."""
    match policy.kind:
        case PolicyKind.ON_DEMAND:
            return 0
        case PolicyKind.KEEP:
            return policy.keep_s
        case PolicyKind.ALWAYS:
            return None
        case _:
            return _QUIET_S


def waiting_value(wait_cost_usd: Decimal | None, usd_per_hour: Decimal | None) -> float:
    """What an hour of waiting is worth, in hours of an instance; 30 where one of the two is unknown or 0."""
    if not wait_cost_usd or not usd_per_hour:
        return DEFAULT_WAITING_VALUE
    return float(wait_cost_usd / usd_per_hour)


def spelled_seconds(seconds: int) -> str:
    """Seconds as a duration is typed: `10m`."""
    from datetime import timedelta

    return exact(timedelta(seconds=seconds))
