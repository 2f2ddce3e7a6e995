"""The history of a pool: requests and actions, one entry each, append-only."""

from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, Field

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
    asked_at: AwareDatetime | None = None
    until: AwareDatetime | None = None
    user: str | None = None
    task: str | None = None
    waiting: int | None = None
    running: int | None = None
    detail: str | None = None
    figures: dict[str, Any] = Field(default_factory=dict)
