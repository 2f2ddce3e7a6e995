"""Runs the programs of schedulers, such as crontab, and returns their output."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpuctl.errors import GpuctlError


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """Exit code and output of a program. `code` is None where the program is missing."""

    code: int | None
    out: str
    err: str

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def failure(self) -> str:
        """Its output as one line, for a message about its failure."""
        return " ".join((self.err or self.out).split()) or f"it ended with {self.code}"


Run = Callable[[Sequence[str], str], ProcessResult]
"""Runs a program with that text on its standard input."""


class ScheduleError(GpuctlError):
    """The schedule could not be read or written."""
