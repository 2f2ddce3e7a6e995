"""The record of one instance, and what a cloud reports about one."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic import AliasChoices, AwareDatetime, Field

from gpuctl.domain.membership import Membership
from gpuctl.domain.safeguards import Safeguard
from gpuctl.domain.value import Value
from gpuctl.domain.work import TimedWork, WorkDone
from gpuctl.errors import Code

# The key in a record's metadata for the sources from which the network itself lets ssh in.
SSH_ALSO_FROM = "sshAlsoFrom"


class ProviderName(StrEnum):
    """The clouds gpuctl knows by name."""

    AWS = "aws"
    AZURE = "azure"
    GCP = "gcp"


class Status(StrEnum):
    """The status of a record; `lifecycle` has the allowed changes."""

    PROVISIONING = "PROVISIONING"
    CONFIGURING = "CONFIGURING"
    READY = "READY"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    TERMINATED = "TERMINATED"
    FAILED = "FAILED"

    @property
    def is_ended(self) -> bool:
        """Proven gone, or proven never to have existed: it bills nothing any more."""
        return self in (Status.TERMINATED, Status.FAILED)


class Market(StrEnum):
    """How the instance is bought."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"


class Reason(StrEnum):
    """Why an instance ended, or is to end."""

    USER = "user"
    EXPIRED = "expired"
    BUDGET = "budget"
    IDLE = "idle"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    ABANDONED = "abandoned"
    VANISHED = "vanished"
    INTERRUPTED = "interrupted"
    ORPHAN = "orphan"


class Outcome(StrEnum):
    """What is known of one attempt to create an instance."""

    PENDING = "pending"  # written down; sent or about to be
    UNKNOWN = "unknown"  # sent, and no reply showed the result
    REFUSED = "refused"  # every send was refused by the cloud: nothing of it exists
    CREATED = "created"  # the cloud gave an id
    LEFTOVERS = "leftovers"  # refused when parts of it were made already: they are swept and ended like an instance
    ENDED = "ended"  # nothing of it is left

    @classmethod
    def _missing_(cls, value: object) -> "Outcome | None":
        # The word in states written before.
        return cls.PENDING if value == "open" else None


class Attempt(Value):
    """One numbered try to create the instance, with the token that makes its repeats harmless."""

    number: int
    token: str
    at: AwareDatetime
    provider: ProviderName
    region: str
    zone: str | None = None
    instance_type: str
    market: Market
    outcome: Outcome = Outcome.PENDING
    cloud_id: str | None = None
    detail: str | None = None


class HistoryEntry(Value):
    """One line of a record's own event log."""

    at: AwareDatetime
    event: str
    status: Status
    reason: Reason | None = None
    detail: str | None = None


class Price(Value):
    """Dollars an hour with source and date. `is_fetched`: from the provider's price list, else bundled with gpuctl."""

    usd_per_hour: Decimal
    source: str
    as_of: date
    is_fetched: bool = False


class BillingTerms(Value):
    """How the provider counts time: `minimum` is the least it bills; with `releases_address` no IP at rest."""

    minimum: timedelta = timedelta(0)
    releases_address: bool = False


class Instance(Value):
    """The record of one instance: the request, its prices and its deadline.

    Written before the first cloud call that could create anything, changed only through `lifecycle`. The prices (of
    compute, disk and public IP) and the billing terms are fixed at launch; a price of None is unknown, never free.

    `deleted_by_us_at`: when the provider first accepted our request to terminate the instance.
    `absent_since`: when a complete listing first lacked it. `delivered`: how many history entries hooks have received.
    `idle`: it also terminates after that time without activity. `id_is_from_create`: our create returned `cloud_id`.
    `ssh_key`: the public key of `ssh_user`; port 22 is open to `ssh_from`. `work`: what the instance has done.
    `unconfirmed_deadlines`: deadlines that `extend` sent to the provider and did not grant.
    `granted_deadline`: the last one that it granted.
    `check`: the readiness check; `booted_at`: when the provider reported it as ready. `pool`: its pool and leases.
    `timed_work`: the work with a deadline that it is for.
    """

    id: str
    name: str | None = None
    user: str
    task: str | None = None
    purpose: str
    provider: ProviderName
    account: str
    profile: str | None = None
    region: str
    zone: str | None = None
    instance_type: str
    market: Market = Market.ON_DEMAND
    image: str
    subnet: str | None = None
    ssh_key: str | None = None
    ssh_user: str | None = None
    ssh_from: str | None = None
    check: str | None = None
    disk_gb: int | None
    ttl: timedelta
    max_ttl: timedelta
    expires_at: AwareDatetime
    unconfirmed_deadlines: tuple[AwareDatetime, ...] = ()
    granted_deadline: AwareDatetime | None = None
    idle: timedelta | None = None
    pool: Membership | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    price: Price | None = None
    disk_price: Price | None = None
    address_price: Price | None = None
    billing: BillingTerms = BillingTerms()
    status: Status = Status.PROVISIONING
    status_message: str | None = Field(default=None, validation_alias=AliasChoices("status_message", "status_reason"))
    reason: Reason | None = None
    last_error: str | None = None
    cloud_id: str | None = None
    id_is_from_create: bool = False
    public_ip: str | None = None
    private_ip: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    attempts: tuple[Attempt, ...]
    created_at: AwareDatetime
    launched_at: AwareDatetime | None = None
    booted_at: AwareDatetime | None = None
    ready_at: AwareDatetime | None = None
    terminated_at: AwareDatetime | None = None
    end_is_estimate: bool = False
    deleted_by_us_at: AwareDatetime | None = None
    absent_since: AwareDatetime | None = None
    safeguards: tuple[Safeguard, ...] = Field(default=(), validation_alias=AliasChoices("safeguards", "protection"))
    updated_at: AwareDatetime
    timed_work: TimedWork | None = None
    work: tuple[WorkDone, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    delivered: int = 0

    @property
    def is_active(self) -> bool:
        """Whether it may exist and bill: everything that is not proven ended."""
        return not self.status.is_ended

    def is_due(self, now: datetime) -> bool:
        """Whether its deadline has come."""
        return now >= self.expires_at

    @property
    def last_attempt_at(self) -> datetime:
        """When the newest attempt was written down."""
        return self.attempts[-1].at

    @property
    def leftover_attempts(self) -> tuple[Attempt, ...]:
        """The attempts that were refused after parts were created, except the record's present one."""
        left = (attempt for attempt in self.attempts if attempt.outcome is Outcome.LEFTOVERS)
        return tuple(attempt for attempt in left if attempt.cloud_id not in (None, self.cloud_id))

    @property
    def former_cloud_ids(self) -> frozenset[str]:
        """The cloud ids that earlier attempts of an active record had: none of them is its instance now."""
        over = (Outcome.LEFTOVERS, Outcome.ENDED)
        ids = {attempt.cloud_id for attempt in self.attempts if self.is_active and attempt.outcome in over}
        return frozenset(cloud_id for cloud_id in ids if cloud_id not in (None, self.cloud_id))

    @property
    def label(self) -> str:
        """How a person would call it: its name where it has one, else its id."""
        return self.name or self.id

    def with_fields(self, **facts: Any) -> "Instance":
        """A copy with other facts. For `lifecycle` and tests; everything else goes through `lifecycle`."""
        return self.model_copy(update=facts)


class CloudState(StrEnum):
    """What a cloud says of an instance, in words common to all of them."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPED = "stopped"  # powered off or on the way there; it can be started again and its disk bills
    ENDING = "ending"
    ENDED = "ended"
    FAILED = "failed"  # it exists, and will never run
    REMNANT = "remnant"  # there is no instance, not yet or not any more; what was made for it is there


class LaunchRefusal(Value):
    """Why an instance never came up, where the cloud reported it only after it had accepted the create."""

    code: Code
    text: str
    hint: str | None = None


class Observed(Value):
    """What a cloud reports about one instance now.

    `ready`: the provider calls it usable; None if unknown. `ended_at` and `end_reason`: set where the provider reports
    them. `tags`: all of them, also foreign ones. `instance_type` is empty for a remnant. `bills_when_stopped`: powered
    off, and billed as before. `reports_addresses`: whether its addresses were requested.
    """

    provider: ProviderName
    account: str
    region: str
    zone: str | None = None
    cloud_id: str
    name: str | None = None
    state: CloudState
    ready: bool | None = None
    refusal: LaunchRefusal | None = None
    bills_when_stopped: bool = False
    reports_addresses: bool = True
    instance_type: str
    market: Market = Market.ON_DEMAND
    launched_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    end_reason: Reason | None = None
    public_ip: str | None = None
    private_ip: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    tags: dict[str, str] = Field(default_factory=dict)

    @property
    def exists(self) -> bool:
        """Whether it is there in any form that can bill or come back."""
        return self.state is not CloudState.ENDED


class Scope(Value):
    """A place that is listed as one: an account of a cloud, in one region."""

    provider: ProviderName
    account: str
    region: str

    @property
    def label(self) -> str:
        """Provider, account and region, for messages and as a key."""
        return f"{self.provider} {self.account} {self.region}"
