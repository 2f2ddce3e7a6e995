"""SDK clients with every setting that matters set here, by service and region."""

import os
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config

from gpuctl.errors import UsageError
from gpuctl.providers.aws.login import (
    check_keys,
    core_session,
    deciding_profile,
    hide_sent_headers,
    prepare_roles,
    settings_of,
)
from gpuctl.providers.base import Connection
from gpuctl.providers.http import LOOPBACK

CONNECT_TIMEOUT = timedelta(seconds=5)
READ_TIMEOUT = timedelta(seconds=30)
ATTEMPTS = 4
_TOKEN = re.compile(r"(x-amz-security-token\s*[:=]\s*)[^\s&]+", re.IGNORECASE)


class AwsClients:
    """Makes each client when it is first needed.

    In the sandbox nothing of the user's is read: no profile, file, environment, proxy or metadata service.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        url = connection.sandbox_url
        if url is not None and (urlsplit(url).scheme != "http" or urlsplit(url).hostname not in LOOPBACK):
            raise UsageError(f"the sandbox must be on loopback, not at `{url}`", hint="gpuctl sandbox start")
        self._session: Any = None
        self._clients: dict[tuple[str, str, bool], Any] = {}

    @property
    def session(self) -> Any:
        """The SDK's session. Raises the SDK's ProfileNotFound where the profile is not known, UsageError or
        CredentialsError where settings or credentials cannot be read."""
        if self._session is None:
            self._session = self._own_session() if self.connection.sandbox_url is None else _sealed_session()
        return self._session

    @property
    def profile(self) -> str | None:
        """The name by which these very credentials are found again; None for what no profile holds.

        Raises what opening the session raises.
        """
        if self.connection.sandbox_url is not None:
            return self.connection.profile
        return deciding_profile(self.session._session)

    def profile_chain(self) -> Iterator[Mapping[str, str]]:
        """The settings of the profile in use, then those of its `source_profile`, and so on."""
        core = self.session._session
        profiles, name = core.full_config.get("profiles", {}), core.get_config_variable("profile") or "default"
        visited: set[str] = set()
        while name in profiles and name not in visited:
            visited.add(name)
            yield profiles[name]
            name = profiles[name].get("source_profile", "")

    def is_local(self, region: str) -> bool:
        """Whether EC2 is at an address of this very computer."""
        return urlsplit(self.client("ec2", region).meta.endpoint_url).hostname in LOOPBACK

    def client(self, service: str, region: str, *, once: bool = False, quick: bool = False) -> Any:
        """The client of a service in a region; `once` for calls the SDK must never send again by itself.

        `quick` for calls that must not take longer than 10 s.
        """
        key = (service, region, once)
        if key not in self._clients:
            with settings_of(self.connection.environ):
                if not self._clients and self.connection.sandbox_url is None:
                    prepare_roles(self.session._session, self.connection, region)
                client = self.session.client(
                    service,
                    region_name=region,
                    endpoint_url=self.connection.sandbox_url,
                    config=_config(is_sealed=self.connection.sandbox_url is not None, once=once, quick=quick),
                )
                check_keys(self.session._session, self.connection)
            client.meta.events.register("after-call", _without_token)
            self._clients[key] = client
        return self._clients[key]

    def _own_session(self) -> Any:
        with settings_of(self.connection.environ):
            core = core_session(self.connection)
            # Before the first client: clients take over the handlers that the session has by then, and so do those
            # that the SDK itself makes to get credentials.
            core.register("before-send", hide_sent_headers(self.connection))
            return boto3.Session(botocore_session=core)


def _without_token(parsed: Any, **_: Any) -> None:
    # AWS quotes the request whose signature it could not verify, session token and all. This runs before the SDK makes
    # an error of the reply, so that no message, cause, traceback or record ever holds the token.
    error = parsed.get("Error") if isinstance(parsed, dict) else None
    if isinstance(error, dict) and isinstance(error.get("Message"), str):
        error["Message"] = _TOKEN.sub(r"\1…", error["Message"])


def _config(*, is_sealed: bool, once: bool, quick: bool) -> Config:
    settings: dict[str, Any] = {
        "retries": {"mode": "standard", "total_max_attempts": 1 if once else ATTEMPTS},
        "connect_timeout": CONNECT_TIMEOUT.total_seconds(),
        "read_timeout": READ_TIMEOUT.total_seconds() * (2 if once else 1),
    }
    if quick:
        settings |= {"retries": {"mode": "standard", "total_max_attempts": 1}, "connect_timeout": 4, "read_timeout": 5}
    if is_sealed:
        settings |= {"proxies": {}, "use_fips_endpoint": False, "use_dualstack_endpoint": False}
    return Config(**settings)


def _sealed_session() -> Any:
    core = botocore.session.Session()
    # Every setting the SDK would take from the environment or a file, cut off from both.
    for name, (_, _, default, convert) in list(core.session_var_map.items()):
        core.session_var_map[name] = (None, None, default, convert)
    for name in ("config_file", "credentials_file"):
        core.session_var_map[name] = (None, None, os.devnull, None)
    return boto3.Session(
        aws_access_key_id="sandbox", aws_secret_access_key="sandbox", region_name="us-east-1", botocore_session=core
    )
