"""Retries of calls to a price API: how often, and for how long."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from gpuctl.clock import Clock
from gpuctl.domain.duration import approximate
from gpuctl.errors import GpuctlError, ThrottledError, UnreachableError

Answer = TypeVar("Answer")

ATTEMPTS = 5
LIMIT = timedelta(minutes=30)
_LONGEST_WAIT = timedelta(minutes=2)


class TransientFailure(Exception):
    """A call failed in a way that may pass. `after`: the pause that the API requested, None if it requested none."""

    def __init__(self, failure: GpuctlError, after: timedelta | None = None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.after = after


class Retry:
    """Retries calls, each a bounded number of times, and all of them together within one limit of time."""

    def __init__(self, clock: Clock, limit: timedelta = LIMIT) -> None:
        self._clock = clock
        self._limit = limit
        self._until = clock.elapsed() + limit

    def call(self, request: Callable[[], Answer]) -> Answer:
        """The result of the first call that succeeds. Raises the failure of the last one, and anything but Busy."""
        for attempt in range(1, ATTEMPTS + 1):
            self.check()
            try:
                return request()
            except TransientFailure as busy:
                wait = timedelta(seconds=2 ** (attempt - 1)) if busy.after is None else busy.after
                if wait > _LONGEST_WAIT:
                    raise ThrottledError(
                        f"{busy.failure.message}; the provider asks gpuctl to wait {approximate(wait)}",
                        hint=f"retry in {approximate(wait)}",
                    ) from busy
                if attempt == ATTEMPTS or self._clock.elapsed() + wait >= self._until:
                    raise busy.failure from busy
                self._clock.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def now(self) -> datetime:
        """The present instant."""
        return self._clock.now()

    def check(self) -> None:
        """Raise UnreachableError if the limit of time is over."""
        if self._clock.elapsed() >= self._until:
            raise UnreachableError(
                f"not everything was read within {approximate(self._limit)}",
                hint="refresh one region at a time: add `--region REGION`",
            )
