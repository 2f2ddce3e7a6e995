"""Azure and Google Cloud beside AWS on the loopback sandbox."""

from collections.abc import Iterator

import pytest
from support.azure import LoopbackAzure
from support.clouds import LoopbackAws
from support.google import LoopbackGoogle
from support.instances import NOON


@pytest.fixture(scope="session")
def served_azure(served_cloud: LoopbackAws) -> Iterator[LoopbackAzure]:
    azure = LoopbackAzure(served_cloud)
    yield azure
    azure.close()


@pytest.fixture
def azure(cloud: LoopbackAws, served_azure: LoopbackAzure) -> LoopbackAzure:
    """An empty Azure."""
    served_azure.register()
    return served_azure


@pytest.fixture
def google(cloud: LoopbackAws) -> LoopbackGoogle:
    """An empty Google Cloud at noon."""
    cloud.now = NOON
    return LoopbackGoogle(cloud)
