"""What providers over HTTP share: which endpoint is allowed, dates in replies, and the causes behind an SDK's error."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gpuctl.errors import UsageError

if TYPE_CHECKING:
    from gpuctl.providers.base import Connection

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def endpoint_of(connection: "Connection", variable: str, public: str) -> str:
    """The address of the sandbox, of that variable, or the public one. UsageError for plain http beyond loopback."""
    address = connection.sandbox_url or connection.environ.get(variable) or public
    parts = urlsplit(address)
    if parts.scheme == "https" and parts.hostname and connection.sandbox_url is None:
        return address.rstrip("/")
    if parts.scheme != "http" or parts.hostname not in LOOPBACK:
        subject = "a sandbox" if connection.sandbox_url else f"{variable} without TLS"
        raise UsageError(f"{subject} must be on loopback, not at `{address[:80]}`", hint=f"unset {variable}")
    return address.rstrip("/")


def parse_date(text: str | None) -> datetime | None:
    """The time of a `Date` header in UTC; None where there is none or it cannot be read."""
    try:
        at = parsedate_to_datetime(text) if text else None
    except (TypeError, ValueError):
        return None
    return at.astimezone(UTC) if at is not None and at.tzinfo is not None else None


def causes(error: BaseException | None) -> Iterator[Any]:
    """The error and everything behind it: its causes, and the reasons that SDKs, requests and urllib3 attach."""
    visited: set[int] = set()
    waiting = [error]
    while waiting:
        cause = waiting.pop()
        if cause is None or id(cause) in visited:
            continue
        visited.add(id(cause))
        yield cause
        attached = (getattr(cause, name, None) for name in ("inner_exception", "reason", "original_error"))
        waiting += [item for item in (*attached, *cause.args, cause.__cause__) if isinstance(item, BaseException)]
