"""What the tests of commands share."""

from collections.abc import Iterator

import pytest
from support.azure import LoopbackAzure
from support.cli import Operator


@pytest.fixture
def arm(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackAzure]:
    """Azure, which the operator's commands reach as well; what is asked here is not in the books of the wire."""
    monkeypatch.setenv("GPUCTL_AZURE_ENDPOINT", operator.wire.url)
    monkeypatch.setattr("azure.core.pipeline.transport.RequestsTransport.sleep", lambda transport, span: None)
    past_gpuctl = LoopbackAzure(operator.cloud)
    yield past_gpuctl
    past_gpuctl.close()
