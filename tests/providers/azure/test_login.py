"""Whose login and which subscription: named, found, or one clear line about what to type."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.azure import LoopbackAzure
from support.cli import Operator
from support.clouds import LoopbackAws
from support.wire import Fault, Wire

from gpuctl.errors import CredentialsError, UnreachableError, UsageError
from gpuctl.providers.azure import open_provider
from gpuctl.providers.azure.client import AzureClients
from gpuctl.providers.base import Connection

ONE, ANOTHER = "11111111-1111-4111-8111-111111111111", "33333333-3333-4333-8333-333333333333"


@pytest.fixture
def wire(cloud: LoopbackAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Wire]:
    line = Wire(cloud.url)
    monkeypatch.setenv("GPUCTL_AZURE_ENDPOINT", line.url)
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path))
    yield line
    line.stop()


def chosen_by_the_cli(folder: Path, subscription: str) -> None:
    fields = {"subscriptions": [{"id": ANOTHER, "isDefault": False}, {"id": subscription, "isDefault": True}]}
    # The CLI writes this file with a byte order mark.
    (folder / "azureProfile.json").write_text(json.dumps(fields), "utf-8-sig")


def subscriptions(*ids: str) -> Fault:
    body = json.dumps({"value": [{"subscriptionId": text, "state": "Enabled"} for text in ids]}).encode()
    return Fault(False, lambda _: (200, {"Content-Type": "application/json"}, body))


def test_the_subscription_is_the_named_one_then_the_environments_then_the_clis_then_the_only_one(
    wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert AzureClients(Connection(environ=os.environ)).subscription == ONE
    chosen_by_the_cli(tmp_path, "of-the-cli")
    assert AzureClients(Connection(environ=os.environ)).subscription == "of-the-cli"
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", "of-the-environment")
    assert AzureClients(Connection(environ=os.environ)).subscription == "of-the-environment"
    assert AzureClients(Connection(profile="named")).subscription == "named"


@pytest.mark.parametrize(
    ("actual", "text"), [((), "have no subscription"), ((ONE, ANOTHER), "have 2 subscriptions: select one")]
)
def test_a_login_without_a_subscription_names_the_command(wire: Wire, actual: tuple[str, ...], text: str) -> None:
    wire.arm("GET subscriptions", subscriptions(*actual))
    with pytest.raises(CredentialsError, match=text) as caught:
        open_provider(Connection(environ=os.environ)).identity()
    assert "AZURE_SUBSCRIPTION_ID" in (caught.value.hint or "")


def test_an_account_is_tenant_and_subscription_and_the_record_keeps_by_which_name_it_is_opened(wire: Wire) -> None:
    provider = open_provider(Connection(environ=os.environ))
    assert provider.identity().account == f"22222222-2222-4222-8222-222222222222/{ONE}"
    assert provider.login == ONE


@pytest.mark.parametrize(
    "address", ["http://example.com", "http://10.0.0.1:80", "ftp://127.0.0.1", "nonsense", "https://"]
)
def test_without_tls_an_endpoint_is_on_loopback_or_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUCTL_AZURE_ENDPOINT", address)
    with pytest.raises(UsageError, match="on loopback"):
        open_provider(Connection(environ=os.environ))


def test_a_sandbox_is_on_loopback_only_and_reads_nothing_of_the_users(
    cloud: LoopbackAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="must be on loopback"):
        open_provider(Connection(sandbox_url="https://management.azure.com"))
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", "of-the-environment")
    monkeypatch.setenv("GPUCTL_AZURE_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert open_provider(Connection(sandbox_url=cloud.url)).identity().account.endswith(ONE)


def test_nothing_is_sent_where_an_answer_leads_elsewhere(wire: Wire) -> None:
    clients = AzureClients(Connection(environ=os.environ))
    with pytest.raises(ValueError, match="points to another host, example"):
        clients.ask("GET", "https://example.com/subscriptions", "")


def test_no_credential_is_looked_up_or_sent_to_a_cloud_on_this_computer(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_: Any, **__: Any) -> Any:
        raise AssertionError("a login was looked up")

    monkeypatch.setattr("azure.identity.DefaultAzureCredential", nobody)
    calls: list[dict[str, str]] = []
    wire.instead = lambda sent: calls.append(sent.headers)  # type: ignore[func-returns-value]
    open_provider(Connection(environ=os.environ)).identity()
    assert calls
    assert not any("authorization" in {name.lower() for name in headers} for headers in calls)


def test_no_connection_means_that_no_request_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("azure.core.pipeline.transport.RequestsTransport.sleep", lambda transport, span: None)
    with pytest.raises(UnreachableError, match="could not be reached"):
        open_provider(Connection(sandbox_url="http://127.0.0.1:1")).identity()


def test_another_subscription_is_never_acted_in(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GPUCTL_AZURE_ENDPOINT", operator.wire.url)
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path))
    arm = LoopbackAzure(operator.cloud)
    arm.set(subscriptions={ANOTHER: "44444444-4444-4444-8444-444444444444"})
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", ONE)
    vm = operator.json("provision", "Standard_NC4as_T4_v3", "--region", "eastus").instance
    assert vm["account"].endswith(ONE)
    operator.later(minutes=61)
    elsewhere = json.dumps({"tenantId": "t", "subscriptionId": ANOTHER}).encode()
    answer = Fault(False, lambda _: (200, {"Content-Type": "application/json"}, elsewhere))
    operator.wire.arm("GET subscriptions", *[answer] * 4)
    assert operator.run("reap").code == 8
    assert [vm["state"] for vm in arm.instances()] == ["running"]
    operator.wire.reset()
    assert operator.run("reap").code == 0
    assert [vm["state"] for vm in arm.instances()] == ["terminated"]
    arm.close()
