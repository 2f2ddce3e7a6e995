"""What ends a machine though nobody comes back, as it was read back from where it stands."""

from enum import StrEnum

from pydantic import AwareDatetime

from gpuctl.domain.value import Value


class Killer(StrEnum):
    """What ends a machine though nobody comes back."""

    REAPER = "reaper"
    SWEEP = "sweep"
    TIMER = "timer"


class Standing(StrEnum):
    """How sure it is that one of them will act."""

    CONFIGURED = "configured"
    RUNNING = "seen running"
    MISSING = "missing"


class Protector(Value):
    """One of the killers as it was read back from where it stands, and when it would act."""

    killer: Killer
    standing: Standing
    acts_at: AwareDatetime | None = None
    read_at: AwareDatetime
    detail: str = ""
