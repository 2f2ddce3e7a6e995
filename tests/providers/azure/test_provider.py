"""The Azure provider against an ARM cloud on loopback, over real HTTP."""

from dataclasses import replace
from typing import Any

import pytest
from contracts.provider import ProviderContract, an_order
from support.azure import GEN2, KEY, LoopbackAzure
from support.wire import FAILED_AFTER, LOST, NEVER_ARRIVED, Fault, Wire, refuse_arm

from gpuctl.catalog import Catalog
from gpuctl.domain.instance import CloudState
from gpuctl.errors import (
    CapacityError,
    CloudError,
    CredentialsError,
    GpuctlError,
    OutcomeUnknown,
    PartialCreate,
    QuotaError,
    ThrottledError,
    UnreachableError,
    UsageError,
)
from gpuctl.providers.azure import create as creation
from gpuctl.providers.azure.names import group_in
from gpuctl.providers.azure.provider import AzureProvider
from gpuctl.providers.base import Image, Order

REGION = "eastus"
GROUP = "gpuctl-inst-000000000001"
ELSEWHERE = "/subscriptions/s/resourceGroups/theirs/providers/Microsoft.Compute/virtualMachines/x"


@pytest.fixture
def region() -> str:
    return REGION


class TestAzure(ProviderContract):
    """The contract, then what only Azure does."""

    instance_type = "Standard_NC4as_T4_v3"
    unknown_cloud_id = "gpuctl-inst-zzzzzzzzzzzz"

    @pytest.fixture(autouse=True)
    def _cloud(self, arm: LoopbackAzure) -> None:
        self.arm = arm
        self.foreign = 0

    @pytest.fixture
    def order(self, image: Image, region: str) -> Order:
        return replace(an_order(image, region, self.instance_type), ssh_key=KEY, disk_gb=100)

    def instances(self) -> list[dict[str, Any]]:
        # The sandbox names instances; for gpuctl one is known by its group.
        return [vm | {"id": group_in(vm["id"])} for vm in self.arm.instances()]

    def ssh_from(self, cloud_id: str) -> list[str]:
        (problems,) = (instance["ssh_from"] for instance in self.instances() if instance["id"] == cloud_id)
        return [source for source in problems if source != "VirtualNetwork"]

    def foreign_machine(self, tags: dict[str, str]) -> str:
        self.foreign += 1
        return group_in(self.arm.launch(group=f"theirs-{self.foreign}", tags=tags))

    # making

    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            ("SkuNotAvailable", CapacityError),
            ("QuotaExceeded", QuotaError),
            ("AuthorizationFailed", CredentialsError),
            ("InvalidParameter", CloudError),
        ],
    )
    def test_a_refusal_after_the_group_was_made_names_what_is_there(
        self, provider: AzureProvider, order: Order, wire: Wire, code: str, kind: type[GpuctlError]
    ) -> None:
        wire.arm("PUT virtualMachines", refuse_arm(code))
        with pytest.raises(PartialCreate) as caught:
            provider.create(order)
        assert (type(caught.value.refusal), caught.value.cloud_id) == (kind, GROUP)
        (observed,) = provider.list_instances(REGION)
        assert (observed.cloud_id, observed.state) == (GROUP, CloudState.REMNANT)

    def test_a_refusal_before_anything_was_made_is_of_nothing(
        self, provider: AzureProvider, order: Order, wire: Wire
    ) -> None:
        wire.arm("PUT resourceGroups", refuse_arm("AuthorizationFailed", 403))
        with pytest.raises(CredentialsError):
            provider.create(order)
        assert self.arm.resources() == []

    def test_missing_capacity_is_reported_though_azure_had_accepted_the_create(
        self, provider: AzureProvider, order: Order, region: str
    ) -> None:
        self.arm.break_next("AllocationFailed", type="Microsoft.Compute/virtualMachines", method="PUT")
        with pytest.raises(PartialCreate) as caught:
            provider.create(order)
        assert isinstance(caught.value.refusal, CapacityError)
        observed = self.one(provider, region)
        assert (observed.state, observed.refusal and observed.refusal.code) == (CloudState.FAILED, "capacity")
        assert provider.terminate(region, [GROUP]) == {}
        assert self.arm.resources() == []

    def test_an_instance_that_takes_its_time_is_made_all_the_same(
        self, provider: AzureProvider, order: Order, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(creation, "_VM_WITHIN_S", 0.05)
        self.arm.break_next("StuckOperation", type="Microsoft.Compute/virtualMachines", method="PUT")
        created = provider.create(order)
        assert (created.state, created.ready) == (CloudState.PENDING, False)
        self.arm.finish()

    @pytest.mark.parametrize("call", ["resourceGroups", "networkSecurityGroups", "virtualNetworks", "virtualMachines"])
    @pytest.mark.parametrize("fault", [LOST, NEVER_ARRIVED, FAILED_AFTER], ids=["lost", "never arrived", "503 after"])
    def test_a_lost_answer_to_any_call_is_unknown_and_a_repeat_makes_nothing_twice(
        self, provider: AzureProvider, order: Order, wire: Wire, call: str, fault: Fault
    ) -> None:
        wire.arm(f"PUT {call}", fault)
        with pytest.raises(OutcomeUnknown):
            provider.create(order)
        assert provider.create(order).ready
        assert [resource["type"] for resource in self.arm.resources()] == [
            item["type"] for item in self.whole_machine()
        ]
        assert len(self.instances()) == 1

    def whole_machine(self) -> list[dict[str, Any]]:
        """What an instance is made of, by the cloud's books."""
        resources = self.arm.resources()
        assert len({item["type"] for item in resources}) == len(resources) == 8
        return resources

    def test_everything_that_was_made_carries_our_id(self, provider: AzureProvider, order: Order) -> None:
        provider.create(order)
        bare = [item["type"] for item in self.whole_machine() if item["tags"].get("gpuctl-id") != order.record_id]
        # Azure makes the disk itself; it belongs to the instance and goes with it.
        assert bare in ([], ["Microsoft.Compute/disks"])

    def test_somebody_elses_group_of_our_name_is_refused_and_left_as_it_is(
        self, provider: AzureProvider, order: Order
    ) -> None:
        self.arm.group(GROUP, tags={"gpuctl-id": order.record_id, "gpuctl-state": "another-state"})
        before = self.arm.resources()
        with pytest.raises(CloudError, match="is not ours"):
            provider.create(order)
        assert self.arm.resources() == before

    # seeing

    def test_off_from_within_bills_and_deallocated_does_not(self, provider: AzureProvider, order: Order) -> None:
        provider.create(order)
        self.arm.shut_down(self.arm.instances()[0]["id"])
        observed = self.one(provider, REGION)
        assert (observed.state, observed.bills_when_stopped) == (CloudState.STOPPED, True)
        self.arm.compute.virtual_machines.begin_deallocate(GROUP, order.token).result()
        observed = self.one(provider, REGION)
        assert (observed.state, observed.bills_when_stopped) == (CloudState.STOPPED, False)

    @pytest.mark.parametrize("call", ["GET resourceGroups", "GET virtualMachines"])
    def test_a_listing_of_which_one_page_fails_says_nothing(
        self, provider: AzureProvider, order: Order, wire: Wire, call: str
    ) -> None:
        for number in range(5):
            provider.create(replace(order, token=f"inst-00000000000{number}", record_id=f"inst-00000000000{number}"))
        self.arm.set(page_size=2)
        assert len(provider.list_instances(REGION)) == 5
        wire.arm(call, None, *[refuse_arm("InternalServerError", 500)] * 4)
        with pytest.raises(UnreachableError):
            provider.list_instances(REGION)

    def test_throttling_is_waited_out_a_little_and_then_reported(
        self, provider: AzureProvider, order: Order, wire: Wire, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slept: list[float] = []
        monkeypatch.setattr("azure.core.pipeline.transport.RequestsTransport.sleep", lambda _, span: slept.append(span))
        throttled = refuse_arm("TooManyRequests", 429, **{"Retry-After": "9"})
        wire.arm("GET resourceGroups", throttled)
        assert list(provider.list_instances(REGION)) == []
        wire.arm("GET resourceGroups", *[throttled] * 4)
        with pytest.raises(ThrottledError):
            provider.list_instances(REGION)
        assert (max(slept), len(wire.calls("GET resourceGroups"))) == (9, 6)

    def test_a_long_throttle_is_reported_at_once_and_not_hammered(self, provider: AzureProvider, wire: Wire) -> None:
        wire.arm("GET resourceGroups", refuse_arm("TooManyRequests", 429, **{"Retry-After": "300"}))
        with pytest.raises(ThrottledError):
            provider.list_instances(REGION)
        assert len(wire.calls("GET resourceGroups")) == 1

    def test_an_address_is_reported_where_it_matters(self, provider: AzureProvider, order: Order) -> None:
        created = provider.create(order)
        assert created.public_ip
        assert created.private_ip
        (plain,) = provider.list_instances(REGION)
        (starting,) = provider.list_instances(REGION, [GROUP])
        assert (plain.public_ip, plain.reports_addresses) == (None, False)
        assert (starting.public_ip, starting.reports_addresses) == (created.public_ip, True)

    # images

    def test_a_size_of_the_first_generation_gets_an_image_it_can_boot(
        self, provider: AzureProvider, order: Order
    ) -> None:
        old = Catalog().find("Standard_NC6")
        image = provider.find_image(REGION, old, None)
        assert image.id.startswith("canonical:")
        assert "latest" not in image.id
        assert provider.create(replace(order, instance_type=old.name, image=image)).ready

    def test_an_image_of_another_generation_or_none_at_all_is_refused(self, provider: AzureProvider) -> None:
        with pytest.raises(UsageError, match="is of generation V2"):
            provider.find_image(REGION, Catalog().find("Standard_NC6"), GEN2)
        with pytest.raises(UsageError, match="there is no image"):
            provider.find_image(REGION, Catalog().find(self.instance_type), "a:b:c:latest")

    def test_a_size_this_subscription_may_not_have_is_reported_before_anything_is_made(
        self, provider: AzureProvider
    ) -> None:
        self.arm.set(restrictions={REGION: {self.instance_type: "NotAvailableForSubscription"}})
        with pytest.raises(CapacityError, match="NotAvailableForSubscription"):
            provider.find_image(REGION, Catalog().find(self.instance_type), None)

    def test_a_quota_error_is_reported_as_a_quota_error(self, provider: AzureProvider, order: Order) -> None:
        self.arm.set(quotas={REGION: {"Standard NCASv3_T4 Family": 0}})
        with pytest.raises(PartialCreate) as caught:
            provider.create(order)
        assert isinstance(caught.value.refusal, QuotaError)
