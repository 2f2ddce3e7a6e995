"""An ARM cloud on loopback at noon, the line to it, and the provider at the other end."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from contracts.provider import an_order
from support.azure import KEY, LoopbackAzure
from support.clouds import LoopbackAws
from support.instances import NOON
from support.wire import Wire

from gpuctl.catalog import Catalog
from gpuctl.providers.azure import open_provider
from gpuctl.providers.azure.provider import AzureProvider
from gpuctl.providers.base import Connection, Order


@pytest.fixture
def noon(cloud: LoopbackAws) -> Iterator[LoopbackAws]:
    cloud.now = NOON
    yield cloud
    cloud.now = timedelta(0)


@pytest.fixture
def wire(noon: LoopbackAws) -> Iterator[Wire]:
    line = Wire(noon.url)
    yield line
    line.stop()


@pytest.fixture
def arm(noon: LoopbackAws) -> Iterator[LoopbackAzure]:
    past_gpuctl = LoopbackAzure(noon)
    yield past_gpuctl
    past_gpuctl.close()


@pytest.fixture
def provider(wire: Wire) -> AzureProvider:
    return open_provider(Connection(sandbox_url=wire.url))


@pytest.fixture
def order(provider: AzureProvider, arm: LoopbackAzure) -> Order:
    """An order for a T4 in eastus, an hour long."""
    kind = Catalog().find("Standard_NC4as_T4_v3")
    image = provider.find_image("eastus", kind, None)
    return replace(an_order(image, "eastus", kind.name), ssh_key=KEY, disk_gb=100)
