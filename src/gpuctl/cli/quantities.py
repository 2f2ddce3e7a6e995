"""Types of option values that few commands have: seconds of a trace, shares."""

import re

from gpuctl.cli.parameters import ParameterType, above_zero
from gpuctl.domain.duration import parse_duration

_NUMBER = re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII)


def _seconds(text: str, name: str) -> float:
    """Plain seconds, or a duration."""
    plain = text.strip(" ")
    return float(plain) if _NUMBER.fullmatch(plain) else parse_duration(text, option=name).total_seconds()


SHARE = above_zero("SHARE", "a share, such as `0.3`")
SECONDS = ParameterType("S", _seconds)
