"""What a schedule needs of the machine it is on: to run a program and read what it said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpuctl.errors import GpuctlError


@dataclass(frozen=True, slots=True)
class Ran:
    """A program's end. `code` is None where there is no such program."""

    code: int | None
    out: str
    err: str

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def said(self) -> str:
        """What it said of its failure, in one line."""
        return " ".join((self.err or self.out).split()) or f"it ended with {self.code}"


Run = Callable[[Sequence[str], str], Ran]
"""Runs a program with that text on its standard input."""


class ScheduleError(GpuctlError):
    """The schedule could not be read or written."""
