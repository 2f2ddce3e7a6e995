"""What a record says of its pool: why the instance was launched, and who had it on lease."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from pydantic import AwareDatetime

from gpuctl.domain.value import Value

LEASE_ID_PREFIX = "lease-"


class LeaseOutcome(StrEnum):
    """What a release did with the instance."""

    RETURNED = "returned"
    ENDED = "ended"


class Origin(StrEnum):
    """Why an instance of a pool was launched."""

    DEMAND = "demand"
    SPARE = "spare"
    LEASE = "lease"


class CleanUp(Value):
    """A release cleans the instance: `by` says which, `until` when it must have finished."""

    by: str
    until: AwareDatetime


class Lease(Value):
    """The right of one holder to use an instance until `expires_at`. Open until `released_at` is set.

    `clean_up` is set while a release cleans the instance. `work` in `unit` is what was done under the lease, where the
    release says so.
    """

    id: str
    user: str
    task: str | None = None
    purpose: str
    since: AwareDatetime
    expires_at: AwareDatetime
    released_at: AwareDatetime | None = None
    outcome: LeaseOutcome | None = None
    is_dirty: bool = False
    clean_up: CleanUp | None = None
    work: Decimal | None = None
    unit: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it was not released."""
        return self.released_at is None

    @property
    def summary(self) -> str:
        """`lease-… until 2026-11-24T12:30:00Z, user bo, task nightly`."""
        text = f"{self.id} until {self.expires_at:%Y-%m-%dT%H:%M:%SZ}, user {self.user}"
        return text + (f", task {self.task}" if self.task else "")

    def lapse(self, now: datetime) -> str | None:
        """Why the lease is over although it was not released, such as `has expired`; None while it is in force."""
        if self.is_open and now >= self.expires_at:
            return "has expired"
        if self.is_open and self.clean_up is not None and now >= self.clean_up.until:
            return "was not cleaned up in time"
        return None


class Membership(Value):
    """The pool of an instance. `group` is set by the first lease: only leases of the same reuse group may follow.

    `owner` is the user to whom the instance belongs while nobody has it on lease, and `purpose` its purpose then.
    `idle_since` is when the instance last became idle; None until it was first ready. `is_draining`: no lease may
    follow, and the instance is terminated as soon as it is idle.
    """

    pool: str
    owner: str | None = None
    purpose: str | None = None
    origin: Origin = Origin.DEMAND
    group: str | None = None
    leases: tuple[Lease, ...] = ()
    idle_since: AwareDatetime | None = None
    is_draining: bool = False

    @property
    def lease(self) -> Lease | None:
        """The open lease; None where nobody has the instance."""
        return self.leases[-1] if self.leases and self.leases[-1].is_open else None

    def with_fields(self, **facts: object) -> "Membership":
        """A copy with other facts."""
        return self.model_copy(update=facts)

    def with_lease(self, lease: Lease) -> "Membership":
        """The same with this lease in the place of the one of its ID, or after all others."""
        others = tuple(other for other in self.leases if other.id != lease.id)
        return self.with_fields(leases=(*others, lease))
