"""What goes over the wire to ARM: a request read as a call, replies, and refusals in ARM's own shape."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote
from uuid import uuid4

from werkzeug.wrappers import Response

from gpuctl_sandbox.operated import Refused

Json = dict[str, Any]


class Refusal(Refused):
    """ARM says no: a status, a code, what it says about it, and sometimes which property it means."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        target: str | None = None,
        details: list[Json] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.target = target
        self.details = details
        self.headers = dict(headers or {})

    @property
    def error(self) -> Json:
        """The object that stands under `error` in a reply, a failed operation or a status."""
        body: Json = {"code": self.code, "message": self.message}
        if self.target is not None:
            body["target"] = self.target
        if self.details is not None:
            body["details"] = self.details
        return body

    def reply(self) -> Response:
        """The refusal as a reply."""
        return reply({"error": self.error}, self.status, {"x-ms-failure-cause": "gateway", **self.headers})


def invalid(target: str, message: str) -> Refusal:
    """The refusal of one value."""
    return Refusal(400, "InvalidParameter", message, target)


@dataclass(frozen=True)
class Call:
    """One ARM call: what is done to which path, with the query's parameters and the body's JSON (None: no body)."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    root: str
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def subscription(self) -> str:
        return self.names["subscription"].lower()

    @property
    def group(self) -> str:
        return self.names["group"]

    @property
    def api_version(self) -> str:
        return self.query.get("api-version", "")

    def url(self, path: str, **query: str) -> str:
        """An absolute address of this cloud, in the version this call speaks."""
        requested = "".join(f"&{name}={value}" for name, value in query.items())
        return f"{self.root}{path}?api-version={self.api_version}{requested}"


def read_call(environ: dict[str, Any]) -> Call:
    """The call in a request. Raises Refusal if its body is no JSON object."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    path = re.sub(r"/{2,}", "/", unquote(environ.get("PATH_INFO", ""))).rstrip("/")
    root = f"{environ.get('wsgi.url_scheme', 'http')}://{environ.get('HTTP_HOST', '127.0.0.1')}"
    return Call(environ["REQUEST_METHOD"], path, query, _read_json(body), root)


def reply(value: Any = None, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A reply with that JSON in it (None: without a body)."""
    shape = {"x-ms-request-id": str(uuid4()), "x-ms-correlation-request-id": str(uuid4()), **dict(headers or {})}
    body = b"" if value is None else json.dumps(value).encode()
    return Response(body, status, shape, content_type=None if value is None else "application/json; charset=utf-8")


def _read_json(body: bytes) -> Any:
    if not body:
        return None
    try:
        document = json.loads(body)
    except ValueError as error:
        raise Refusal(
            400, "InvalidRequestContent", f"The request content was invalid and could not be deserialized: '{error}'."
        ) from error
    if not isinstance(document, dict):
        raise Refusal(400, "InvalidRequestContent", "The request content is not a JSON object.")
    return document
