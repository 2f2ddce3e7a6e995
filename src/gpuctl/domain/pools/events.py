"""The history of a pool: requests and actions, one entry each, append-only."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, Field

from gpuctl.domain.instance import Instance
from gpuctl.domain.membership import Lease
from gpuctl.domain.value import Value

KEPT_FOR = timedelta(days=90)


class PoolEventName(StrEnum):
    """What an entry is about."""

    LEASED = "leased"  # a lease was granted; `asked_at` is when it was asked for
    REFUSED = "refused"  # a lease was asked for and not granted
    EXTENDED = "extended"  # a lease ends later
    RELEASED = "released"  # a lease was released, or ended by gpuctl
    DEMAND = "demand"  # the demand of the queue changed
    LAUNCHED = "launched"  # the tick launched an instance
    FAILED = "failed"  # an instance could not be launched
    ENDED = "ended"  # the tick terminated an instance
    CHANGED = "changed"  # the pool was paused, resumed, drained or tuned


class PoolEvent(Value):
    """One entry. `lease` and `instance` are IDs; `figures` has what else belongs to it."""

    at: AwareDatetime
    event: PoolEventName
    lease: str | None = None
    instance: str | None = None
    requested_at: AwareDatetime | None = None
    until: AwareDatetime | None = None
    user: str | None = None
    task: str | None = None
    waiting: int | None = None
    running: int | None = None
    detail: str | None = None
    figures: dict[str, Any] = Field(default_factory=dict)


def released_event(lease: Lease, record: Instance, at: datetime) -> PoolEvent:
    """The entry of the history for a lease that is over."""
    figures: dict[str, Any] = {} if lease.work is None else {"work": float(lease.work), "unit": lease.unit}
    return PoolEvent(
        at=lease.released_at or at,
        event=PoolEventName.RELEASED,
        lease=lease.id,
        instance=record.id,
        detail=lease.outcome.value if lease.outcome else None,
        figures=figures,
    )
