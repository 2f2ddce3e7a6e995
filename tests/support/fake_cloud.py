"""A cloud in memory with the worst manners a real one may have: lag, lost replies, refusals, and deaths in between."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from support.clock import FakeClock
from support.instances import ACCOUNT

from gpuctl.domain.instance import CloudState, Market, Observed, ProviderName
from gpuctl.domain.market.offers import InstanceType
from gpuctl.domain.market.request import Request
from gpuctl.domain.resource import Resource
from gpuctl.domain.safeguards import Safeguard
from gpuctl.domain.tags import deadline_tag
from gpuctl.errors import CapacityError, CloudError, GpuctlError, OutcomeUnknown, UnreachableError
from gpuctl.providers.base import Identity, Image, Order
from gpuctl.providers.facts import Capabilities


class Crash(BaseException):
    """The process was killed here."""


class Trouble(Enum):
    """What happens to one call."""

    REFUSED = auto()  # not performed, and the cloud says so
    LOST = auto()  # performed, and nobody hears of it
    NEVER_ARRIVED = auto()  # not performed, and nobody hears of it
    KILLED_BEFORE = auto()  # the caller dies before it is sent
    KILLED_AFTER = auto()  # the caller dies after it was performed


@dataclass(frozen=True)
class Machine:
    """One instance in the cloud's books."""

    cloud_id: str
    region: str
    tags: Mapping[str, str]
    launched_at: datetime
    visible_from: datetime
    ended_at: datetime | None = None


@dataclass
class FakeCloud:
    """A `Provider`. `true_time` is the cloud's; the caller's clock may be anything.

    `interlude` is what another process does while the next call is under way.
    """

    clock: FakeClock
    skew: timedelta = timedelta(0)
    lag: timedelta = timedelta(0)
    instances: dict[str, Machine] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)
    ends_asked: list[str] = field(default_factory=list)
    interlude: Callable[[], None] | None = None

    name = ProviderName.AWS
    capabilities = Capabilities(timer_in_create=True)
    login = None
    is_local = True

    @property
    def true_time(self) -> datetime:
        return self.clock.now() - self.skew

    @property
    def active(self) -> list[Machine]:
        return [instance for instance in self.instances.values() if instance.ended_at is None]

    def launch(self, region: str, tags: Mapping[str, str]) -> str:
        cloud_id = f"i-{len(self.instances):017x}"
        now = self.true_time
        self.instances[cloud_id] = Machine(cloud_id, region, tags, now, now + self.lag)
        return cloud_id

    def default_region(self) -> tuple[str, str] | None:
        return None

    def identity(self) -> Identity:
        self._trouble()
        return Identity(ACCOUNT, self.true_time.replace(microsecond=0))

    def regions(self) -> Collection[str]:
        self._trouble()
        return {"us-east-1"}

    def find_image(self, region: str, kind: InstanceType, image: str | None) -> Image:
        return Image("ami-1", "/dev/sda1", 8)

    def check_request(self, request: Request) -> None:
        return None

    def check_ttl(self, region: str, ttl: timedelta) -> None:
        return None

    def prepare(self, region: str, say: Callable[[str], None]) -> None:
        return

    def zones(self, region: str, kind: InstanceType) -> Sequence[str]:
        self._trouble()
        return [f"{region}a", f"{region}b"]

    def create(self, order: Order) -> Observed:
        trouble = self._next_trouble()
        if trouble is Trouble.KILLED_BEFORE:
            raise Crash
        if trouble is Trouble.REFUSED:
            raise CapacityError("none left")
        if trouble is Trouble.NEVER_ARRIVED:
            raise OutcomeUnknown("no answer")
        if order.token not in self.tokens:
            self.tokens[order.token] = self.launch(
                order.region,
                {
                    "gpuctl-id": order.record_id,
                    "gpuctl-state": order.state_id,
                    "gpuctl-owner": order.owner,
                    "gpuctl-expires-at": deadline_tag(order.expires_at),
                },
            )
        if trouble is Trouble.KILLED_AFTER:
            raise Crash
        if trouble is Trouble.LOST:
            raise OutcomeUnknown("no answer")
        return self._seen(self.instances[self.tokens[order.token]])

    def other_ssh_sources(self, region: str, subnet: str | None, ssh_from: str | None) -> Sequence[str]:
        return ()

    def close_ingress(self, region: str, state_id: str, needed: Collection[str]) -> bool:
        return True

    def get(self, region: str, cloud_id: str) -> Observed | None:
        self._trouble()
        instance = self.instances.get(cloud_id)
        return self._seen(instance) if instance and self._is_visible(instance) else None

    def find(self, region: str, record_id: str) -> Sequence[Observed]:
        return [observed for observed in self.list_instances(region) if observed.tags["gpuctl-id"] == record_id]

    def list_instances(self, region: str, query_ready: Collection[str] = ()) -> Sequence[Observed]:
        self._trouble()
        return [
            self._seen(instance)
            for instance in self.instances.values()
            if instance.region == region and "gpuctl-state" in instance.tags and self._is_visible(instance)
        ]

    def terminate(self, region: str, cloud_ids: Sequence[str], *, force: bool = False) -> Mapping[str, GpuctlError]:
        trouble = self._next_trouble()
        if trouble is Trouble.KILLED_BEFORE:
            raise Crash
        if trouble in (Trouble.REFUSED, Trouble.NEVER_ARRIVED):
            return dict.fromkeys(cloud_ids, CloudError("no"))
        unknown = [
            text for text in cloud_ids if text not in self.instances or not self._is_visible(self.instances[text])
        ]
        for cloud_id in set(cloud_ids) - set(unknown):
            self.ends_asked.append(cloud_id)
            instance = self.instances[cloud_id]
            self.instances[cloud_id] = replace(instance, ended_at=instance.ended_at or self.true_time)
        if trouble is Trouble.KILLED_AFTER:
            raise Crash
        if trouble is Trouble.LOST:
            return dict.fromkeys(cloud_ids, UnreachableError("no answer"))
        return dict.fromkeys(unknown, CloudError("not known yet"))

    def safeguards(
        self, region: str, cloud_id: str, at: datetime, ready_at: datetime | None = None
    ) -> Sequence[Safeguard]:
        self._trouble()
        return []

    def resources(self, region: str, record_id: str, cloud_id: str, known: Collection[str] = ()) -> Sequence[Resource]:
        self._trouble()
        return [
            Resource("instance", instance.cloud_id, instance.tags)
            for instance in self.active
            if instance.cloud_id == cloud_id or instance.tags.get("gpuctl-id") == record_id
        ]

    def set_deadline(self, region: str, cloud_id: str, expires_at: datetime) -> None:
        trouble = self._next_trouble()
        if trouble is Trouble.KILLED_BEFORE:
            raise Crash
        if trouble in (Trouble.REFUSED, Trouble.NEVER_ARRIVED):
            raise CloudError("no")
        instance = self.instances[cloud_id]
        tags = {**instance.tags, "gpuctl-expires-at": deadline_tag(expires_at)}
        self.instances[cloud_id] = replace(instance, tags=tags)
        if trouble is Trouble.KILLED_AFTER:
            raise Crash
        if trouble is Trouble.LOST:
            raise UnreachableError("no answer")

    def _is_visible(self, instance: Machine) -> bool:
        # An ended instance is shown for an hour.
        return instance.visible_from <= self.true_time and (
            instance.ended_at is None or self.true_time - instance.ended_at < timedelta(hours=1)
        )

    def _seen(self, instance: Machine) -> Observed:
        return Observed(
            provider=ProviderName.AWS,
            account=ACCOUNT,
            region=instance.region,
            cloud_id=instance.cloud_id,
            state=CloudState.RUNNING if instance.ended_at is None else CloudState.ENDED,
            ready=instance.ended_at is None,
            instance_type="g4dn.xlarge",
            market=Market.ON_DEMAND,
            launched_at=instance.launched_at,
            ended_at=instance.ended_at,
            tags=dict(instance.tags),
        )

    def _next_trouble(self) -> Trouble | None:
        if self.interlude is not None:
            # Once, and nothing else comes in between while it happens.
            happens, self.interlude = self.interlude, None
            happens()
        return self.troubles.pop(0) if self.troubles else None

    def _trouble(self) -> None:
        """Trouble of a call that only reads."""
        trouble = self._next_trouble()
        if trouble in (Trouble.KILLED_BEFORE, Trouble.KILLED_AFTER):
            raise Crash
        if trouble is not None:
            raise UnreachableError("no answer")
