"""Waiting between polls."""

from datetime import timedelta

from gpuctl.clock import Clock


class Poll:
    """The time since polling began, and pauses that double from `first` up to `longest`."""

    def __init__(self, clock: Clock, first: timedelta, longest: timedelta) -> None:
        self._clock = clock
        self._pause = first
        self._longest = longest
        self.started = clock.elapsed()

    @property
    def waited(self) -> timedelta:
        """The time since polling began."""
        return self._clock.elapsed() - self.started

    def pause(self, at_most: timedelta) -> None:
        """Sleep until the next poll, `at_most` that long."""
        self._clock.sleep(min(self._pause, at_most))
        self._pause = min(self._pause * 2, self._longest)
