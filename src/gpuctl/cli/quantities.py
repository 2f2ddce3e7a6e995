"""Types of option values that few commands have: seconds of a trace, shares, work."""

import re
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from gpuctl.cli.parameters import ParameterType, above_zero, word_choice
from gpuctl.domain.duration import as_typed, parse_duration
from gpuctl.errors import UsageError

_UNIT = re.compile(r"[\w.-]{1,40}")
_NUMBER = re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII)


def _seconds(text: str, name: str) -> float:
    """Plain seconds, or a duration."""
    plain = text.strip(" ")
    return float(plain) if _NUMBER.fullmatch(plain) else parse_duration(text, option=name).total_seconds()


SHARE = above_zero("SHARE", "a share, such as `0.3`")
SECONDS = ParameterType("S", _seconds)


class Work(NamedTuple):
    """One value of `--work`: a duration is the time that the work takes, a plain number the amount that was done."""

    duration: timedelta | None = None
    amount: Decimal | None = None


def _work(text: str, name: str) -> Work:
    plain = text.strip(" ")
    if _NUMBER.fullmatch(plain):
        return Work(amount=Decimal(plain))
    try:
        return Work(parse_duration(text, option=name))
    except UsageError:
        raise UsageError(
            f"{name} must be a duration such as `2h`, or an amount such as `120` with `--unit`, not {as_typed(text)}"
        ) from None


WORK: ParameterType[Work] = ParameterType("TIME|AMOUNT", _work)
WORK_HELP = (
    "Duration of the work, such as 2h, or an amount with --unit "
    "[default: duration within which 90% of past runs of --purpose finished]"
)


def duration_of(work: Sequence[Work] | None) -> timedelta | None:
    """The duration among these values; None without one. UsageError if there are two, or one that is not above zero."""
    spans = [each.duration for each in work or () if each.duration is not None]
    if len(spans) > 1 or any(span <= timedelta(0) for span in spans):
        raise UsageError("--work takes one duration above zero", hint="add `--work 2h`")
    return spans[0] if spans else None


def amount_of(work: Sequence[Work] | None, unit: str | None) -> Decimal | None:
    """The amount among these values; None without one. UsageError without `--unit`, or if there are two."""
    amounts = [each.amount for each in work or () if each.amount is not None]
    if len(amounts) > 1 or any(amount <= 0 for amount in amounts):
        raise UsageError("--work takes one amount above zero", hint="add `--work 120 --unit docs`")
    if amounts and unit is None:
        raise UsageError("an amount of work needs its unit", hint=f"add `--unit docs`, or a duration: `{amounts[0]}m`")
    if unit is not None and not amounts:
        raise UsageError("--unit needs an amount of work", hint=f"add `--work 120 --unit {unit}`")
    return amounts[0] if amounts else None


def _unit(text: str, name: str) -> str:
    unit = text.strip(" ")
    if not _UNIT.fullmatch(unit):
        raise UsageError(f"{name} must be 1 to 40 letters, digits, `.`, `-` or `_`, not {as_typed(text)}")
    return unit


UNIT = ParameterType("UNIT", _unit)
BY_WORK = word_choice("work", ("work",))
BY_WORK_HELP = "Rank by cost per unit of work, measured in past runs of --purpose"
