"""Google's credentials behind TLS: tokens that end during a command or cannot be had, and the metadata server.

The login service and the metadata server are on loopback; the API in front of the emulated Compute Engine has TLS,
because over plain http no credential is sent.
"""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from contracts.provider import an_order
from support.cli import Operator
from support.clouds import LoopbackAws
from support.google import LoopbackGoogle
from support.instances import NOON
from support.serving import Request, Server, body_of, send
from support.tls import Answer, TlsFront

from gpuctl.catalog import Catalog
from gpuctl.errors import CredentialsError, UnreachableError
from gpuctl.providers.base import Connection, Order
from gpuctl.providers.gcp import open_provider
from gpuctl.providers.gcp.login import Login

REGION = "us-central1"
L4 = ("provision", "g2-standard-4", "--region", REGION, "--name", "n")
REVOKED = {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}


class LoginService(Server):
    """Gives out tokens: `token-1`, `token-2`, ... each for `lifetime_s`; or answers with `failure`.

    As a metadata server it also knows the project and the service account.
    """

    def __init__(self) -> None:
        self.lifetime_s = 3600
        self.failure: tuple[int, dict[str, Any]] | None = None
        self.given = 0
        super().__init__(self._reply)
        self.host = self.url.removeprefix("http://")

    def _reply(self, request: Request) -> None:
        path, status, kind = urlsplit(request.path).path, 200, "application/json"
        if request.command == "POST" or path.endswith("/token"):
            body_of(request)
            self.given += 1
            token = {"access_token": f"token-{self.given}", "expires_in": self.lifetime_s, "token_type": "Bearer"}
            status, answer = self.failure or (200, token)
            body = json.dumps(answer)
        elif path.endswith("/project/project-id"):
            body, kind = LoopbackGoogle.project, "text/plain"
        elif "/service-accounts/" in path:
            body = json.dumps({"email": "sa@example.com", "scopes": ["cloud-platform"], "aliases": ["default"]})
        else:
            body, kind = "0.1/", "text/plain"
        send(request, status, body.encode(), {"Content-Type": kind, "Metadata-Flavor": "Google"})


@pytest.fixture
def service() -> Iterator[LoginService]:
    served = LoginService()
    yield served
    served.stop()


@pytest.fixture(scope="module")
def private_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    form, nothing = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, nothing).decode()


@pytest.fixture
def front(cloud: LoopbackAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsFront]:
    cloud.now = NOON
    served = TlsFront(cloud.url, tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(served.ca))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("GPUCTL_GCP_ENDPOINT", served.url)
    yield served
    served.stop()
    cloud.now = timedelta(0)


@pytest.fixture
def key_file(service: LoginService, private_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service account's key, whose tokens come from that service."""
    path = tmp_path / "key.json"
    content = {
        "type": "service_account",
        "project_id": LoopbackGoogle.project,
        "private_key_id": "1",
        "private_key": private_key,
        "client_email": "sa@example.com",
        "token_uri": f"http://{service.host}/token",
    }
    path.write_text(json.dumps(content))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    return path


@pytest.fixture
def provider(front: TlsFront, key_file: Path) -> Any:
    return open_provider(Connection(environ=dict(os.environ)))


@pytest.fixture
def order(provider: Any) -> Order:
    kind = Catalog().find("g2-standard-4")
    return an_order(provider.find_image(REGION, kind, None), REGION, kind.name)


def refuses(*tokens: str) -> Any:
    """The API's answer to tokens that it no longer accepts."""
    error = {"code": 401, "message": "Request had invalid authentication credentials.", "status": "UNAUTHENTICATED"}
    body = json.dumps({"error": error | {"errors": [{"reason": "authError", "message": "no"}]}}).encode()
    answer: Answer = (401, {"Content-Type": "application/json"}, body)
    return lambda token: answer if token in tokens else None


def test_the_project_is_the_one_that_the_credentials_name(provider: Any) -> None:
    assert provider.identity().account == f"{LoopbackGoogle.project}/123456789012"


def test_a_token_that_ends_during_a_command_is_renewed(
    provider: Any, order: Order, service: LoginService, front: TlsFront
) -> None:
    service.lifetime_s = 1
    front.gate = refuses("token-1", "token-2")
    assert provider.create(order).ready
    assert service.given > 2
    assert len(provider.list_instances(REGION)) == 1


def test_an_insert_whose_token_is_refused_is_sent_again_with_a_new_one_and_makes_one_instance(
    provider: Any, order: Order, front: TlsFront, cloud: LoopbackAws
) -> None:
    provider.identity()
    front.gate = refuses("token-1")
    assert provider.create(order).ready
    assert len(LoopbackGoogle(cloud).instances()) == 1


@pytest.mark.parametrize(
    ("failure", "kind", "sentence"),
    [
        ((400, REVOKED), CredentialsError, "invalid_grant: Token has been expired or revoked"),
        ((503, {"error": "internal_failure"}), UnreachableError, "internal_failure"),
    ],
)
def test_a_token_that_cannot_be_renewed_before_an_insert_is_a_refusal_with_googles_own_sentence(
    provider: Any,
    order: Order,
    front: TlsFront,
    service: LoginService,
    cloud: LoopbackAws,
    monkeypatch: pytest.MonkeyPatch,
    failure: Any,
    kind: type[Exception],
    sentence: str,
) -> None:
    monkeypatch.setattr("google.auth._exponential_backoff.time.sleep", lambda seconds: None)
    provider.identity()
    service.failure, front.gate = failure, refuses("token-1")
    with pytest.raises(kind) as caught:
        provider.create(order)
    assert sentence in str(caught.value)
    assert "access_token" not in str(caught.value)
    assert LoopbackGoogle(cloud).instances() == []


def test_a_revoked_login_is_exit_4_and_leaves_the_record_as_it_is(
    operator: Operator, front: TlsFront, key_file: Path, service: LoginService
) -> None:
    operator.cloud.now = operator.clock.now
    assert operator.json(*L4).code == 0
    service.failure = (400, REVOKED)
    refused = operator.json(*L4[:-1], "m").json["error"]
    assert (refused["exitCode"], refused["code"]) == (4, "credentials")
    assert "Google rejects these credentials (invalid_grant: Token has been expired or revoked)" in refused["message"]
    assert refused["hint"] == "gcloud auth application-default login"
    ended = operator.run("terminate", "n", "--no-wait")
    assert (ended.code, "invalid_grant: Token has been expired or revoked" in ended.err) == (8, True)
    operator.later(minutes=61)
    assert operator.run("reap").code == 8
    service.failure = None
    assert operator.run("reap", "--wait").code == 0
    assert operator.json("get", "n").instance["status"] == "TERMINATED"


def test_the_reaper_uses_the_metadata_server_in_the_environment_of_a_cron_job(
    operator: Operator, front: TlsFront, key_file: Path, service: LoginService, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.cloud.now = operator.clock.now
    assert operator.json(*L4, "--ttl", "10").code == 0
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    operator.cloud.now = timedelta(0)
    of_cron = {"HOME": str(operator.folder), "PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(sys.path)}
    job = {
        **operator.environ,
        "GPUCTL_GCP_ENDPOINT": front.url,
        "GCE_METADATA_HOST": service.host,
        "GCE_METADATA_IP": service.host,
        "REQUESTS_CA_BUNDLE": str(front.ca),
    }
    before = service.given
    command = [sys.executable, "-m", "gpuctl", "reap", "--wait"]
    done = subprocess.run(command, env=of_cron | job, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "expired" in done.stdout and service.given > before
    assert LoopbackGoogle(operator.cloud).resources("instance") == []


def test_a_user_login_without_a_quota_project_prints_no_warning_of_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.auth._cloud_sdk import CLOUD_SDK_CLIENT_ID

    path = tmp_path / "user.json"
    login = {"type": "authorized_user", "client_id": CLOUD_SDK_CLIENT_ID, "client_secret": "s", "refresh_token": "r"}
    path.write_text(json.dumps(login))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Login(os.environ).project == "p"
