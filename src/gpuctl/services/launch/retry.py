"""Waits out what passes: a cloud that is asked too fast, or that cannot be reached before anything was made."""

from dataclasses import dataclass
from datetime import timedelta

from gpuctl.clock import Clock
from gpuctl.domain.duration import spelled
from gpuctl.errors import GpuctlError, ThrottledError, UnreachableError
from gpuctl.services.progress import Progress

DEFAULT_BACKOFF = timedelta(seconds=5)
MAX_RETRIES = 20


@dataclass(slots=True)
class Retrying:
    """How often one command tries again, and how long it waits: the backoff, then twice that, then three times."""

    most: int = 0
    backoff: timedelta = DEFAULT_BACKOFF
    done: int = 0

    def is_left(self, error: GpuctlError) -> bool:
        """Whether the error may pass, and may be waited out once more."""
        return isinstance(error, (ThrottledError, UnreachableError)) and self.done < self.most

    def waits_out(self, error: GpuctlError, clock: Clock, progress: Progress) -> bool:
        """Wait, and say so, if the error may pass and a retry is left; False, at once, if not."""
        if not self.is_left(error):
            return False
        self.done += 1
        pause = self.backoff * self.done
        progress.info(f"{error.message}; trying again in {spelled(pause)} ({self.done} of {self.most})")
        clock.sleep(pause)
        return True
