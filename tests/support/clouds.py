"""AWS on loopback inside the test process, with a clock that a test moves."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from gpuctl_sandbox.app import build_app, serve
from gpuctl_sandbox.aws.images import IMAGES
from gpuctl_sandbox.guests.instances import Instances
from gpuctl_sandbox.guests.units import Clock

_DIRECT = Config(proxies={}, connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 1})
# A test may poison the environment and still look at the cloud through these clients.
_NOTHING_OF_THE_USER = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


class LoopbackAws:
    """A served AWS, started by making one and ended by `stop`. One a process: moto keeps its state per process.

    Start it once for a session (1-2 s) and `reset` it before each test.
    """

    def __init__(self) -> None:
        # moto reads its switches from the environment only; without its 1300 images a reset takes 3 ms instead of 100.
        os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
        self._clock: Callable[[], datetime] = _system
        self._clients: dict[tuple[str, str, str], Any] = {}
        self._session = boto3.Session(botocore_session=botocore.session.Session(session_vars=_NOTHING_OF_THE_USER))
        self._server = serve(build_app("loopback", lambda: self._clock()))
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        self.client("ec2").describe_instances()
        self.client("sts").get_caller_identity()
        self.reset()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def now(self) -> datetime:
        """What the cloud's clock says. Set it to an instant (it stands still there, `+=` moves it), to a timedelta
        (the system's clock and that much) or to a function that returns an aware instant."""
        return self._clock()

    @now.setter
    def now(self, clock: datetime | timedelta | Callable[[], datetime]) -> None:
        if isinstance(clock, datetime):
            self._clock = lambda: clock
        elif isinstance(clock, timedelta):
            self._clock = lambda: _system() + clock
        else:
            self._clock = clock

    def client(self, service: str, region: str = "us-east-1", access_key: str = "sandbox") -> Any:
        """A boto3 client of this cloud, the same one each time: dummy credentials, no proxy, no retries."""
        if (service, region, access_key) not in self._clients:
            self._clients[service, region, access_key] = self._session.client(
                service,
                region_name=region,
                endpoint_url=self.url,
                aws_access_key_id=access_key,
                aws_secret_access_key="sandbox",
                config=_DIRECT,
            )
        return self._clients[service, region, access_key]

    def launch(self, region: str = "us-east-1", tags: dict[str, str] | None = None, **parameters: Any) -> str:
        """Start an instance as another tool would, and return its id; `parameters` go into RunInstances."""
        specifications = (
            [{"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}] if tags else []
        )
        query = {"ImageId": IMAGES[0].image_id(region), "InstanceType": "g5.xlarge", "MinCount": 1, "MaxCount": 1}
        reply = self.client("ec2", region).run_instances(**{**query, "TagSpecifications": specifications, **parameters})
        return str(reply["Instances"][0]["InstanceId"])

    def instances(self) -> list[dict[str, Any]]:
        """The instances since the last reset, oldest first: cloud, region, id, state, instance_type, tags, launched_at,
        ended_at, client_token. Read from the cloud's own store, not through describe calls."""
        return self.ask("GET", "/gpuctl-sandbox/instances")

    def volumes(self) -> list[dict[str, Any]]:
        """Every volume there is: id, size_gb, tags, instance (None where it is attached to none)."""
        return self.ask("GET", "/gpuctl-sandbox/aws/volumes")

    def calls(self) -> list[dict[str, str]]:
        """The AWS calls served since the last reset, oldest first: service, action, region."""
        return self.ask("GET", "/gpuctl-sandbox/calls")

    def interrupt(self, instance_id: str) -> None:
        """Take one spot instance back, as AWS does."""
        self.ask("POST", f"/gpuctl-sandbox/interrupt?id={instance_id}")

    def power_off(self, instance_id: str) -> None:
        """Let one instance power itself off."""
        self.ask("POST", f"/gpuctl-sandbox/aws/power-off?id={instance_id}")

    def set_up(self, **settings: Any) -> None:
        """Change AWS's conditions; the names and values are those of `sandbox/aws/conditions.py`."""
        self.ask("POST", "/gpuctl-sandbox/aws/settings", settings)

    @contextmanager
    def with_instances(self, folder: Path, pace: float = 1.0) -> Iterator[Instances]:
        """Let the instances of all clouds boot, with their files in that folder, for the length of a block.

        Their timers run `pace` times faster than in real time.
        """
        app: Any = self._server.app
        app.instances = Instances(folder, app.clouds, self.url, Clock(app.now, pace))
        try:
            yield app.instances
        finally:
            app.instances.close()
            app.instances = None

    def reset(self) -> None:
        """An empty cloud on the system's clock."""
        self._clock = _system
        self.ask("POST", "/gpuctl-sandbox/reset")

    def stop(self) -> None:
        """End the server and wait until it has ended."""
        for client in self._clients.values():
            client.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        os.environ.pop("MOTO_EC2_LOAD_DEFAULT_AMIS", None)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON answer to one plain request, with a JSON body if given; raises if the status is not 200."""
        connection = HTTPConnection("127.0.0.1", self._server.port, timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            reply = connection.getresponse()
            answer = json.loads(reply.read())
        finally:
            connection.close()
        assert reply.status == 200, f"{method} {path}: {reply.status} {answer}"
        return answer


def _system() -> datetime:
    return datetime.now(UTC)
