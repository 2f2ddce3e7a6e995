"""Where records are saved that the state cannot take, whatever its store."""

from collections.abc import Sequence
from typing import Protocol

from gpuctl.domain.instance import Instance
from gpuctl.errors import StateUnusableError


class Rescue(Protocol):
    """Records of one state on this computer that wait until the state takes them again."""

    def save(self, record: Instance) -> str:
        """Save this record, durably, and return where; twice replaces it. Raises StateUnusableError."""
        ...

    def saved(self) -> Sequence[Instance]:
        """Every record that waits; unreadable ones are left where they are."""
        ...

    def delete(self, record_id: str) -> None:
        """Remove that record; twice is harmless. Raises StateUnusableError."""
        ...


class NoRescue:
    """A `Rescue` where nothing can be saved."""

    def save(self, record: Instance) -> str:
        raise StateUnusableError("there is no folder for rescue files")

    def saved(self) -> Sequence[Instance]:
        return ()

    def delete(self, record_id: str) -> None:
        return None
