"""Work of an instance: how much was done, and work that must be done by an instant."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

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


class WorkPlan(Value):
    """Everything that another process needs to continue the work: the command, its files and the request.

    `uploads` and `downloads` are pairs of source and target; the local ones are absolute paths of `computer`, which
    people call `host`. `variables` are the names of the local variables that the command gets; their values are stored
    nowhere. `request` is the request as `market.stored_request` writes it, without a TTL unless `has_fixed_ttl`.
    `amount` of `unit` is done when the command succeeds. `obstacle`: why no other process can continue the work.
    """

    command: tuple[str, ...]
    uploads: tuple[tuple[str, str], ...] = ()
    downloads: tuple[tuple[str, str], ...] = ()
    variables: tuple[str, ...] = ()
    computer: str | None = None
    host: str
    request: dict[str, Any]
    has_fixed_ttl: bool = False
    keep: bool = False
    amount: Decimal | None = None
    unit: str | None = None
    obstacle: str | None = None


class Driver(Value):
    """The process that does the work: nobody else starts an instance for it until `until`, or while it renews that."""

    holder: str
    until: AwareDatetime


class TimedWork(Value):
    """Work that must be done by `finish_by`, as known when an instance for it is requested.

    `duration` is that of all of it on one instance, None where it is unknown; `source` says where it comes from.
    `done` is what earlier instances did, which only checkpoints keep; `losses` counts interruptions. `checkpoint` is
    where the command keeps its progress, `restart` the time from a create request until the work continues.
    `id` is the same in the records of all its instances; of those the newest says who does the work (`driver`), and
    whether it is over (`is_over`), with the exit code of its command if that is known.
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
    id: str | None = None
    plan: WorkPlan | None = None
    driver: Driver | None = None
    is_over: bool = False
    exit_code: int | None = None

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
