"""Fixtures for all tests: one emulated cloud for the whole run, emptied between tests."""

import gc
import os
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.azure import LoopbackAzure
from support.cli import Operator
from support.clouds import LoopbackAws
from support.google import LoopbackGoogle
from support.postgres import MISSING as NO_POSTGRES
from support.postgres import POSTGRES, PostgresServer
from support.reachable import Reachable
from support.sdk import share_models
from support.sshd import MISSING, SSHD, Cable, Sshd
from support.wire import Wire

# The command line's package switches collection off until its console script is run; here nobody runs that.
gc.enable()
share_models()
# A shell starts a background job with SIGINT ignored; a test of Ctrl-C would then wait forever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _nobodys_login(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test can reach a real cloud, whoever runs it."""
    import os

    of_clouds = ("AWS_", "AZURE_", "GPUCTL_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_")
    for name in list(os.environ):
        if name.startswith(of_clouds) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    nowhere = str(tmp_path_factory.getbasetemp() / "nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", nowhere)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", nowhere)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # No managed identity is looked for, and no command line's login: this chain has one link, and that is empty.
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    monkeypatch.setenv("AZURE_CONFIG_DIR", nowhere)
    monkeypatch.setenv("CLOUDSDK_CONFIG", nowhere)
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.fixture(scope="session")
def served_cloud() -> Iterator[LoopbackAws]:
    cloud = LoopbackAws()
    yield cloud
    cloud.stop()


@pytest.fixture
def cloud(served_cloud: LoopbackAws) -> Iterator[LoopbackAws]:
    served_cloud.reset()
    yield served_cloud
    served_cloud.now = timedelta(0)


@pytest.fixture
def operator(tmp_path: Path, cloud: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    """An operator whose AWS SDK is pointed at loopback the way a user would: by its own variables."""
    wire = Wire(cloud.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-canary")
    yield Operator(tmp_path, cloud, wire)
    wire.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL server, one for each worker."""
    if POSTGRES is None:
        pytest.skip(NO_POSTGRES)
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture
def schema(postgres: PostgresServer) -> str:
    """An empty schema."""
    return postgres.new_schema()


@pytest.fixture
def url(postgres: PostgresServer, schema: str) -> str:
    """The URL of a state in PostgreSQL that is not initialized."""
    return postgres.url(schema)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """A real OpenSSH server on loopback."""
    if SSHD is None:
        pytest.skip(MISSING)
    server = Sshd(tmp_path / "sshd")
    yield server
    server.stop()


@pytest.fixture
def cable(sshd: Sshd) -> Iterator[Cable]:
    """The way to it, which can be cut."""
    laid = Cable(sshd.port)
    yield laid
    laid.stop()


@pytest.fixture
def reachable(operator: Operator, sshd: Sshd, cable: Cable) -> Reachable:
    """An operator who can get onto instances."""
    return Reachable(operator, sshd, cable)


@pytest.fixture
def azure_cloud(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackAzure]:
    """Azure, which the operator's commands reach as well; what is asked here is not in the books of the wire."""
    monkeypatch.setenv("GPUCTL_AZURE_ENDPOINT", operator.wire.url)
    monkeypatch.setattr("azure.core.pipeline.transport.RequestsTransport.sleep", lambda transport, span: None)
    past_gpuctl = LoopbackAzure(operator.cloud)
    yield past_gpuctl
    past_gpuctl.close()


@pytest.fixture
def google_cloud(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> LoopbackGoogle:
    """Google Cloud, which the operator's commands reach as well; what is asked here is not in the books of the wire."""
    monkeypatch.setenv("GPUCTL_GCP_ENDPOINT", operator.wire.url)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", LoopbackGoogle.project)
    return LoopbackGoogle(operator.cloud)


@pytest.fixture
def set_umask() -> Iterator[Callable[[int], None]]:
    before = os.umask(0o022)
    yield lambda umask: os.umask(umask) and None
    os.umask(before)
