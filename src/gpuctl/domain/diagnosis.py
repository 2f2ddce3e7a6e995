"""The result of a check by doctor: one line each, with the command that fixes it."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The result of one check. UNKNOWN could not be checked, and is no failure."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its name, its result, and a command to type where that helps."""

    check: str
    verdict: Verdict
    text: str
    hint: str | None = None
