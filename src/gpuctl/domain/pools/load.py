"""The demand on a pool now: what a queue reports, what is on lease, and how many instances that takes."""

from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True)
class QueueReading:
    """What a queue reports: jobs that wait, and jobs that run; `running` is None where the queue does not count those.

    `includes_running`: the queue counts both together, as `waiting`.
    """

    waiting: int
    running: int | None = None
    includes_running: bool = False


@dataclass(frozen=True, slots=True)
class Demand:
    """Jobs that wait and run, and how many instances they need. `waiting` is None where the queue could not be read.

    `problem` is why it could not be read.
    """

    waiting: int | None
    running: int
    instances: int
    problem: str | None = None

    @property
    def is_known(self) -> bool:
        """Whether the queue could be read, or there is none."""
        return self.waiting is not None

    @property
    def summary(self) -> str:
        """`3 waiting, 2 running`."""
        return f"{'?' if self.waiting is None else self.waiting} waiting, {self.running} running"


def demand_of(reading: QueueReading | None, leased: int, per_instance: int) -> Demand:
    """The demand by that reading, or by the leases alone where there is no queue (None).

    Jobs that run count as well as those that wait: otherwise the pool would shrink as soon as work begins.
    """
    if reading is None:
        return Demand(0, leased, leased)
    if reading.includes_running:
        waiting, running = max(reading.waiting - leased, 0), min(reading.waiting, leased)
        return Demand(waiting, max(running, leased), max(ceil(reading.waiting / per_instance), leased))
    if reading.running is None:
        return Demand(reading.waiting, leased, ceil(reading.waiting / per_instance) + leased)
    needed = ceil((reading.waiting + reading.running) / per_instance)
    return Demand(reading.waiting, max(reading.running, leased), max(needed, leased))


def unknown_demand(leased: int, problem: str) -> Demand:
    """The demand where the queue could not be read: nothing is concluded from it."""
    return Demand(None, leased, leased, problem)
