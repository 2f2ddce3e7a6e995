"""What a pool is: which instances it holds, how many, for whom, and by which policy."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, Field

from gpuctl.domain.instance import Market, ProviderName
from gpuctl.domain.market.request import DEFAULT_PURPOSE, Request, check_name
from gpuctl.domain.market.ssh_source import SshSource
from gpuctl.domain.membership import Membership
from gpuctl.domain.value import Value
from gpuctl.errors import UsageError

HIGHEST_MAX = 1_000
DEFAULT_MAX_AGE = timedelta(hours=12)
LEAST_MAX_AGE = timedelta(minutes=15)
DEFAULT_WAIT_COST = Decimal(30)
# A record has all leases of its instance: without a limit it would grow with each of them.
MOST_LEASES = 100


class PoolStatus(StrEnum):
    """ACTIVE launches instances and grants leases, PAUSED launches nothing, DRAINING also terminates idle instances."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    DRAINING = "DRAINING"


class Reuse(StrEnum):
    """Which leases may share an instance, one after the other."""

    NEVER = "never"
    PURPOSE = "purpose"
    USER = "user"
    ANY = "any"


class PoolMarket(StrEnum):
    """How instances of a pool are bought. AUTO tries spot first, and on-demand where there is no spot capacity."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"
    AUTO = "auto"


class PoolOffer(Value):
    """Which instances a pool launches: the part of a request that is the same for each of them."""

    provider: ProviderName | None = None
    instance_type: str | None = None
    region: str | None = None
    disk_gb: int = 100
    image: str | None = None
    subnet: str | None = None
    ssh_from: str = "auto"
    ssh_is_demanded: bool = False
    check: str | None = None
    allow_retired: bool = False
    allow_unknown_price: bool = False
    gpu: str | None = None
    min_gpus: Decimal | None = None
    min_memory_gib: Decimal | None = None
    max_price: Decimal | None = None
    tags: dict[str, str] = Field(default_factory=dict)


class Chosen(Value):
    """The policy that `pool tune` chose from the pool's own past, and what it would have cost there."""

    policy: str
    at: AwareDatetime
    figures: dict[str, Any] = Field(default_factory=dict)


class Pool(Value):
    """The specification of a pool. Its instances are the records that name it.

    `user` owns instances that nobody has on lease. `wait_cost` is dollars for an hour of waiting. `queue` is a source
    of demand; with `queue_shell` its command is a line for the shell. `per_instance` jobs are done by one instance at
    a time. `budget_day` limits the whole pool, `prewarm_budget_day` what instances cost while nobody has them on
    lease; both in dollars a UTC day. `on_release` is a command that cleans an instance for its next lease.
    `paused_because` is why gpuctl itself has paused the pool.
    """

    name: str
    status: PoolStatus = PoolStatus.ACTIVE
    user: str
    purpose: str = DEFAULT_PURPOSE
    offer: PoolOffer = PoolOffer()
    market: PoolMarket = PoolMarket.ON_DEMAND
    min: int = 0
    max: int = 8
    reuse: Reuse = Reuse.NEVER
    max_age: timedelta = DEFAULT_MAX_AGE
    policy: str = "auto"
    chosen: Chosen | None = None
    wait_cost: Decimal = DEFAULT_WAIT_COST
    queue: str | None = None
    queue_shell: bool = False
    per_instance: int = 1
    budget_day: Decimal | None = None
    prewarm_budget_day: Decimal | None = None
    on_release: str | None = None
    paused_because: str | None = None
    created_at: AwareDatetime
    updated_at: AwareDatetime

    def with_fields(self, **facts: Any) -> "Pool":
        """A copy with other facts."""
        return self.model_copy(update=facts)

    def request(
        self,
        ttl: timedelta,
        membership: Membership,
        *,
        count: int = 1,
        user: str | None = None,
        task: str | None = None,
        purpose: str | None = None,
    ) -> Request:
        """The request for that many instances of the pool, owned by `user` (by the pool's owner if None)."""
        offer = self.offer
        return Request(
            user=user or self.user,
            task=task,
            purpose=purpose or self.purpose,
            ttl=ttl,
            count=count,
            pool=membership.with_fields(owner=self.user, purpose=self.purpose),
            provider=offer.provider,
            instance_type=offer.instance_type,
            region=offer.region,
            disk_gb=offer.disk_gb,
            image=offer.image,
            subnet=offer.subnet,
            ssh_from=SshSource(offer.ssh_from, is_demanded=offer.ssh_is_demanded),
            check=offer.check,
            allow_retired=offer.allow_retired,
            allow_unknown_price=offer.allow_unknown_price,
            gpu=offer.gpu,
            min_gpus=offer.min_gpus,
            min_memory_gib=offer.min_memory_gib,
            max_price=offer.max_price,
            tags=dict(offer.tags),
            market=Market.ON_DEMAND if self.market is PoolMarket.ON_DEMAND else Market.SPOT,
            falls_back=self.market is PoolMarket.AUTO,
        )

    def reuse_group(self, user: str, purpose: str) -> str | None:
        """Which leases may follow one of that user and purpose; None if none may."""
        groups: Mapping[Reuse, str | None] = {
            Reuse.NEVER: None,
            Reuse.ANY: "any",
            Reuse.USER: f"user {user}",
            # Different users never share an instance unless the pool says `any`.
            Reuse.PURPOSE: f"user {user} purpose {purpose}",
        }
        return groups[self.reuse]


def check_pool(pool: Pool, *, yes: bool) -> None:
    """Raise UsageError for the first limit that the specification breaks; `yes` confirms reuse without a clean-up."""
    check_name(pool.name, "NAME", "gpuctl pool create train-7 TYPE --region REGION")
    if not 0 <= pool.min <= pool.max:
        raise UsageError(f"--min must be 0 to --max ({pool.max}), not `{pool.min}`")
    if not 1 <= pool.max <= HIGHEST_MAX:
        raise UsageError(f"--max must be 1 to {HIGHEST_MAX:,}, not `{pool.max}`")
    if pool.max_age < LEAST_MAX_AGE:
        raise UsageError("--max-age must be at least 15m", hint="add `--max-age 12h`")
    if pool.reuse is not Reuse.NEVER and pool.on_release is None and not (pool.reuse is Reuse.ANY and yes):
        raise UsageError(
            f"--reuse {pool.reuse} requires `--on-release`: otherwise data of one lease is left to the next",
            hint="add `--on-release 'rm -rf work'`, or `--reuse any --yes` if nothing has to be removed",
        )
    if pool.queue_shell and not (pool.queue or "").startswith("cmd:"):
        raise UsageError("--queue-shell requires `--queue cmd:COMMAND`", hint="leave out `--queue-shell`")


def differences(pool: Pool, other: Pool) -> list[str]:
    """The parts of the specification in which two pools of that name differ."""
    ignored = {"status", "chosen", "created_at", "updated_at", "paused_because"}
    return [name for name in Pool.model_fields if name not in ignored and getattr(pool, name) != getattr(other, name)]
