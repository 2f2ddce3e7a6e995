"""EC2's metadata service at its own address, 169.254.169.254, in a network namespace that holds nothing else."""

import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

ADDRESS = "169.254.169.254"
TOKEN = "a-session-token"
_NEW_NETWORK = 0x40000000
_TAGS = "/latest/meta-data/tags/instance/"
_VERSION = "/2009-04-04"


@dataclass
class Metadata:
    """What the service answers: the instance's tags, and its user data. `asked` are the paths of all requests."""

    user_data: str
    instance_id: str
    tags: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str, *, has_token: bool) -> str | None:
        """The body for that path; None for 404. Tags are only for who holds a token; cloud-init asks without one.

        cloud-init asks EC2 with a token as well, but takes only what the firmware calls Amazon's for EC2.
        """
        if path.startswith(_TAGS):
            return self.tags.get(path.removeprefix(_TAGS)) if has_token else None
        return {
            f"{_VERSION}/meta-data/": "instance-id\nlocal-hostname",
            f"{_VERSION}/meta-data/instance-id": self.instance_id,
            f"{_VERSION}/meta-data/local-hostname": "guarded",
            f"{_VERSION}/user-data": self.user_data,
        }.get(path)


@contextmanager
def metadata_namespace(name: str, metadata: Metadata) -> Iterator[None]:
    """A network namespace of that name, with the service and nothing else in it, for the length of a block."""
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        subprocess.run(["ip", "-n", name, "address", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
        server = ThreadingHTTPServer((ADDRESS, 80), _handler(metadata), bind_and_activate=False)
        server.socket.close()
        server.socket = _listener(name)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=False)


def _listener(namespace: str) -> socket.socket:
    """A socket that listens there: it belongs to the namespace of the thread that makes it."""
    created: list[socket.socket] = []

    def make() -> None:
        descriptor = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(descriptor, _NEW_NETWORK) == 0:
                created.append(socket.create_server((ADDRESS, 80)))
        finally:
            os.close(descriptor)

    thread = Thread(target=make)
    thread.start()
    thread.join()
    if not created:
        raise OSError(ctypes.get_errno(), f"the network namespace {namespace} could not be entered")
    return created[0]


def _handler(metadata: Metadata) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            wanted = self.path == "/latest/api/token" and self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
            self._send(TOKEN if wanted else None)

        def do_GET(self) -> None:
            has_token = self.headers.get("X-aws-ec2-metadata-token") == TOKEN
            self._send(metadata.answer(self.path, has_token=has_token))

        def _send(self, body: str | None) -> None:
            metadata.asked.append(f"{self.command} {self.path}")
            self.send_response_only(404 if body is None else 200)
            self.send_header("Date", format_datetime(datetime.now(UTC), usegmt=True))
            self.send_header("Content-Length", str(len((body or "").encode())))
            self.end_headers()
            self.wfile.write((body or "").encode())

        def log_message(self, format: str, *args: object) -> None:
            return

    return Handler
