"""Plain calls of Google's REST APIs: one session, bounded times, and the login behind it."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import requests

from gpuctl import __version__
from gpuctl.clock import SystemClock
from gpuctl.errors import CredentialsError, UsageError
from gpuctl.providers.base import Connection
from gpuctl.providers.gcp.facts import ENDPOINT_VARIABLE, PROJECT_VARIABLES
from gpuctl.providers.gcp.failures import ApiError, PartialList
from gpuctl.providers.http import endpoint_of, parse_date

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5.0, 30.0
PAUSES = (timedelta(seconds=1), timedelta(seconds=3))
COMPUTE, MANAGER = "https://compute.googleapis.com", "https://cloudresourcemanager.googleapis.com"
BILLING = "https://cloudbilling.googleapis.com"
PAGE = 500

_SANDBOX_PROJECT = "sandbox-project"
_SHORT = timedelta(milliseconds=20)
_MOST_PAGES = 200
_VERSION = "/compute/v1"
_PROJECT = re.compile(r"[a-z0-9.:-]{1,80}")

Json = dict[str, Any]


class Api:
    """Compute Engine's API for one project. Every answer is an ApiError, or JSON.

    On loopback no credential is looked up or sent and no proxy is used; in the sandbox nothing of the user's is read.
    """

    def __init__(self, connection: Connection) -> None:
        self._is_sandbox = connection.sandbox_url is not None
        self._connection = connection
        self.environ: Mapping[str, str] = {} if self._is_sandbox else connection.environ
        self.endpoint = endpoint_of(connection, ENDPOINT_VARIABLE, COMPUTE).removesuffix(_VERSION).rstrip("/")
        self.cloud_time: datetime | None = None
        named = None if self._is_sandbox else connection.profile
        self._project = named or next((self.environ[key] for key in PROJECT_VARIABLES if self.environ.get(key)), None)
        if self._is_sandbox:
            self._project = _SANDBOX_PROJECT
        self._session: requests.Session | None = None
        self._login: Any = None
        self._clock = SystemClock()

    @property
    def is_loopback(self) -> bool:
        """Whether the cloud is on this computer."""
        return urlsplit(self.endpoint).scheme == "http"

    @property
    def known_project(self) -> str | None:
        """The project's ID as far as it is known without looking up credentials."""
        return None if self._is_sandbox else self._project

    @property
    def project(self) -> str:
        """The project's ID: named, or what the credentials name. CredentialsError where neither does."""
        if self._project is None and not self.is_loopback:
            self._project = self.login.project
        if self._project is None:
            raise CredentialsError(
                "no Google Cloud project is named", hint="set GOOGLE_CLOUD_PROJECT, or `project` in `[gcp]`"
            )
        if not _PROJECT.fullmatch(self._project):
            raise UsageError(f"`{self._project[:80]}` is not a Google Cloud project ID", hint="gcloud projects list")
        return self._project

    @property
    def login(self) -> Any:
        """The credentials, looked up when they are first needed. Raises LoginError."""
        if self._login is None:
            from gpuctl.providers.gcp.login import Login

            self._login = Login(self.environ)
        return self._login

    def get(self, path: str, **query: str) -> Json:
        """A resource of the project; retried for a short time while Google is busy or does not reply."""
        for pause in (*PAUSES, None):
            try:
                return self._call("GET", self._address(path), query=query)
            except (ApiError, requests.RequestException) as error:
                is_final = isinstance(error, ApiError) and not error.is_transient
                if pause is None or is_final:
                    raise
                self.pause(pause)
        raise AssertionError("the last call returns or raises")

    def post(self, path: str, body: Any, **query: str) -> Json:
        """Send one call that changes something, once."""
        return self._call("POST", self._address(path), body=body, query=query)

    def delete(self, path: str) -> Json:
        """Send one deletion, once."""
        return self._call("DELETE", self._address(path))

    def pages(self, path: str, **query: str) -> Iterator[Json]:
        """Every page of a list. Raises ValueError for a list that never ends."""
        token = ""
        for _ in range(_MOST_PAGES):
            page = self.get(path, maxResults=str(PAGE), **query, **({"pageToken": token} if token else {}))
            yield page
            token = str(page.get("nextPageToken") or "")
            if not token:
                return
        raise ValueError(f"the pages of {path} never end")

    def aggregated(self, kind: str, **query: str) -> Iterator[tuple[str, Json]]:
        """Every resource of that kind in all zones, with its zone. PartialList at the end if some are missing."""
        missing: list[str] = []
        for page in self.pages(f"aggregated/{kind}", **query):
            missing += map(str, page.get("unreachables") or ())
            for scope, entry in (page.get("items") or {}).items():
                missing += _warnings(str(scope), entry)
                zone = last_part(scope)
                yield from ((zone, {"zone": zone} | item) for item in entry.get(kind) or ())
            missing += _warnings("all zones", page)
        if missing:
            raise PartialList(", ".join(dict.fromkeys(missing)))

    def permissions(self, wanted: list[str]) -> frozenset[str]:
        """Those of the permissions that these credentials hold on the whole project."""
        address = f"{self._root(MANAGER)}/v1/projects/{self.project}:testIamPermissions"
        return frozenset(self._call("POST", address, body={"permissions": wanted}).get("permissions") or ())

    def has_billing(self) -> bool:
        """Whether a billing account pays for the project. Needs the Cloud Billing API."""
        # A field that is false is left out.
        address = f"{self._root(BILLING)}/v1/projects/{self.project}/billingInfo"
        return self._call("GET", address).get("billingEnabled") is True

    def _root(self, public: str) -> str:
        return public if self.endpoint == COMPUTE else self.endpoint

    def pause(self, span: timedelta) -> None:
        """Wait, but on loopback hardly."""
        self._clock.sleep(min(span, _SHORT) if self.is_loopback else span)

    def elapsed(self) -> timedelta:
        """How long since some fixed moment."""
        return self._clock.elapsed()

    def _address(self, path: str) -> str:
        if path.startswith("projects/"):
            return f"{self.endpoint}{_VERSION}/{path}"
        return f"{self.endpoint}{_VERSION}/projects/{self.project}/{path}".rstrip("/")

    def _call(self, method: str, address: str, *, body: Any = None, query: Mapping[str, str] | None = None) -> Json:
        headers = {"User-Agent": f"gpuctl/{__version__}", "Accept": "application/json"}
        reply = self._opened().request(
            method,
            address,
            json=body,
            params=dict(query or {}),
            headers=headers,
            timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
            allow_redirects=False,
        )
        self.cloud_time = parse_date(reply.headers.get("Date")) or self.cloud_time
        try:
            value = reply.json()
        except ValueError:
            if reply.status_code < 300:
                raise
            value = None
        if reply.status_code >= 300:
            raise ApiError(reply.status_code, value, self.cloud_time)
        if not isinstance(value, dict):
            raise ValueError("the answer is no JSON object")
        return value

    def _opened(self) -> requests.Session:
        if self._session is None:
            if self.is_loopback:
                self._session = requests.Session()
                self._session.trust_env = False
            else:
                self._session = self.login.session()
        return self._session


def _warnings(scope: str, entry: Json) -> list[str]:
    code = (entry.get("warning") or {}).get("code")
    return [] if code in (None, "NO_RESULTS_ON_PAGE") else [f"{scope}: {code}"]


def last_part(address: object) -> str:
    """The last part of an address; Google's own always name its public host, so they are never followed."""
    return str(address or "").rstrip("/").rpartition("/")[2]


def region_of(zone: str) -> str:
    """`us-central1` for `us-central1-a`."""
    return zone.rpartition("-")[0]
