"""Whom a service tells what it is doing."""

from typing import Protocol


class Talk(Protocol):
    """Where progress and warnings go; results are returned, never told."""

    def say(self, text: str) -> None:
        """One line of news that stays."""
        ...

    def warn(self, text: str, *, is_complete: bool = False) -> None:
        """One line that somebody should act on; a very long one is shortened unless `is_complete`."""
        ...

    def step(self, text: str) -> None:
        """What is being waited for now; it takes the place of the step before."""
        ...

    def clear(self) -> None:
        """The step is over, and nothing comes in its place."""
        ...

    def trace(self, text: str) -> None:
        """The traceback of a bug that did not stop the work, as it is."""
        ...
