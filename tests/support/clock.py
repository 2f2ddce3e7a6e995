"""A clock that a test moves."""

from datetime import datetime, timedelta

from support.instances import NOON


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
