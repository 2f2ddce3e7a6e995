"""Divides an instance of a pool among those who had it on lease, so that each pays for the time of their own leases."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.membership import Lease, LeaseOutcome, Membership, Origin

_NOTHING = timedelta(0)


class _Share(NamedTuple):
    """A time of an instance. `lease` is None if nobody had it, `end` if the time lasts as long as the instance."""

    lease: Lease | None
    start: datetime
    end: datetime | None


def shares(record: Instance, now: datetime) -> list[Instance]:
    """The record once for each of its leases and for each time between them, which belongs to the pool.

    Each has the user, task and purpose of its time, and exists only in that time: the costs of all of them add up to
    the cost of the instance, and all but the last have ended. An instance that is terminated because of its lease
    belongs to that lease until its end. The record itself where there is nothing to divide.
    """
    if record.pool is None or record.launched_at is None:
        return [record]
    divided = _divided(record.pool, record.launched_at, record.terminated_at or now)
    first, *later = [(share.start, _part(record, record.pool, share)) for share in divided]
    # The minimum billing time is charged to the lease during which the instance was launched.
    paid_until = record.launched_at + record.billing.minimum
    by_second = record.billing.model_copy(update={"minimum": _NOTHING})
    return [
        first[1],
        *(part.with_fields(launched_at=max(start, paid_until), billing=by_second) for start, part in later),
    ]


def pool_of_idle_time(record: Instance) -> str | None:
    """The pool of an instance that nobody has had on lease; None for every other."""
    return record.pool.pool if record.pool is not None and not record.pool.leases else None


def _divided(membership: Membership, launched_at: datetime, stop: datetime) -> Iterator[_Share]:
    free_since: datetime | None = launched_at
    for number, lease in enumerate(membership.leases):
        if free_since is None:
            return
        # Leases begin at whole seconds, and launches at the instant of the provider's clock.
        is_launched_for_it = number == 0 and membership.origin is Origin.LEASE
        start = launched_at if is_launched_for_it else min(max(lease.since, free_since), max(stop, launched_at))
        if start > free_since:
            yield _Share(None, free_since, start)
        free_since = None
        if lease.outcome is LeaseOutcome.RETURNED and lease.released_at is not None:
            free_since = min(max(lease.released_at, start), max(stop, start))
        yield _Share(lease, start, free_since)
    if free_since is not None:
        yield _Share(None, free_since, None)


def _part(record: Instance, membership: Membership, share: _Share) -> Instance:
    lease = share.lease
    owner = {"user": membership.owner or record.user, "task": None, "purpose": membership.purpose or record.purpose}
    if lease is not None:
        owner = {"user": lease.user, "task": lease.task, "purpose": lease.purpose}
    part = record.with_fields(
        pool=membership.with_fields(leases=() if lease is None else (lease,)),
        work=tuple(
            done for done in record.work if share.start <= done.at and (share.end is None or done.at < share.end)
        ),
        **owner,
    )
    if share.end is None:
        return part
    return part.with_fields(status=Status.TERMINATED, terminated_at=share.end, updated_at=share.end, history=())
