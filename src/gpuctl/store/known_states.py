"""What this computer remembers of a state on an engine, for when the engine is lost or out of reach."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class KnownState:
    """The ID of a state, and the newest serial that was seen."""

    state_id: str
    serial: int


class KnownStates(Protocol):
    """By location. Losing it costs the ability to terminate by tags while the engine is out of reach."""

    def read(self, location: str) -> KnownState | None:
        """What is remembered; None where that is nothing or cannot be read. Never raises."""
        ...

    def save(self, location: str, known: KnownState) -> None:
        """Remember that, if it can be saved. Never raises."""
        ...


class NoKnownStates:
    """`KnownStates` that remember nothing."""

    def read(self, location: str) -> KnownState | None:
        return None

    def save(self, location: str, known: KnownState) -> None:
        return None
