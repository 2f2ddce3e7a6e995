"""What goes over the wire to Compute Engine: a request read as a call, replies, and errors in Google's own shape."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, unquote

from werkzeug.wrappers import Response

from gpuctl_sandbox.operated import Refused

Json = dict[str, Any]

_PACIFIC = timezone(timedelta(hours=-8))
LINKS = "https://www.googleapis.com/compute/v1/"


class Refusal(Refused):
    """Google refuses: an HTTP status, a reason, a message, and sometimes details or what else stands in the error."""

    def __init__(self, status: int, reason: str, message: str, details: list[Json] | None = None) -> None:
        super().__init__(f"{reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.details = details

    def reply(self) -> Response:
        """The refusal as a reply."""
        entry = {"message": self.message, "domain": _DOMAINS.get(self.reason, "global"), "reason": self.reason}
        error: Json = {"code": self.status, "message": self.message, "errors": [entry]}
        if self.details is not None:
            error["details"] = self.details
        if self.reason in _CANONICAL:
            error["status"] = _CANONICAL[self.reason]
        return reply({"error": error}, self.status)


# Errors of Google's front end carry its own status word; most of Compute Engine's do not.
_CANONICAL = {
    "badRequest": "INVALID_ARGUMENT",
    "accessNotConfigured": "PERMISSION_DENIED",
    "authError": "UNAUTHENTICATED",
    "backendError": "UNAVAILABLE",
}
_DOMAINS = {"rateLimitExceeded": "usageLimits", "userRateLimitExceeded": "usageLimits"} | {
    "accessNotConfigured": "usageLimits"
}


def invalid(place: str, value: object, why: str) -> Refusal:
    """The refusal of one value of a request's body."""
    return Refusal(400, "invalid", f"Invalid value for field '{place}': '{value}'. {why}")


def not_found(path: str) -> Refusal:
    """The refusal of something that does not exist; `path` begins with `projects/`."""
    return Refusal(404, "notFound", f"The resource '{path}' was not found")


@dataclass(frozen=True)
class Call:
    """One call: the method's name in the discovery document, the names in its path, its query and body."""

    http: str
    path: str
    query: Mapping[str, str]
    body: Any
    method: str = ""
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def zone(self) -> str:
        return self.names["zone"]

    @property
    def project(self) -> str:
        return self.names["project"]


def read_call(environ: dict[str, Any]) -> Call:
    """The call in a request. Raises Refusal if its body is no JSON object."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    return Call(environ["REQUEST_METHOD"], unquote(environ.get("PATH_INFO", "")), query, _read_json(body))


def reply(value: Any, status: int = 200) -> Response:
    """A reply with that JSON in it."""
    return Response(json.dumps(value).encode(), status, content_type="application/json; charset=UTF-8")


def link(path: str) -> str:
    """The full address of a resource as Google writes it, wherever it was called."""
    return LINKS + path


def last(text: str) -> str:
    """The last part of a full or partial address."""
    return text.rstrip("/").rpartition("/")[2]


def rfc3339(at: datetime) -> str:
    """An instant as Google writes it: milliseconds, in Pacific time."""
    return at.astimezone(_PACIFIC).isoformat(timespec="milliseconds")


def _read_json(body: bytes) -> Any:
    if not body:
        return None
    try:
        value = json.loads(body)
    except ValueError as error:
        raise Refusal(400, "parseError", f"Parse Error: {error}") from error
    if not isinstance(value, dict):
        raise Refusal(400, "badRequest", "Invalid JSON payload received. The request body is not a JSON object.")
    return value
