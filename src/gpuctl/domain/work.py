"""Work of an instance: how much was done, and work that must be done by an instant."""

from datetime import datetime, timedelta
from decimal import Decimal

from pydantic import AwareDatetime

from gpuctl.domain.value import Value

# What an instance may outlive the instant at which its work was due.
GRACE = timedelta(minutes=15)


class WorkDone(Value):
    """An amount of work that an instance has done: `amount` of `unit`; `took` is None where that is unknown."""

    amount: Decimal
    unit: str
    at: AwareDatetime
    took: timedelta | None = None


class TimedWork(Value):
    """Work that must be done by `finish_by`, as known when an instance for it is requested.

    `duration` is that of all of it on one instance, None where it is unknown; `source` says where it comes from.
    `done` is what earlier instances did, which only checkpoints keep; `losses` counts interruptions. `checkpoint` is
    where the command keeps its progress, `restart` the time from a create request until the work continues.
    """

    begun: AwareDatetime
    finish_by: AwareDatetime
    duration: timedelta | None
    source: str
    is_checkpointed: bool = False
    checkpoint: str | None = None
    restart: timedelta = timedelta(minutes=6)
    done: timedelta = timedelta(0)
    losses: int = 0

    @property
    def left(self) -> timedelta:
        """The duration of the work that is left for the next instance; zero where it is unknown."""
        whole = self.duration or timedelta(0)
        return max(whole - self.done, timedelta(0)) if self.is_checkpointed else whole

    def after_loss(self, worked: timedelta) -> "TimedWork":
        """The work after an instance was lost that had worked for that long."""
        return self.model_copy(update={"done": self.done + worked, "losses": self.losses + 1})

    def ttl(self, now: datetime, longest: timedelta) -> timedelta:
        """How long an instance for the work may exist: until the work is due and a little longer, as far as allowed.

        Work that takes longer than expected is not lost at the very instant at which it was due.
        """
        needed = max(self.finish_by - now, self.left + self.restart) + GRACE
        return min(longest, timedelta(minutes=-(-needed // timedelta(minutes=1))))
