"""What a look at the health of a setup finds: one line each, with what to type to mend it."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How it stands with one thing. UNKNOWN is what could not be asked, and is no failure."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: its name in a word, how it stands, and what to type where that helps."""

    check: str
    verdict: Verdict
    text: str
    hint: str | None = None
