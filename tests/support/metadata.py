"""A metadata service on loopback, as strict about tokens as the real one."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

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


@contextmanager
def metadata_service() -> Iterator[Metadata]:
    """Serve one for the length of a block."""
    said, over = Metadata(), Event()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            wanted = self.path == "/latest/api/token" and self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
            self._answer(said.status if wanted else 400, TOKEN.encode())

        def do_GET(self) -> None:
            if self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
                said.asked_without_token += 1
                self._answer(401, b"")
                return
            value = said.tags.get(self.path.removeprefix("/latest/meta-data/tags/instance/"))
            self._answer(404 if value is None else said.status, value or b"")

        def _answer(self, status: int, body: bytes) -> None:
            said.asked.append(f"{self.command} {self.path}")
            if self.path in said.hangs:
                over.wait()
                self.close_connection = True
            elif said.raw is not None and self.command == "GET":
                self.wfile.write(said.raw)
                self.close_connection = True
            else:
                self.send_response_only(status)
                if said.date is not None:
                    self.send_header("Date", format_datetime(said.date, usegmt=True))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hung up has nobody left to tell."""

    server = Server(("127.0.0.1", 0), Handler)
    said.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield said
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()
