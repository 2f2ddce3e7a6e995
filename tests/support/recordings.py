"""Microsoft's own recordings of Azure's replies (`make recordings`), read, and served again on loopback."""

import json
import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / ".venv" / "recordings"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"

needs_recordings = pytest.mark.skipif(
    not (FOLDER / "azure-mgmt-resource").is_dir(), reason="no recordings of Azure's replies here: make recordings"
)

_HOST = re.compile(r"https://management\.azure\.com(:443)?")
_KEPT = {"azure-asyncoperation", "location", "content-type", "date", "x-ms-request-id"}


@dataclass(frozen=True)
class Recorded:
    """One call as it was made, and the reply that Azure gave."""

    method: str
    url: str
    sent: Any
    status: int
    headers: dict[str, str]
    body: str

    @property
    def key(self) -> tuple[str, str]:
        """What is compared with a call of today: the version and the order of the query are not."""
        return _key(self.method, self.url)

    @property
    def said(self) -> Any:
        """The reply's JSON, None if it had no body."""
        return json.loads(self.body) if self.body else None


def read(name: str) -> list[Recorded]:
    """The calls of one recording, in the order they were made; `name` is package and test: `azure-mgmt-compute/...`."""
    package, _, test = name.partition("/")
    text = (FOLDER / package / f"{test}.yaml").read_text(encoding="utf-8")
    return [_recorded(interaction) for interaction in yaml.load(text, _LOADER)["interactions"]]


def renamed(recordings: Iterable[Recorded], names: Mapping[str, str]) -> list[Recorded]:
    """The same calls with other names in addresses and replies."""

    def put(text: str) -> str:
        for before, after in names.items():
            text = text.replace(before, after)
        return text

    return [
        replace(
            recorded,
            url=put(recorded.url),
            body=put(recorded.body),
            headers={key: put(text) for key, text in recorded.headers.items()},
        )
        for recorded in recordings
    ]


class Replay:
    """Serves recorded replies: those to one call in the order they were given, the last one for ever.

    `unknown` are the calls for which there was none; they are answered with a 404 that says so.
    """

    def __init__(self, recordings: Iterable[Recorded]) -> None:
        self._replies: dict[tuple[str, str], deque[Recorded]] = {}
        for recorded in recordings:
            self._replies.setdefault(recorded.key, deque()).append(recorded)
        self.unknown: list[tuple[str, str]] = []
        replay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                replay._answer(self)

            do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = do_GET  # noqa: N815  # the base class names them so

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: Any) -> None:
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        key = _key(handler.command, handler.path)
        replies = self._replies.get(key)
        if not replies:
            self.unknown.append(key)
            said = {"error": {"code": "NotRecorded", "message": f"no reply was recorded to {' '.join(key)}"}}
            self._send(handler, 404, {"content-type": "application/json"}, json.dumps(said).encode())
            return
        one = replies.popleft() if len(replies) > 1 else replies[0]
        headers = {name: _HOST.sub(self.url, value) for name, value in one.headers.items()}
        self._send(handler, one.status, headers, _HOST.sub(self.url, one.body).encode())

    def _send(self, handler: Any, status: int, headers: dict[str, str], body: bytes) -> None:
        handler.send_response_only(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)


# The recordings are large, and libyaml reads them ten times faster where it is there.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _recorded(item: Any) -> Recorded:
    request, reply = item["request"], item["response"]
    headers = {name.lower(): value[0] if isinstance(value, list) else value for name, value in reply["headers"].items()}
    sent = request.get("body")
    return Recorded(
        method=request["method"],
        url=request["uri"],
        sent=json.loads(sent) if sent and sent.strip().startswith("{") else None,
        status=int(reply["status"]["code"]),
        headers={name: value for name, value in headers.items() if name in _KEPT},
        body=reply["body"].get("string") or "",
    )


def _key(method: str, url: str) -> tuple[str, str]:
    place = urlsplit(url)
    asked = sorted((name.lower(), value) for name, value in parse_qsl(place.query) if name.lower() != "api-version")
    path = re.sub(r"/+", "/", place.path).rstrip("/").lower()
    return method, path + "".join(f"&{name}={value}" for name, value in asked)
