"""The line between gpuctl and a cloud on loopback: it carries every call, and breaks those it was told to break."""

import json
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from enum import Enum, auto
from http.client import HTTPConnection
from threading import Event
from urllib.parse import parse_qs, urlsplit

from support.serving import Request, Server, body_of, hang_up, send

Answer = tuple[int, dict[str, str], bytes]
_CARRIED = ("date", "content-type", "location", "azure-asyncoperation", "retry-after")


class Phase(Enum):
    """How far a call has come."""

    SENT = auto()  # it arrived, and nothing was done yet
    DONE = auto()  # the cloud did it, and nobody was told yet
    ANSWERED = auto()  # the answer was sent


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one call: whether the cloud still performs it, and what comes back (None: nothing)."""

    is_performed: bool
    answer: Callable[[Answer | None], Answer | None]
    is_hanging: bool = False
    is_held: bool = False


def refuse(code: str, status: int = 400, message: str = "no", date: datetime | None = None) -> Fault:
    """The cloud does nothing and says so with this code, at that time by its clock."""
    body = f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors></Response>"
    headers = {"Content-Type": "text/xml"} | ({"Date": format_datetime(date, usegmt=True)} if date else {})
    return Fault(False, lambda _: (status, headers, body.encode()))


def refuse_arm(code: str, status: int = 409, message: str = "no", **headers: str) -> Fault:
    """The same in ARM's words."""
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    return Fault(False, lambda _: (status, {"Content-Type": "application/json", **headers}, body))


def refuse_google(reason: str, status: int = 403, message: str = "no") -> Fault:
    """The same in the words of Google's API."""
    entry = {"reason": reason, "message": message, "domain": "global"}
    body = json.dumps({"error": {"code": status, "message": message, "errors": [entry]}}).encode()
    return Fault(False, lambda _: (status, {"Content-Type": "application/json"}, body))


def console_output(text: str) -> Fault:
    """EC2's answer with that text on the console of an instance."""
    output = b64encode(text.encode()).decode()
    body = (
        '<GetConsoleOutputResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
        f"<output>{output}</output></GetConsoleOutputResponse>"
    )
    return Fault(False, lambda _: (200, {"Content-Type": "text/xml"}, body.encode()))


LOST = Fault(True, lambda _: None)  # performed, and the reply never arrives
NEVER_ARRIVED = Fault(False, lambda _: None)  # the request was sent, and nobody performed it
FAILED_AFTER = Fault(True, lambda _: (503, {}, b""))  # performed, then a gateway says 503
GARBLED = Fault(True, lambda _: (200, {"Content-Type": "text/xml"}, b"<html>not what you asked for"))
TRUNCATED = Fault(True, lambda real: (real[0], real[1], real[2][: len(real[2]) // 2]) if real else None)
HANGING = Fault(True, lambda _: None, is_hanging=True)
HELD = Fault(False, lambda _: None, is_held=True)  # nobody performs it, and no answer comes while the wire is there


@dataclass
class Sent:
    """One call as it came over the line.

    ARM's calls are named `PUT virtualMachines` and Google's `POST instances` or `POST instances/setLabels`, by method
    and kind of thing.
    """

    action: str
    form: dict[str, str] = field(repr=False)
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


class Wire(Server):
    """Carries calls to `upstream`. `arm` breaks the next ones of an action; `sent` is every call that came.

    `bugs` is what went wrong in here. `instead` may answer for the cloud, and `change` may change its
    answers. `watch` is told of every phase of every call, and hangs up by returning False.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream).netloc
        self._faults: dict[str, deque[Fault | None]] = {}
        self._over = Event()
        self.sent: list[Sent] = []
        self.bugs: list[str] = []
        self.instead: Callable[[Sent], Answer | None] = lambda sent: None
        self.change: Callable[[Sent, Answer], Answer] = lambda sent, answer: answer
        self.watch: Callable[[Phase, Sent], bool] = lambda phase, sent: True
        super().__init__(self._carry, report=lambda error: self.bugs.append(repr(error)))

    def arm(self, action: str, *faults: Fault | None) -> None:
        """Break the next calls of that action, one fault each; None lets one pass."""
        self._faults.setdefault(action, deque()).extend(faults)

    def calls(self, action: str) -> list[Sent]:
        """The calls of that action that came over the line."""
        return [sent for sent in self.sent if sent.action == action]

    def reset(self) -> None:
        """A whole line that has carried nothing."""
        self._faults.clear()
        self.sent.clear()
        self.bugs.clear()
        self.instead = lambda sent: None
        self.change = lambda sent, answer: answer
        self.watch = lambda phase, sent: True

    def stop(self) -> None:
        self._over.set()
        super().stop()

    def _carry(self, handler: Request) -> None:
        body = body_of(handler)
        path = urlsplit(handler.path).path
        is_arm, is_google = path.startswith(("/subscriptions", "/providers")), path.startswith("/compute/")
        reported = "" if is_arm or is_google else body.decode()
        form = {key: values[0] for key, values in parse_qs(reported, keep_blank_values=True).items()}
        action = form.get("Action") or handler.headers.get("X-Amz-Target", "").rpartition(".")[2]
        if is_arm:
            action = f"{handler.command} {_kind(path)}"
        if is_google:
            action = f"{handler.command} {_google_kind(path)}"
        sent = Sent(action, form, handler.path, dict(handler.headers), body)
        self.sent.append(sent)
        if not self.watch(Phase.SENT, sent):
            hang_up(handler)
            return
        waiting = self._faults.get(action)
        fault = waiting.popleft() if waiting else None
        if fault is not None and fault.is_held:
            self._over.wait()
        real = self.instead(sent)
        if real is None and (fault is None or fault.is_performed):
            real = self.change(sent, self._forward(handler, body))
        answer = real if fault is None else fault.answer(real)
        if fault is not None and fault.is_hanging:
            self._over.wait(30)
        if not self.watch(Phase.DONE, sent) or answer is None:
            hang_up(handler)
            return
        status, headers, content = answer
        send(handler, status, content, headers)
        self.watch(Phase.ANSWERED, sent)

    def _forward(self, handler: Request, body: bytes) -> Answer:
        upstream = HTTPConnection(self._upstream, timeout=30)
        upstream.request(handler.command, handler.path, body, dict(handler.headers))
        reply = upstream.getresponse()
        remaining = {name: value for name, value in reply.getheaders() if name.lower() in _CARRIED}
        answer = (reply.status, remaining, reply.read())
        upstream.close()
        return answer


def _google_kind(path: str) -> str:
    """`instances` for `.../zones/Z/instances/NAME`, `instances/setLabels` for what is done to one."""
    parts = path.strip("/").split("/")[4:]
    if parts[:1] in (["zones"], ["regions"]) and len(parts) > 2:
        parts = parts[2:]
    elif parts[:1] in (["global"], ["aggregated"]):
        parts = parts[1:]
    return "/".join([*parts[:1], *parts[2:3]]) or "project"


def _kind(path: str) -> str:
    """The kind of thing an ARM path is about: its last word that is a kind, and not a name."""
    parts = path.strip("/").split("/")
    # subscriptions/S, resourceGroups/G and TYPE/NAME come in pairs, after providers/NAMESPACE.
    kinds = parts[-2::-2] if len(parts) % 2 == 0 else parts[-1::-2]
    # The SDK's clients spell this one in two ways.
    return "resourceGroups" if kinds[0] == "resourcegroups" else kinds[0]
