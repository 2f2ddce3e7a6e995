"""A metadata service on loopback, as strict about tokens as the real one."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email.utils import format_datetime
from threading import Event

from support.serving import Request, Server, send

TOKEN = "a-session-token"


class Metadata:
    """What the service says: `tags` of the instance, or `status` instead of any answer.

    `date` is the cloud's time, sent with every reply; None sends no Date at all. `raw` replaces the whole reply to a
    GET. Paths in `hangs` are never answered.
    """

    def __init__(self) -> None:
        self.tags: dict[str, bytes] = {}
        self.status = 200
        self.date: datetime | None = None
        self.raw: bytes | None = None
        self.hangs: set[str] = set()
        self.asked_without_token = 0
        self.asked: list[str] = []
        self.url = ""
        self.over = Event()

    def reply(self, request: Request) -> None:
        """Answer as EC2 does: the token to a PUT, and a tag to a GET with the token."""
        headers, path = request.headers, request.path
        if request.command == "PUT":
            is_valid = path == "/latest/api/token" and headers.get("X-aws-ec2-metadata-token-ttl-seconds")
            self._send(request, self.status if is_valid else 400, TOKEN.encode())
        elif headers.get("X-aws-ec2-metadata-token") != TOKEN:
            self.asked_without_token += 1
            self._send(request, 401, b"")
        else:
            value = self.tags.get(path.removeprefix("/latest/meta-data/tags/instance/"))
            self._send(request, 404 if value is None else self.status, value or b"")

    def _send(self, request: Request, status: int, body: bytes) -> None:
        self.asked.append(f"{request.command} {request.path}")
        if request.path in self.hangs:
            self.over.wait()
            request.close_connection = True
        elif self.raw is not None and request.command == "GET":
            request.wfile.write(self.raw)
            request.close_connection = True
        else:
            send(request, status, body, {"Date": format_datetime(self.date, usegmt=True)} if self.date else {})


@contextmanager
def metadata_service() -> Iterator[Metadata]:
    """Serve one for the length of a block."""
    metadata = Metadata()
    server = Server(metadata.reply)
    metadata.url = server.url
    try:
        yield metadata
    finally:
        metadata.over.set()
        server.stop()
