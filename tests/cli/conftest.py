"""What the tests of commands share."""

from collections.abc import Iterator

import pytest
from support.azure import LoopbackAzure
from support.cli import Operator
from support.google import LoopbackGoogle


@pytest.fixture
def arm(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackAzure]:
    """Azure, which the operator's commands reach as well; what is asked here is not in the books of the wire."""
    monkeypatch.setenv("GPUCTL_AZURE_ENDPOINT", operator.wire.url)
    monkeypatch.setattr("azure.core.pipeline.transport.RequestsTransport.sleep", lambda transport, span: None)
    past_gpuctl = LoopbackAzure(operator.cloud)
    yield past_gpuctl
    past_gpuctl.close()


@pytest.fixture
def google(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> LoopbackGoogle:
    """Google Cloud, which the operator's commands reach as well; what is asked here is not in the books of the wire."""
    monkeypatch.setenv("GPUCTL_GCP_ENDPOINT", operator.wire.url)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", LoopbackGoogle.project)
    return LoopbackGoogle(operator.cloud)
