"""The demand on a pool in the past: jobs with their arrival and duration."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

# A job without duration still needs an instance for an instant.
_SHORTEST_S = 0.001


class Job(NamedTuple):
    """One use of one instance.

    `arrival_s` is when it was requested, `wait_s` how long it waited for an instance, `duration_s` how long it used the
    instance; None while it waits or runs.
    """

    arrival_s: float
    duration_s: float | None
    wait_s: float = 0.0


class Step(NamedTuple):
    """A change of demand: +1 where a job arrives, -1 where it is over."""

    at_s: float
    change: int


def steps(jobs: Iterable[Job]) -> list[Step]:
    """The changes of demand in order of time; of those at one instant the ends come first."""
    changes = []
    for job in jobs:
        changes.append(Step(job.arrival_s, 1))
        if job.duration_s is not None:
            changes.append(Step(job.arrival_s + job.wait_s + max(job.duration_s, _SHORTEST_S), -1))
    changes.sort()
    return changes


def jobs_from_samples(samples: Iterable[tuple[float, int]]) -> tuple[Job, ...]:
    """Jobs that explain samples (instant, demand) of a queue, in order of time.

    An increase is arrivals, a decrease is ends, of the longest running first. What the last sample counts still runs.
    """
    running: deque[float] = deque()
    jobs: list[Job] = []
    for at_s, demand in samples:
        running.extend([at_s] * (demand - len(running)))
        while len(running) > max(demand, 0):
            arrival_s = running.popleft()
            jobs.append(Job(arrival_s, at_s - arrival_s))
    jobs += [Job(arrival_s, None) for arrival_s in running]
    jobs.sort(key=lambda job: job.arrival_s)
    return tuple(jobs)
