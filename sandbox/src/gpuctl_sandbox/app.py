"""All clouds of the sandbox as one WSGI application on one loopback port, with what a test may ask behind their backs.

`/gpuctl-sandbox` says who answers, `/gpuctl-sandbox/machines` what truly exists, `/gpuctl-sandbox/calls` what was
asked of the clouds; a POST to `/gpuctl-sandbox/reset` empties them and one to `/gpuctl-sandbox/interrupt?id=` takes a
spot machine back. Every other path belongs to a cloud: Azure's begin `/subscriptions`, `/tenants` or `/providers`,
Google Cloud's `/compute/` (and `/v1/projects/` for its Resource Manager), the rest are AWS's.

A POST of JSON to `.../aws/settings` changes how AWS is (see `aws/conditions.py`). Azure and Google Cloud (`gcp`) have
`/gpuctl-sandbox/azure/resources` (everything that exists and whether it bills). A POST of JSON to `.../azure/settings`
and `.../azure/faults` changes how Azure is and what goes wrong (see `azure/conditions.py`), one to `.../azure/finish`
ends what is under way, and one to `.../azure/shutdown?id=` powers an instance off from inside; on Google Cloud
`.../gcp/host-error?id=` lets the host of an instance fail.
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

from gpuctl_sandbox.aws import AwsCloud
from gpuctl_sandbox.aws.conditions import read_settings
from gpuctl_sandbox.azure import ArmCloud
from gpuctl_sandbox.azure.wire import Refusal, read_call
from gpuctl_sandbox.gcp import ComputeCloud
from gpuctl_sandbox.gcp.wire import Refusal as GoogleRefusal

_OWN = "/gpuctl-sandbox"


def system_now() -> datetime:
    return datetime.now(UTC)


class Sandbox:
    """The application: give it to `serve`, or call it as any WSGI application."""

    def __init__(self, nonce: str, now: Callable[[], datetime]) -> None:
        self.nonce = nonce
        self.now = now
        self.started_at = now()
        self.last_asked = self.started_at
        self.aws = AwsCloud(now)
        self.azure = ArmCloud(now)
        self.gcp = ComputeCloud(now)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.last_asked = self.now()
        path = environ.get("PATH_INFO", "")
        if path == _OWN or path.startswith(f"{_OWN}/"):
            return self._own(Request(environ))(environ, start_response)
        clouds = (cloud for cloud in (self.azure, self.gcp) if cloud.owns(path))
        return next(clouds, self.aws)(environ, start_response)

    def _own(self, request: Request) -> Response:
        match request.method, request.path.removeprefix(_OWN):
            case "GET", "" | "/":
                started = self.started_at.isoformat().replace("+00:00", "Z")
                return _json({"nonce": self.nonce, "pid": os.getpid(), "startedAt": started})
            case "GET", "/machines":
                return _json(self.aws.machines() + self.azure.machines() + self.gcp.machines())
            case "GET", "/volumes":
                return _json(self.aws.volumes())
            case "GET", "/calls":
                return _json(self.aws.calls() + self.azure.calls() + self.gcp.calls())
            case "POST", "/reset":
                self.aws.reset()
                self.azure.reset()
                self.gcp.reset()
                return _json({"reset": True})
            case "POST", "/interrupt":
                machine_id = request.args.get("id", "")
                ended = any(cloud.interrupt(machine_id) for cloud in (self.aws, self.azure, self.gcp))
                return _json({"interrupted": ended}, 200 if ended else 404)
            case "POST", "/power-off":
                ended = self.aws.power_off(request.args.get("id", ""))
                return _json({"off": ended}, 200 if ended else 404)
            case "POST", "/aws/settings":
                return self._set_up_aws(request)
            case "GET", "/azure/resources":
                return _json(self.azure.resources())
            case "POST", "/azure/shutdown":
                is_off = self.azure.shut_down(request.args.get("id", ""))
                return _json({"shutdown": is_off}, 200 if is_off else 404)
            case "GET", "/gcp/resources":
                return _json(self.gcp.resources())
            case "POST", "/gcp/shutdown" | "/gcp/host-error" as path:
                befall = self.gcp.power_off if path == "/gcp/shutdown" else self.gcp.host_error
                is_done = befall(request.args.get("id", ""))
                return _json({"done": is_done}, 200 if is_done else 404)
            case "POST", path if path.startswith(("/azure/", "/gcp/")):
                _, name, what = path.split("/", 2)
                return self._set_up(self.azure if name == "azure" else self.gcp, what, request)
            case _:
                return _json({"error": "no such path or method"}, 404)

    def _set_up_aws(self, request: Request) -> Response:
        try:
            self.aws.set_up(read_settings(request.get_data()))
        except ValueError as error:
            return _json({"error": str(error)}, 400)
        return _json({"done": "settings"})

    def _set_up(self, cloud: ArmCloud | ComputeCloud, what: str, request: Request) -> Response:
        try:
            done = cloud.set_up(what, read_call(request.environ).body or {})
        except (Refusal, GoogleRefusal) as refusal:
            return _json({"error": refusal.message}, 400)
        return _json(done, 200) if done is not None else _json({"error": "no such path or method"}, 404)


def build_app(nonce: str, now: Callable[[], datetime] = system_now) -> Sandbox:
    """The sandbox under a name only its starter knows, whose clocks all follow `now` (aware, UTC)."""
    return Sandbox(nonce, now)


def serve(app: Sandbox, port: int = 0) -> BaseWSGIServer:
    """A server for `app`, bound to 127.0.0.1 (port 0: a free one, then found as `.port`) and not yet serving."""
    return make_server("127.0.0.1", port, app, threaded=True, request_handler=_Handler)


class _Handler(MotoRequestHandler):
    """Writes the sandbox's time into the `Date` of every reply, failed ones too, and keeps no access log."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        app: Any = self.server.app
        return format_datetime(app.now(), usegmt=True)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def _json(value: object, status: int = 200) -> Response:
    return Response(json.dumps(value), status, content_type="application/json")
