"""What every cloud must do for gpuctl, and the values that cross that line."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from gpuctl.domain.diagnosis import Finding
from gpuctl.domain.instance import Market, Observed, ProviderName
from gpuctl.domain.market.offers import InstanceType
from gpuctl.domain.market.request import Request
from gpuctl.domain.resource import Resource
from gpuctl.domain.safeguards import Safeguard
from gpuctl.errors import GpuctlError
from gpuctl.providers.facts import Capabilities


def _forget(secret: str | None) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Connection:
    """How a provider is reached: with named or ambient credentials, or at a loopback address in the sandbox.

    `profile` is the name of credentials in the provider's own tools, such as a profile or a subscription. gpuctl's own
    code reads variables from `environ`; an SDK reads those of the process.

    `ask` prompts a person for a code without echo; None where nobody can be asked. `hide` receives every secret value
    as it becomes known, so that it is never printed.

    With `sandbox_url`, no profile, environment, proxy or metadata service is read.
    """

    profile: str | None = None
    sandbox_url: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    ask: Callable[[str], str] | None = None
    hide: Callable[[str | None], None] = _forget


@dataclass(frozen=True, slots=True)
class Identity:
    """The account of the credentials, and the time by the provider's clock (None if the reply carried none)."""

    account: str
    cloud_time: datetime | None


@dataclass(frozen=True, slots=True)
class ImageDisk:
    """A further disk that an image brings: the device name and the size in GB.

    `has_list_price`: the disk costs as much per GB as a root disk; otherwise its price is unknown.
    """

    device: str
    size_gb: int
    has_list_price: bool = True


@dataclass(frozen=True, slots=True)
class Image:
    """A bootable image: its id, the device name of the root disk, and the smallest root disk in GB.

    `user` is the login name that a key belongs to on it, None where the provider's usual name applies. `settings` are
    what a create has to say of it on the type it was found for, in the provider's own words. `disks` are created with
    every instance of it. `license` says why instances with this image cost more than the list price; None if they do
    not. `warning` is why the guard may not run on it, and what acts instead after `max_ttl`; None where it runs.
    """

    id: str
    root_device: str
    min_disk_gb: int
    user: str | None = None
    settings: frozenset[str] = frozenset()
    disks: tuple[ImageDisk, ...] = ()
    license: str | None = None
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """Everything that one attempt's create is made of: the same order always makes the very same request.

    `created_at` is when the attempt was written down. `ssh_key` is a public key, in one line; `ssh_from` the range of
    addresses that port 22 is opened to, None for nobody. `max_price` is the most a spot instance may cost in dollars an
    hour; None means as much as on demand. Unused for `idle`, the instance powers itself off.
    """

    token: str
    record_id: str
    state_id: str
    owner: str
    name: str | None
    expires_at: datetime
    max_ttl: timedelta
    region: str
    zone: str | None
    subnet: str | None
    instance_type: str
    market: Market
    image: Image
    disk_gb: int
    created_at: datetime
    ssh_key: str | None = None
    ssh_from: str | None = None
    max_price: Decimal | None = None
    idle: timedelta | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DiagnosedInstance:
    """What a diagnosis checks: one instance of that type in that region, which is never created.

    `order` is what would be sent, None without an image. `until` is the last deadline these credentials must serve.
    `machine` is the cloud ID of an active instance of ours there, if any. `opens_ssh`: instances are to be reachable on
    port 22.
    """

    region: str
    kind: InstanceType
    order: Order | None
    now: datetime
    until: datetime
    machine: str | None = None
    opens_ssh: bool = True


class Provider(Protocol):
    """A cloud, as one login sees it.

    Opening one makes no call. Every method ends within a bounded time and raises only GpuctlError for what a cloud can
    do: CredentialsError, ThrottledError, QuotaError, CapacityError, UnreachableError, CloudError. Every retry inside
    is bounded and on calls that only read, or that are the same when done twice.
    """

    name: ProviderName
    capabilities: Capabilities

    @property
    def login(self) -> str | None:
        """The name by which this very login is opened again; None for what the environment happens to hold."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether this cloud is emulated on this computer, so that every caller has the loopback address."""
        ...

    def default_region(self) -> tuple[str, str] | None:
        """The region that the cloud's own settings name, and what sets it, such as a variable; None if nothing does."""
        ...

    def identity(self) -> Identity:
        """Whose login this is, asked of the cloud each time."""
        ...

    def regions(self) -> Collection[str]:
        """Every region this account can use. A region it never opened can hold no instance of its own."""
        ...

    def find_image(self, region: str, kind: InstanceType, image: str | None) -> Image:
        """The image of that id, or the newest GPU image the cloud recommends for that type.

        UsageError when there is none, or none that the type can boot, with what to type instead; NotPreparedError
        where the account needs `prepare` first.
        """
        ...

    def check_request(self, request: Request) -> None:
        """Raise UsageError for what this cloud would refuse of its tags, image or subnet. Calls nothing."""
        ...

    def check_ttl(self, region: str, ttl: timedelta) -> None:
        """Raise UsageError where the timer outside the laptop cannot hold a deadline that far off.

        Asks the cloud only where the answer depends on it.
        """
        ...

    def prepare(self, region: str, say: Callable[[str], None]) -> None:
        """Do what the account needs before its first instance, in bounded time, reporting to `say` first.

        Creates nothing that costs; a second call does nothing. Raises any GpuctlError if it cannot be done.
        """
        ...

    def zones(self, region: str, kind: InstanceType) -> Sequence[str]:
        """The zones of that region in which the type is offered, as orders name them; none where there are no zones."""
        ...

    def create(self, order: Order) -> Observed:
        """Send the order's create once, without any retry, and return the instance.

        Repeating it with the same order creates no second instance. Raises OutcomeUnknown when the reply does not show
        whether something was created, PartialCreate when the provider refused the request after creating parts, and any
        other GpuctlError for a definite refusal that left nothing. A later refusal is in what `get` and
        `list_instances` return.
        """
        ...

    def other_ssh_sources(self, region: str, subnet: str | None, ssh_from: str | None) -> Sequence[str]:
        """From where the network lets ssh in to an instance created there, besides the range `ssh_from`; in words.

        Empty where the range is the only one. Only reads, and queries the cloud only where the answer depends on it.
        """
        ...

    def close_ingress(self, region: str, state_id: str, needed: Collection[str]) -> bool:
        """Delete the ingress rules of that state in that region, except those for the ranges `needed`.

        Returns True if none of the others is left, False while an instance still uses one. Repeating it is harmless.
        Does nothing where the rules are deleted with each instance.
        """
        ...

    def get(self, region: str, cloud_id: str) -> Observed | None:
        """One instance by its cloud id, readiness included; None only if the cloud says it knows no such id."""
        ...

    def find(self, region: str, record_id: str) -> Sequence[Observed]:
        """Every instance that carries this record's id tag, ended ones included, from a complete listing."""
        ...

    def list_instances(self, region: str, query_ready: Collection[str] = ()) -> Sequence[Observed]:
        """Every instance in the region with a `gpuctl-state` tag of any value, terminated ones included.

        Complete, or an error is raised. Readiness is queried only for the cloud IDs in `ask_ready`.
        """
        ...

    def terminate(self, region: str, cloud_ids: Sequence[str], *, force: bool = False) -> Mapping[str, GpuctlError]:
        """Request the termination of these instances and return at once, with the error by ID.

        IDs without an error were accepted; an instance that is already gone counts as accepted. One bad ID does not
        affect others. Raises only if nothing could be requested. Foreign resources among those of an instance are
        spared, which is an error of that ID; with `force` they are deleted too.
        """
        ...

    def safeguards(
        self, region: str, cloud_id: str, at: datetime, ready_at: datetime | None = None
    ) -> Sequence[Safeguard]:
        """The safeguards of the instance other than the reaper, as the cloud shows them at `at`, and when each acts.

        `ready_at` is when the instance became ready: from a few minutes later a timer that reports itself and has not
        done so is missing.
        """
        ...

    def resources(self, region: str, record_id: str, cloud_id: str, known: Collection[str] = ()) -> Sequence[Resource]:
        """Every resource that exists now for that record: instances, disks, network parts, groups, shared ones too.

        Found by the record's ID tag, by what the instance of that cloud ID refers to, and by the IDs in `known`, which
        a resource that lost its tags needs. A terminated instance is not among them. Complete, or it raises.
        """
        ...

    def diagnose(self, trial: DiagnosedInstance) -> Iterable[Finding]:
        """Whether these credentials may create and terminate such an instance, the quota, the zones that offer it, and
        when the credentials expire. Creates and changes nothing.

        A check that could not be queried is a finding too: UNKNOWN.
        """
        ...

    def unattended_warning(self) -> str | None:
        """What keeps these credentials from working for long without a person, such as an MFA code. None if nothing.

        Asks nothing of the provider.
        """
        ...

    def set_deadline(self, region: str, cloud_id: str, expires_at: datetime) -> None:
        """Move the deadline that the instance itself carries, and whatever timer follows it. Twice is the same.

        Returns only if both were read back as moved. UnresolvedError if the provider may still move them later.
        """
        ...
