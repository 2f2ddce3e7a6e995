"""Clocks that a test moves."""

import fcntl
import signal
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from support.instances import NOON

from gpuctl.errors import Interrupted


class FakeClock:
    """Stands still until it is moved. Sleeping moves it; a jump of `now` does not move what has elapsed."""

    def __init__(self, now: datetime = NOON) -> None:
        self._now = now
        self._elapsed = timedelta(0)

    def now(self) -> datetime:
        return self._now

    def elapsed(self) -> timedelta:
        return self._elapsed

    def sleep(self, span: timedelta) -> None:
        self.move(span)

    def move(self, span: timedelta) -> None:
        """Let time pass."""
        self._now += span
        self._elapsed += span

    def jump(self, span: timedelta) -> None:
        """Set the clock, as a person or NTP does: no time passes."""
        self._now += span


class StepClock(FakeClock):
    """Each sleep is a step: what is to happen then happens, nothing where it is None; after the last comes Ctrl-C.

    What happens may sleep, too: that is no step.
    """

    def __init__(self, now: datetime, steps: Sequence[Callable[[], object] | None]) -> None:
        super().__init__(now)
        self._steps = list(steps)
        self._is_busy = False

    def sleep(self, span: timedelta) -> None:
        self.move(span)
        if self._is_busy:
            return
        if not self._steps:
            raise Interrupted("ended by SIGINT", signal_number=signal.SIGINT)
        self._is_busy = True
        step = self._steps.pop(0)
        if step is not None:
            step()
        self._is_busy = False


class FileClock(FakeClock):
    """The same, shared by every process that names the same file: seconds since noon, and seconds elapsed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.exists():
            path.write_text("0 0")

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self._read()[0])

    def elapsed(self) -> timedelta:
        return timedelta(seconds=self._read()[1])

    def move(self, span: timedelta) -> None:
        seconds = max(0.0, span.total_seconds())
        self._change(lambda now, elapsed: (now + seconds, elapsed + seconds))

    def jump(self, span: timedelta) -> None:
        self._change(lambda now, elapsed: (now + span.total_seconds(), elapsed))

    def _read(self) -> tuple[float, float]:
        with self._path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            now, elapsed = file.read().split()
        return float(now), float(elapsed)

    def _change(self, change: Callable[[float, float], tuple[float, float]]) -> None:
        with self._path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            now, elapsed = change(*map(float, file.read().split()))
            # Padded, so that a process killed in the middle leaves no shorter file.
            file.seek(0)
            file.write(f"{now:<24.6f} {elapsed:<24.6f}")
