"""Waits out what passes: a cloud that is asked too fast, or that cannot be reached before anything was made."""

from dataclasses import dataclass
from datetime import timedelta

from gpuctl.clock import Clock
from gpuctl.domain.duration import exact
from gpuctl.errors import GpuctlError, ThrottledError, UnreachableError
from gpuctl.services.progress import Progress

DEFAULT_BACKOFF = timedelta(seconds=5)
MAX_RETRIES = 20


@dataclass(slots=True)
class Retries:
    """The retries of one command, at most `limit`: the first waits for the backoff, the second twice as long."""

    limit: int = 0
    backoff: timedelta = DEFAULT_BACKOFF
    used: int = 0

    def allows(self, error: GpuctlError) -> bool:
        """Whether the error is transient and a retry is left."""
        return isinstance(error, (ThrottledError, UnreachableError)) and self.used < self.limit

    def wait(self, error: GpuctlError, clock: Clock, progress: Progress) -> bool:
        """Wait before the next retry and report it; False, at once, where `allows` is false."""
        if not self.allows(error):
            return False
        self.used += 1
        pause = self.backoff * self.used
        progress.info(f"{error.message}; retrying in {exact(pause)} ({self.used} of {self.limit})")
        clock.sleep(pause)
        return True
