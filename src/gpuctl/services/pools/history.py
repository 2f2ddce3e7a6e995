"""The past of a pool as jobs: from its leases, or from the samples of its queue."""

from collections.abc import Sequence
from datetime import datetime

from gpuctl.domain.pools.demand import Job, Step, jobs_from_samples, steps
from gpuctl.domain.pools.events import PoolEvent, PoolEventName


def jobs_of(events: Sequence[PoolEvent], now: datetime) -> tuple[Job, ...]:
    """The jobs that these entries tell of, in the order of their arrival.

    Where a queue was sampled its samples count, which include what is on lease. A lease that was never released
    counts until its end.
    """
    samples = [
        (event.at.timestamp(), (event.waiting or 0) + (event.running or 0))
        for event in events
        if event.event is PoolEventName.DEMAND and event.waiting is not None
    ]
    return jobs_from_samples(samples) if samples else _leases(events, now)


def steps_of(events: Sequence[PoolEvent], now: datetime) -> list[Step]:
    """The same as changes of demand."""
    return steps(jobs_of(events, now))


def _leases(events: Sequence[PoolEvent], now: datetime) -> tuple[Job, ...]:
    ends = {event.lease: event.at for event in events if event.event is PoolEventName.RELEASED}
    until = {
        event.lease: event.until
        for event in events
        if event.event in (PoolEventName.LEASED, PoolEventName.EXTENDED) and event.until is not None
    }
    jobs = []
    for event in events:
        if event.event is not PoolEventName.LEASED:
            continue
        requested_at, end = event.requested_at or event.at, ends.get(event.lease) or until.get(event.lease)
        is_over = end is not None and end <= now
        duration_s = max((end - event.at).total_seconds(), 0.0) if is_over and end is not None else None
        jobs.append(Job(requested_at.timestamp(), duration_s, max((event.at - requested_at).total_seconds(), 0.0)))
    return tuple(sorted(jobs, key=lambda job: job.arrival_s))
