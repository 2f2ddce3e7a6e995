"""All clouds of the sandbox as one WSGI application on one loopback port, with what a test may ask behind their backs.

`/gpuctl-sandbox` says who answers, `/gpuctl-sandbox/instances` what truly exists, `/gpuctl-sandbox/calls` what was
asked of the clouds; a POST to `/gpuctl-sandbox/reset` empties them and one to `/gpuctl-sandbox/interrupt?id=` takes a
spot machine back. Where instances can be logged in to, a POST of JSON to `/gpuctl-sandbox/network` sets up what happens
to SSH connections, one to `/gpuctl-sandbox/network/cut` breaks them, and `/gpuctl-sandbox/metadata/NAME/...` is the
metadata service of an instance. `/gpuctl-sandbox/NAME/...` belongs to one cloud: see its `control.py`. Every other path
belongs to the cloud that owns it, or to the first in the table.
"""

import json
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Request, Response

from gpuctl_sandbox.clouds import CLOUDS
from gpuctl_sandbox.guests import metadata
from gpuctl_sandbox.guests.instances import Instances
from gpuctl_sandbox.guests.requests import is_own_request

_OWN = "/gpuctl-sandbox"


def system_now() -> datetime:
    return datetime.now(UTC)


class Sandbox:
    """The application: give it to `serve`, or call it as any WSGI application.

    With `instances`, running instances can be logged in to: they follow the clouds after every request. As they execute
    what requests carry, only requests of the user who started the sandbox are served then.
    """

    instances: Instances | None = None

    def __init__(self, nonce: str, now: Callable[[], datetime]) -> None:
        self.nonce = nonce
        self.now = now
        self.started_at = now()
        self.last_asked = self.started_at
        self.clouds = {row.name: row.make(now) for row in CLOUDS}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.last_asked = self.now()
        path = environ.get("PATH_INFO", "")
        if self.instances is not None and not is_own_request(environ):
            return _json({"error": "only the user who started the sandbox can use it"}, 403)(environ, start_response)
        if path == _OWN or path.startswith(f"{_OWN}/"):
            reply = self._own(Request(environ))(environ, start_response)
        else:
            first, *others = self.clouds.values()
            reply = next((cloud for cloud in others if cloud.owns(path)), first)(environ, start_response)
        if self.instances is not None and not path.startswith(f"{_OWN}/metadata/"):
            self.instances.settle()
        return reply

    def _own(self, request: Request) -> Response:
        match request.method, request.path.removeprefix(_OWN):
            case "GET", "" | "/":
                started = self.started_at.isoformat().replace("+00:00", "Z")
                return _json({"nonce": self.nonce, "pid": os.getpid(), "startedAt": started})
            case "GET", "/instances":
                return _json([machine for cloud in self.clouds.values() for machine in cloud.instances()])
            case "GET", "/calls":
                return _json([call for cloud in self.clouds.values() for call in cloud.calls()])
            case "POST", "/reset":
                for cloud in self.clouds.values():
                    cloud.reset()
                return _json({"reset": True})
            case "POST", "/interrupt":
                instance_id = request.args.get("id", "")
                is_ended = any(cloud.interrupt(instance_id) for cloud in self.clouds.values())
                return _json({"interrupted": is_ended}, 200 if is_ended else 404)
            case method, path if self.instances is not None and path.startswith(("/network", "/metadata/")):
                return _of_instances(self.instances, method, path, request)
            case method, path:
                return self._control(method, path, request)

    def _control(self, method: str, path: str, request: Request) -> Response:
        name, _, action = path.removeprefix("/").partition("/")
        for row in CLOUDS:
            if row.name == name and (reply := row.control(self.clouds[name], method, action, request)) is not None:
                return _json(*reply)
        return _json({"error": "no such path or method"}, 404)


def build_app(nonce: str, now: Callable[[], datetime] = system_now) -> Sandbox:
    """The sandbox under a name only its starter knows, whose clocks all follow `now` (aware, UTC)."""
    return Sandbox(nonce, now)


def serve(app: Sandbox, port: int = 0) -> BaseWSGIServer:
    """A server for `app`, bound to 127.0.0.1 (port 0: a free one, then found as `.port`) and not yet serving."""
    return make_server("127.0.0.1", port, app, threaded=True, request_handler=_Handler)


class _Handler(MotoRequestHandler):
    """Writes the sandbox's time into the `Date` of every reply, failed ones too, and keeps no access log."""

    # Else a reply's body may wait 40 ms for the acknowledgement of its headers.
    disable_nagle_algorithm = True

    def date_time_string(self, timestamp: float | None = None) -> str:
        app: Any = self.server.app
        return format_datetime(app.now(), usegmt=True)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def _of_instances(instances: Instances, method: str, path: str, request: Request) -> Response:
    kind, _, rest = path.removeprefix("/").partition("/")
    if kind == "metadata":
        name, _, wanted = rest.partition("/")
        return metadata.answer(instances.guest(name), wanted, request)
    if (method, rest) == ("POST", "cut"):
        instances.cut()
        return _json({"done": "cut"})
    if (method, rest) != ("POST", ""):
        return _json({"error": "no such path or method"}, 404)
    try:
        instances.network.change(json.loads(request.get_data() or b"{}"))
    except (ValueError, AttributeError) as error:
        return _json({"error": str(error)}, 400)
    return _json({"done": "network"})


def _json(value: object, status: int = 200) -> Response:
    return Response(json.dumps(value), status, content_type="application/json")
