"""What every provider must do over real HTTP; each cloud runs all of it."""

from abc import ABC, abstractmethod
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.instances import NOON

from gpuctl.catalog import Catalog
from gpuctl.domain.instance import CloudState, Market, Observed
from gpuctl.domain.tags import deadline_tag
from gpuctl.providers.base import Image, Order, Provider

LIFE = timedelta(hours=1)


def an_order(image: Image, region: str, instance_type: str) -> Order:
    """For an instance asked for at noon, to live an hour."""
    return Order(
        token="inst-000000000001",
        record_id="inst-000000000001",
        state_id="a-state-id",
        owner="ana",
        name="train-7",
        expires_at=NOON + LIFE,
        max_ttl=2 * LIFE,
        region=region,
        zone=None,
        subnet=None,
        instance_type=instance_type,
        market=Market.ON_DEMAND,
        image=image,
        disk_gb=50,
        created_at=NOON,
        tags={"project": "x"},
    )


class ProviderContract(ABC):
    """Subclass it with fixtures `provider` (on an empty cloud whose clock stands at noon) and `region`."""

    instance_type: str
    unknown_cloud_id: str

    @abstractmethod
    def instances(self) -> list[dict[str, Any]]:
        """Every instance by an oracle that does not go through the provider: `id`, `state`, `tags`."""

    @abstractmethod
    def ssh_from(self, cloud_id: str) -> list[str]:
        """The ranges outside its network from which port 22 of that instance can be reached, by the same oracle."""

    @abstractmethod
    def foreign_machine(self, tags: dict[str, str]) -> str:
        """Start somebody else's instance, with these tags, and return its cloud id."""

    @pytest.fixture
    def image(self, provider: Provider, region: str) -> Image:
        return provider.find_image(region, Catalog().find(self.instance_type), None)

    @pytest.fixture
    def order(self, image: Image, region: str) -> Order:
        return an_order(image, region, self.instance_type)

    def test_credentials_report_their_account_and_the_clouds_time(self, provider: Provider) -> None:
        identity = provider.identity()
        assert identity.account
        assert identity.cloud_time == NOON

    def test_an_instance_carries_all_our_tags_and_the_users_from_the_create_call_on(
        self, provider: Provider, order: Order
    ) -> None:
        created = provider.create(order)
        (instance,) = self.instances()
        wanted = {
            "gpuctl-id": order.record_id,
            "gpuctl-state": order.state_id,
            "gpuctl-owner": "ana",
            "gpuctl-expires-at": deadline_tag(order.expires_at),
            "project": "x",
        }
        assert instance["id"] == created.cloud_id
        assert wanted.items() <= instance["tags"].items()
        assert wanted.items() <= created.tags.items()

    def test_the_same_order_again_is_the_same_instance(self, provider: Provider, order: Order) -> None:
        first, second = provider.create(order), provider.create(order)
        assert first.cloud_id == second.cloud_id
        assert len(self.instances()) == 1

    def test_another_token_is_another_instance(self, provider: Provider, order: Order) -> None:
        provider.create(order)
        provider.create(replace(order, token="inst-000000000002", record_id="inst-000000000002"))
        assert len(self.instances()) == 2

    def test_an_instance_is_found_by_its_id_its_tag_and_in_the_listing(
        self, provider: Provider, order: Order, region: str
    ) -> None:
        created = provider.create(order)
        by_id = provider.get(region, created.cloud_id)
        assert by_id is not None
        assert (by_id.state, by_id.ready, by_id.launched_at) == (CloudState.RUNNING, True, NOON)
        assert [observed.cloud_id for observed in provider.find(region, order.record_id)] == [created.cloud_id]
        (listed,) = provider.list_instances(region, [created.cloud_id])
        assert (listed.cloud_id, listed.ready, listed.tags) == (created.cloud_id, True, by_id.tags)

    def test_readiness_is_asked_only_for_those_it_matters_for(
        self, provider: Provider, order: Order, region: str
    ) -> None:
        provider.create(order)
        (listed,) = provider.list_instances(region)
        assert listed.ready is None

    def test_what_the_cloud_does_not_know_is_none(self, provider: Provider, region: str) -> None:
        assert provider.get(region, self.unknown_cloud_id) is None
        assert list(provider.find(region, "inst-zzzzzzzzzzzz")) == []
        assert list(provider.list_instances(region)) == []

    def test_instances_without_our_tag_are_not_even_listed(self, provider: Provider, region: str) -> None:
        self.foreign_machine({})
        self.foreign_machine({"gpuctl": "x", "gpuctl-id": "inst-000000000001"})
        other = self.foreign_machine({"gpuctl-state": "another-state"})
        assert [observed.cloud_id for observed in provider.list_instances(region)] == [other]

    def test_a_terminated_instance_is_shown_as_terminated_with_its_time(
        self, provider: Provider, order: Order, region: str
    ) -> None:
        created = provider.create(order)
        assert provider.terminate(region, [created.cloud_id]) == {}
        ended = self.one(provider, region)
        assert (ended.state, ended.exists, ended.ended_at) == (CloudState.ENDED, False, NOON)

    def test_ending_twice_is_fine(self, provider: Provider, order: Order, region: str) -> None:
        created = provider.create(order)
        provider.terminate(region, [created.cloud_id])
        assert provider.terminate(region, [created.cloud_id]) == {}

    def test_an_unknown_id_does_not_prevent_the_termination_of_the_others(
        self, provider: Provider, order: Order, region: str
    ) -> None:
        good = [
            provider.create(replace(order, token=f"inst-00000000000{n}", record_id=f"inst-00000000000{n}")).cloud_id
            for n in range(3)
        ]
        failed = provider.terminate(region, [good[0], self.unknown_cloud_id, *good[1:]])
        assert set(failed) <= {self.unknown_cloud_id}
        assert {instance["state"] for instance in self.instances()} == {"terminated"}

    def test_two_instances_of_a_state_are_not_reachable_from_each_other_s_range(
        self, provider: Provider, order: Order
    ) -> None:
        ranges = ["203.0.113.7/32", "198.51.100.0/24", "203.0.113.7/32", None]
        created = [
            provider.create(replace(order, token=token, record_id=token, ssh_from=cidr))
            for token, cidr in zip([f"inst-00000000000{n}" for n in range(4)], ranges, strict=True)
        ]
        assert [self.ssh_from(observed.cloud_id) for observed in created] == [[cidr] if cidr else [] for cidr in ranges]

    def test_an_instance_with_a_range_in_a_network_of_the_provider_s_choice_has_no_other_source(
        self, provider: Provider, region: str
    ) -> None:
        assert list(provider.other_ssh_sources(region, None, "203.0.113.7/32")) == []

    def test_closing_what_is_unneeded_leaves_what_an_instance_uses_open(
        self, provider: Provider, order: Order, region: str
    ) -> None:
        created = provider.create(replace(order, ssh_from="203.0.113.7/32"))
        for needed in (["203.0.113.7/32"], [], []):
            provider.close_ingress(region, order.state_id, needed)
        assert self.ssh_from(created.cloud_id) == ["203.0.113.7/32"]
        provider.terminate(region, [created.cloud_id])
        assert provider.close_ingress(region, order.state_id, [])
        assert provider.close_ingress(region, order.state_id, [])

    def test_a_moved_deadline_is_in_the_tags_of_the_instance(
        self, provider: Provider, order: Order, region: str
    ) -> None:
        created = provider.create(order)
        later = NOON + 2 * LIFE
        provider.set_deadline(region, created.cloud_id, later)
        provider.set_deadline(region, created.cloud_id, later)
        assert self.instances()[0]["tags"]["gpuctl-expires-at"] == deadline_tag(later)

    def test_every_resource_of_an_instance_is_listed_with_our_tags_until_it_is_gone(
        self, provider: Provider, order: Order, region: str
    ) -> None:
        created = provider.create(order)
        present = provider.resources(region, order.record_id, created.cloud_id)
        assert {resource.id for resource in present if "gpuctl-id" in resource.tags} >= {created.cloud_id}
        assert {resource.tags.get("gpuctl-id") for resource in present if not resource.is_part} == {order.record_id}
        assert len({resource.kind for resource in present}) >= 3
        provider.terminate(region, [created.cloud_id])
        known = [resource.id for resource in present]
        assert list(provider.resources(region, order.record_id, created.cloud_id, known)) == []

    def test_a_record_without_anything_in_the_cloud_has_no_resources(self, provider: Provider, region: str) -> None:
        assert list(provider.resources(region, "inst-zzzzzzzzzzzz", self.unknown_cloud_id)) == []

    def one(self, provider: Provider, region: str) -> Observed:
        (only,) = provider.list_instances(region)
        return only
