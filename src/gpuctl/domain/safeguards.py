"""The mechanisms that terminate an instance although nobody comes back, as read from where each of them is set.

States written before these words had others (`protection`, `killer`, `standing`, `seen running`), which are still read.
"""

from enum import StrEnum

from pydantic import AliasChoices, AwareDatetime, Field

from gpuctl.domain.value import Value


class Mechanism(StrEnum):
    """The three safeguards."""

    REAPER = "reaper"
    SWEEP = "sweep"
    TIMER = "timer"


class SafeguardStatus(StrEnum):
    """What is known of a safeguard: set, seen at work, or not there."""

    CONFIGURED = "configured"
    VERIFIED = "verified"
    MISSING = "missing"

    @classmethod
    def _missing_(cls, value: object) -> "SafeguardStatus | None":
        return cls.VERIFIED if value == "seen running" else None


class Safeguard(Value):
    """One safeguard of an instance, when it acts, and when that was read.

    `afterwards` is None where nothing bills once it has acted. Otherwise it only stops the instance, and `afterwards`
    is what the provider does later, or empty; it is not saved.
    """

    mechanism: Mechanism = Field(validation_alias=AliasChoices("mechanism", "killer"))
    status: SafeguardStatus = Field(validation_alias=AliasChoices("status", "standing"))
    acts_at: AwareDatetime | None = None
    checked_at: AwareDatetime = Field(validation_alias=AliasChoices("checked_at", "read_at"))
    detail: str = ""
    afterwards: str | None = Field(default=None, exclude=True)

    @property
    def is_timer(self) -> bool:
        """Whether it is the shutdown timer."""
        return self.mechanism is Mechanism.TIMER

    @property
    def is_missing(self) -> bool:
        """Whether it would not act."""
        return self.status is SafeguardStatus.MISSING
