"""Azure beside AWS on the loopback sandbox."""

from collections.abc import Iterator

import pytest
from support.azure import LoopbackAzure
from support.clouds import LoopbackAws


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
