"""A cloud where every create names a zone: the zones of the region that offer the type are tried one by one."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from support.clock import FakeClock
from support.fake_cloud import FakeCloud, Trouble
from support.instances import PRICE
from support.silent import Silent
from support.stores import MemoryStore

from gpuctl.catalog import Catalog
from gpuctl.domain.instance import Instance, Observed, Status
from gpuctl.domain.market.offers import InstanceType
from gpuctl.domain.market.request import Request
from gpuctl.errors import CapacityError, UnreachableError
from gpuctl.providers.base import Order
from gpuctl.services.launch.offers import Defaults, choose
from gpuctl.services.launch.prepare import Prepared, prepare
from gpuctl.services.launch.provision import start
from gpuctl.services.runtime import Runtime
from gpuctl.services.sessions import Sessions

CATALOG = Catalog()


@dataclass
class ZonalCloud(FakeCloud):
    """Refuses, as a bug of the caller, every create that names no zone."""

    created_in: list[str] = field(default_factory=list)
    full: frozenset[str] = frozenset()
    is_unreachable: bool = False

    capabilities = replace(FakeCloud.capabilities, picks_zone=False)

    def zones(self, region: str, kind: InstanceType) -> Sequence[str]:
        if self.is_unreachable:
            raise UnreachableError("no answer")
        return [f"{region}a", f"{region}b", f"{region}c"]

    def create(self, order: Order) -> Observed:
        assert order.zone is not None
        self.created_in.append(order.zone)
        self.troubles = [Trouble.REFUSED] if order.zone in self.full else []
        return super().create(order)


@dataclass
class Scene:
    """A cloud and a process that starts an instance in it."""

    cloud: ZonalCloud
    subnet: str | None = None

    def __post_init__(self) -> None:
        sessions = Sessions(lambda name, profile: self.cloud, self.cloud.clock, Silent())
        self.runtime = Runtime(
            MemoryStore(), sessions, self.cloud.clock, Silent(), lambda *_: PRICE, timedelta(hours=2)
        )

    def prepared(self) -> Prepared:
        request = Request(user="ana", instance_type="g4dn.xlarge", region="us-east-1", subnet=self.subnet)
        return prepare(choose(request, lambda name: Defaults(), self.runtime, CATALOG), self.runtime)

    def started(self) -> Instance:
        return start(self.prepared(), self.runtime, lambda records: None, None, agree=lambda *_: True).records[0]


@pytest.fixture
def cloud() -> ZonalCloud:
    return ZonalCloud(FakeClock())


@pytest.mark.parametrize("subnet", [None, "subnet-1"])
def test_the_zones_are_tried_one_by_one_until_one_has_room(cloud: ZonalCloud, subnet: str | None) -> None:
    cloud.full = frozenset({"us-east-1a", "us-east-1b"})
    record = Scene(cloud, subnet).started()
    assert cloud.created_in == ["us-east-1a", "us-east-1b", "us-east-1c"]
    assert (record.zone, [attempt.zone for attempt in record.attempts]) == ("us-east-1c", cloud.created_in)
    assert record.status is not Status.FAILED


def test_a_zone_without_room_is_left_out_by_the_next_start_and_the_others_are_not(cloud: ZonalCloud) -> None:
    cloud.full = frozenset({"us-east-1a"})
    scene = Scene(cloud)
    prepared = scene.prepared()
    assert prepared.first.placement.zone == "us-east-1a"
    prepared.refusals.add(prepared.first.placement, CapacityError("none left"))
    assert [placement.zone for placement in prepared.placements() if prepared.refusals.of(placement) is None] == [
        "us-east-1b",
        "us-east-1c",
    ]


def test_where_the_zones_cannot_be_listed_nothing_is_sent_and_the_reason_is_reported(cloud: ZonalCloud) -> None:
    cloud.is_unreachable = True
    with pytest.raises(UnreachableError, match="no answer"):
        Scene(cloud).prepared()
    assert cloud.created_in == []
