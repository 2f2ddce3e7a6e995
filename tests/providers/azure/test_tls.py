"""Azure behind TLS: a connection that breaks after the request, and a login of another tenant than the record's."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from contracts.provider import an_order
from support.azure import KEY, LoopbackAzure
from support.clouds import LoopbackAws
from support.instances import NOON
from support.tls import TlsFront, fake_az, of_another_tenant

from gpuctl.catalog import Catalog
from gpuctl.errors import CredentialsError, OutcomeUnknown, UnreachableError
from gpuctl.providers.azure import open_provider
from gpuctl.providers.azure.provider import AzureProvider
from gpuctl.providers.base import Connection, Order
from gpuctl_sandbox.azure.places import SUBSCRIPTION, TENANT

T4 = Catalog().find("Standard_NC4as_T4_v3")


@pytest.fixture
def arm(cloud: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackAzure]:
    cloud.now = NOON
    monkeypatch.setattr("azure.core.pipeline.transport.RequestsTransport.sleep", lambda transport, span: None)
    past_gpuctl = LoopbackAzure(cloud)
    yield past_gpuctl
    past_gpuctl.close()
    cloud.now = timedelta(0)


@pytest.fixture
def front(arm: LoopbackAzure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsFront]:
    actual = TlsFront(arm.url, tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(actual.ca))
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    monkeypatch.setenv("PATH", f"{fake_az(tmp_path / 'bin')}:{os.environ['PATH']}")
    monkeypatch.setenv("NO_PROXY", "*")
    yield actual
    actual.stop()


@pytest.fixture
def provider(front: TlsFront) -> AzureProvider:
    return open_provider(Connection(SUBSCRIPTION, environ={"GPUCTL_AZURE_ENDPOINT": front.url}))


@pytest.fixture
def order(provider: AzureProvider) -> Order:
    image = provider.find_image("eastus", T4, None)
    return replace(an_order(image, "eastus", T4.name), ssh_key=KEY, disk_gb=100)


def test_a_connection_that_breaks_after_the_request_leaves_the_outcome_unknown(
    provider: AzureProvider, order: Order, front: TlsFront, arm: LoopbackAzure
) -> None:
    front.broken, front.breaks = "PUT /subscriptions", 1
    with pytest.raises(OutcomeUnknown):
        provider.create(order)
    # The request had arrived: the group is there.
    assert [resource["type"] for resource in arm.resources()] == ["Microsoft.Resources/resourceGroups"]


def test_an_instances_own_request_that_breaks_after_it_arrived_is_unknown_and_its_repeat_finds_the_instance(
    provider: AzureProvider, order: Order, front: TlsFront, arm: LoopbackAzure
) -> None:
    front.broken, front.breaks = "/virtualMachines/", 1
    with pytest.raises(OutcomeUnknown):
        provider.create(order)
    assert len(arm.instances()) == 1
    assert provider.create(order).ready
    assert len(arm.instances()) == 1


def test_a_certificate_that_is_not_trusted_means_that_nothing_was_sent(
    provider: AzureProvider, order: Order, arm: LoopbackAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    before = len(arm.calls())
    with pytest.raises(UnreachableError, match=r"could not be reached \(self.signed certificate\)"):
        provider.create(order)
    assert len(arm.calls()) == before


def test_a_subscription_of_another_tenant_is_reached_with_a_token_of_that_tenant(
    front: TlsFront, provider: AzureProvider
) -> None:
    front.gate = of_another_tenant(TENANT)
    assert provider.identity().account == f"{TENANT}/{SUBSCRIPTION}"
    assert provider.regions()
    assert list(dict.fromkeys(front.tokens)) == ["of-home", f"of-{TENANT}"]


def test_a_subscription_that_another_account_of_the_cli_has_is_reached_by_that_account(
    front: TlsFront, provider: AzureProvider, tmp_path: Path
) -> None:
    fake_az(tmp_path / "bin", other_account=TENANT)
    front.gate = of_another_tenant(TENANT)
    assert provider.identity().account == f"{TENANT}/{SUBSCRIPTION}"


def test_a_token_that_is_refused_in_the_subscriptions_own_tenant_is_no_endless_loop(
    front: TlsFront, provider: AzureProvider
) -> None:
    refuse_all = of_another_tenant(TENANT)
    front.gate = lambda _: refuse_all("of-nobody")
    with pytest.raises(CredentialsError, match="InvalidAuthenticationTokenTenant"):
        provider.identity()
    assert front.tokens == ["of-home", f"of-{TENANT}"]
