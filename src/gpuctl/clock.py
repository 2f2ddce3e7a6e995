"""The only place that asks the instance what time it is, or waits."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

# The plain one of Linux stops while a laptop sleeps, and instances are billed all the same.
_STEADY: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """Where instants come from and where waiting happens; an argument, so that tests move time and spend none."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...

    def elapsed(self) -> timedelta:
        """How long since some fixed moment, by a clock that nobody can set; only differences mean anything."""
        ...

    def sleep(self, span: timedelta) -> None:
        """Wait that long. Zero or less returns at once."""
        ...


class SystemClock:
    """The instance's own clock."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time(), UTC)

    def elapsed(self) -> timedelta:
        return timedelta(seconds=time.clock_gettime(_STEADY))

    def sleep(self, span: timedelta) -> None:
        time.sleep(max(0.0, span.total_seconds()))
