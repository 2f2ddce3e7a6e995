"""Microsoft's own recordings of Azure's replies (`make recordings`), read, and served again on loopback."""

import json
import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from support.serving import Request, Server, body_of, send

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


class Replay(Server):
    """Serves recorded replies: those to one call in the order they were given, the last one for ever.

    `unknown` are the calls for which there was none; they are answered with a 404 that says so.
    """

    def __init__(self, recordings: Iterable[Recorded]) -> None:
        self._replies: dict[tuple[str, str], deque[Recorded]] = {}
        for recorded in recordings:
            self._replies.setdefault(recorded.key, deque()).append(recorded)
        self.unknown: list[tuple[str, str]] = []
        super().__init__(self._answer)

    def _answer(self, request: Request) -> None:
        body_of(request)
        key = _key(request.command, request.path)
        replies = self._replies.get(key)
        if not replies:
            self.unknown.append(key)
            error = {"error": {"code": "NotRecorded", "message": f"no reply was recorded to {' '.join(key)}"}}
            send(request, 404, json.dumps(error).encode(), {"content-type": "application/json"})
            return
        reply = replies.popleft() if len(replies) > 1 else replies[0]
        headers = {name: _HOST.sub(self.url, value) for name, value in reply.headers.items()}
        send(request, reply.status, _HOST.sub(self.url, reply.body).encode(), headers)


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
    location = urlsplit(url)
    requested = sorted(
        (name.lower(), value) for name, value in parse_qsl(location.query) if name.lower() != "api-version"
    )
    path = re.sub(r"/+", "/", location.path).rstrip("/").lower()
    return method, path + "".join(f"&{name}={value}" for name, value in requested)
