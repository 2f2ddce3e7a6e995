"""The SDK's clients with every setting that matters set here, and the login behind them."""

import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from azure.core import PipelineClient
from azure.core.pipeline import policies
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse
from azure.mgmt.core import ARMPipelineClient

from gpuctl.errors import CredentialsError
from gpuctl.providers.azure.facts import ENDPOINT_VARIABLE, SUBSCRIPTION_VARIABLE
from gpuctl.providers.azure.login import Login, TenantPolicy
from gpuctl.providers.base import Connection
from gpuctl.providers.http import endpoint_of, parse_date

CONNECT_TIMEOUT, READ_TIMEOUT = timedelta(seconds=5), timedelta(seconds=30)
RETRIES = 3
LONGEST_PAUSE = timedelta(seconds=10)
POLL_EVERY, POLL_EVERY_ON_LOOPBACK = timedelta(seconds=3), timedelta(milliseconds=20)
SUBSCRIPTIONS_API = "2022-12-01"

# The chain of logins tells of each that it did not find; we tell of it once, in our own words.
logging.getLogger("azure").addHandler(logging.NullHandler())

_PUBLIC = "https://management.azure.com"
_STORAGE = "https://storage.azure.com/.default"


class AzureClients:
    """Makes each client when it is first needed; the network's only a create needs, and it is slow to load.

    On loopback no credential is looked up or sent; in the sandbox nothing of the user's is read at all.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.endpoint = endpoint_of(connection, ENDPOINT_VARIABLE, _PUBLIC)
        self.environ: Mapping[str, str] = {} if self._is_sandbox else connection.environ
        named = None if self._is_sandbox else connection.profile
        self._subscription = named or self.environ.get(SUBSCRIPTION_VARIABLE)

    @property
    def is_loopback(self) -> bool:
        """Whether the cloud is on this computer."""
        return urlsplit(self.endpoint).scheme == "http"

    @property
    def known_subscription(self) -> str | None:
        """The subscription's id as far as it is known without asking anybody."""
        return self._subscription

    @property
    def subscription(self) -> str:
        """The subscription's id: named, else the CLI's default one, else the only one this login has.

        CredentialsError where that does not tell; asks the cloud for the last.
        """
        if self._subscription is None and not self._is_sandbox:
            self._subscription = _default_of_cli(self.environ.get("AZURE_CONFIG_DIR"))
        if self._subscription is None:
            self._subscription = self._only_subscription()
        return self._subscription

    @property
    def cloud_time(self) -> datetime | None:
        """When the cloud gave its newest answer, by its own clock; None where it did not tell."""
        return self._transport.cloud_time

    @cached_property
    def compute(self) -> Any:
        """Instances, images and sizes."""
        from azure.mgmt.compute import ComputeManagementClient

        return ComputeManagementClient(self._credential, self.subscription, self.endpoint, **self._settings)

    @cached_property
    def resource(self) -> Any:
        """Resource groups, and what is in them."""
        from azure.mgmt.resource.resources import ResourceManagementClient

        return ResourceManagementClient(self._credential, self.subscription, self.endpoint, **self._settings)

    @cached_property
    def network(self) -> Any:
        """Networks and their firewalls."""
        from azure.mgmt.network import NetworkManagementClient

        return NetworkManagementClient(self._credential, self.subscription, self.endpoint, **self._settings)

    def ask(self, method: str, path: str, api_version: str, body: Mapping[str, Any] | None = None) -> HttpResponse:
        """One plain request to ARM, for what the SDK's clients have no operation for; raises what the SDK raises.

        `path` may be a whole address that the cloud gave us, with its own version.
        """
        if path.startswith(("http://", "https://")):
            _refuse_elsewhere(path, self.endpoint)
            request = HttpRequest(method, path)
        else:
            request = HttpRequest(method, f"{self.endpoint}{path}", params={"api-version": api_version}, json=body)
        response: HttpResponse = self._arm.send_request(request)
        response.raise_for_status()
        return response

    def query_storage(self, url: str, params: Mapping[str, str], version: str) -> HttpResponse:
        """One request to Azure Storage, which has tokens of its own and no subscription; raises what the SDK raises.

        It is sent once, so that it takes no longer than 10 s.
        """
        login = policies.BearerTokenCredentialPolicy(self._credential, _STORAGE)
        client: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
            url,
            policies=[policies.RequestIdPolicy(), *([] if self.is_loopback else [login])],
            transport=self._transport,
        )
        request = HttpRequest("GET", url, params=dict(params), headers={"x-ms-version": version})
        response: HttpResponse = client.send_request(request, connection_timeout=4, read_timeout=5)
        response.raise_for_status()
        return response

    def pause(self, span: timedelta) -> None:
        """Wait, but on loopback hardly."""
        self._transport.sleep(min(span, POLL_EVERY_ON_LOOPBACK if self.is_loopback else span).total_seconds())

    @property
    def _is_sandbox(self) -> bool:
        return self.connection.sandbox_url is not None

    @cached_property
    def _transport(self) -> "_Transport":
        return _Transport(use_env_settings=not self._is_sandbox)

    @cached_property
    def _credential(self) -> Any:
        if self.is_loopback:
            return _NO_CREDENTIAL
        return Login(self._subscription)

    @cached_property
    def _login(self) -> policies.SansIOHTTPPolicy[Any, Any] | policies.HTTPPolicy[Any, Any]:
        if self.is_loopback:
            return policies.SansIOHTTPPolicy()
        return TenantPolicy(self._credential, f"{self.endpoint}/.default")

    @property
    def _settings(self) -> dict[str, Any]:
        every = POLL_EVERY_ON_LOOPBACK if self.is_loopback else POLL_EVERY
        return {
            "transport": self._transport,
            "authentication_policy": self._login,
            "credential_scopes": [f"{self.endpoint}/.default"],
            "polling_interval": every.total_seconds(),
            "policies": self._policies,
        }

    @property
    def _policies(self) -> list[Any]:
        """What every request goes through.

        The SDK's own list has a policy that registers resource providers, and waits without any limit until they are.
        """
        return [
            policies.RequestIdPolicy(),
            policies.ContentDecodePolicy(),
            _Retries(retry_total=RETRIES, retry_backoff_factor=0.5, retry_backoff_max=5),
            self._login,
            policies.CustomHookPolicy(),
        ]

    @cached_property
    def _arm(self) -> ARMPipelineClient[HttpRequest, HttpResponse]:
        return ARMPipelineClient(self.endpoint, policies=self._policies, transport=self._transport)

    def _only_subscription(self) -> str:
        granted = self.ask("GET", "/subscriptions", SUBSCRIPTIONS_API).json()["value"]
        usable = [item for item in granted if item.get("state") in ("Enabled", None)]
        if len(usable) != 1:
            text = (
                f"these credentials have {len(usable)} subscriptions"
                if usable
                else "these credentials have no subscription"
            )
            raise CredentialsError(
                f"{text}: select one",
                hint="az account set --subscription ID, or set AZURE_SUBSCRIPTION_ID",
            )
        return str(usable[0]["subscriptionId"])


class _Transport(RequestsTransport):  # type: ignore[misc]  # the SDK exports it lazily: mypy sees Any
    """Remembers what time it is in the cloud, and sleeps for no reason longer than we wait for anything."""

    cloud_time: datetime | None = None

    def __init__(self, *, use_env_settings: bool) -> None:
        super().__init__(
            connection_timeout=CONNECT_TIMEOUT.total_seconds(),
            read_timeout=READ_TIMEOUT.total_seconds(),
            use_env_settings=use_env_settings,
        )

    def send(self, request: Any, **options: Any) -> Any:
        response = super().send(request, **options)
        self.cloud_time = parse_date(response.headers.get("Date")) or self.cloud_time
        if response.status_code >= 400:
            # The SDK would leave it unread where it tries again, and its connection with it.
            read = getattr(response, "read", None) or response.load_body
            read()
        return response

    def sleep(self, duration: float) -> None:
        super().sleep(min(duration, LONGEST_PAUSE.total_seconds()))


class _NoCredential:
    """A placeholder where the SDK wants a credential and never uses it."""

    def get_token(self, *scopes: str, **options: Any) -> Any:
        raise CredentialsError("credentials are never used with an emulated cloud")


_NO_CREDENTIAL = _NoCredential()


class _Retries(policies.RetryPolicy[Any, Any]):
    """Leaves a request alone that the cloud wants repeated later than we wait: each repeat would be throttled too."""

    def is_retry(self, settings: dict[str, Any], response: Any) -> bool:
        wait = self.get_retry_after(response)
        return (wait is None or wait <= LONGEST_PAUSE.total_seconds()) and super().is_retry(settings, response)


def _refuse_elsewhere(address: str, endpoint: str) -> None:
    # A login's token goes nowhere but to the cloud it is for, whatever an answer says.
    here, present = urlsplit(endpoint), urlsplit(address)
    if (here.scheme, here.netloc) != (present.scheme, present.netloc):
        raise ValueError(f"a reply points to another host, {present.netloc}")


def _default_of_cli(folder: str | None) -> str | None:
    """The subscription that `az account set` chose; None where the CLI is not there or was never used."""
    try:
        path = Path(folder) if folder else Path.home() / ".azure"
        document = json.loads((path / "azureProfile.json").read_text("utf-8-sig"))
        chosen = [
            str(subscription["id"]) for subscription in document["subscriptions"] if subscription.get("isDefault")
        ]
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        return None
    return chosen[0] if chosen else None
