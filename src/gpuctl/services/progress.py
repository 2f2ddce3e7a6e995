"""The progress and warnings that a service reports while it works."""

from typing import Protocol


class Progress(Protocol):
    """Where services write progress and warnings. Results are returned, never written here."""

    def info(self, text: str) -> None:
        """Write one line that stays."""
        ...

    def warn(self, text: str, *, is_complete: bool = False) -> None:
        """Write one line that needs attention. A very long line is shortened unless `is_complete`."""
        ...

    def step(self, text: str) -> None:
        """Show what the service waits for now, in place of the previous step."""
        ...

    def clear(self) -> None:
        """Remove the current step: it is finished."""
        ...

    def trace(self, text: str) -> None:
        """Write the traceback of a bug that did not stop the work, unchanged."""
        ...
