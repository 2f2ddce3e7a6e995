"""Fixtures that every floor's tests share: one cloud on loopback for the whole run, emptied between tests."""

from collections.abc import Iterator

import pytest
from support.clouds import LoopbackAws


@pytest.fixture(scope="session")
def served_cloud() -> Iterator[LoopbackAws]:
    cloud = LoopbackAws()
    yield cloud
    cloud.stop()


@pytest.fixture
def cloud(served_cloud: LoopbackAws) -> LoopbackAws:
    served_cloud.reset()
    return served_cloud
