"""The instance under test, with everything a check needs to look at it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from gpuctl.domain.instance import Instance
from gpuctl.domain.market.candidates import Placement
from gpuctl.domain.market.offers import InstanceType
from gpuctl.domain.resource import Resource
from gpuctl.errors import GpuctlError, UnresolvedError
from gpuctl.providers.base import Order, Provider
from gpuctl.remote.line import Reply
from gpuctl.services.launch.attempt_changes import order_of
from gpuctl.services.launch.prepare import Prepared
from gpuctl.services.runtime import Runtime

Ask = Callable[[Instance, str], Reply]
ListedPrice = Callable[[Instance], Decimal | None]


@dataclass(frozen=True, slots=True)
class SelftestTools:
    """What a self-test can use beside the provider. Where it cannot use something, the value is the reason.

    `ask` runs a shell script on the instance over ssh. `listed_price` reads the provider's price list.
    """

    ask: Ask
    listed_price: ListedPrice
    no_price_list: str | None = None
    no_boot: str | None = None


@dataclass(slots=True)
class Subject:
    """One instance, by its record in the state, and its provider.

    `known` are the IDs of its resources seen so far; `ssh_failed`: the check of ssh failed, so that none after it
    waits for ssh again.
    """

    prepared: Prepared
    runtime: Runtime
    means: SelftestTools
    record_id: str
    created_at: timedelta
    known: set[str] = field(default_factory=set)
    ssh_failed: bool = False

    @property
    def record(self) -> Instance:
        """The record as it is in the state now. UnresolvedError where the state has it no more."""
        for record in self.runtime.store.snapshot().records:
            if record.id == self.record_id:
                return record
        raise UnresolvedError(f"the state has no record `{self.record_id}` any more", hint="gpuctl recover --dry-run")

    @property
    def cloud_id(self) -> str:
        """The cloud ID. UnresolvedError where none is known."""
        cloud_id = self.record.cloud_id
        if cloud_id is None:
            raise UnresolvedError(f"no instance of {self.record_id} was found", hint="gpuctl reap --sweep")
        return cloud_id

    @property
    def provider(self) -> Provider:
        """The provider, with credentials for the record's account."""
        return self.runtime.sessions.of(self.record).provider

    @property
    def no_ssh(self) -> str | None:
        """Why ssh cannot reach the instance; None where it should."""
        if self.ssh_failed:
            return "ssh does not reach the instance"
        record = self.record
        if record.ssh_key is None:
            return "the instance was created without an ssh key"
        return None if record.ssh_from is not None else "port 22 is closed: `--ssh-from` opens it"

    @property
    def kind(self) -> InstanceType:
        """The instance type that was started."""
        return self._place.offer.type

    @property
    def elapsed(self) -> timedelta:
        """How long ago the create request was answered."""
        return self.runtime.clock.elapsed() - self.created_at

    def order(self) -> Order:
        """The order that the instance was created by."""
        state_id = self.runtime.store.snapshot().state_id or ""
        return order_of(self.record, self.prepared.logins.launchable(self._place), state_id)

    def resources(self) -> Sequence[Resource]:
        """Every resource that exists for the record now; those seen are remembered, so that lost tags hide none."""
        record = self.record
        resources = self.provider.resources(record.region, record.id, record.cloud_id or "", sorted(self.known))
        self.known |= {resource.id for resource in resources}
        return resources

    @property
    def _place(self) -> Placement:
        attempt = self.record.attempts[-1]
        for offer in self.prepared.offers:
            wanted = (attempt.instance_type, attempt.region, attempt.market)
            if (offer.type.name, offer.region, offer.market) == wanted:
                return Placement(offer, attempt.zone)
        raise GpuctlError(f"no offer matches the last attempt of {self.record_id}")
