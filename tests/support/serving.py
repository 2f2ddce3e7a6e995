"""An HTTP server on loopback, of which a test only says what it answers."""

import ssl
import sys
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Request = BaseHTTPRequestHandler
"""A request as it came in: `command`, `path`, `headers`, and `rfile` with the body."""


class Server:
    """Calls `answer` with every request, each in a thread of its own, until `stop`.

    What an answer raises, except that the caller hung up, is given to `report`, or else printed.
    """

    def __init__(
        self,
        answer: Callable[[Request], None],
        *,
        tls: ssl.SSLContext | None = None,
        report: Callable[[BaseException], None] | None = None,
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Else a reply's body waits 40 ms for the acknowledgement of its headers.
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                answer(self)

            # The base class looks its methods up by these names.
            do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                return

        class Threads(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                error = sys.exc_info()[1]
                if error is None or isinstance(error, ConnectionError):
                    return
                if report is None:
                    super().handle_error(request, client_address)
                else:
                    report(error)

        self._server = Threads(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop serving, and wait until no further request is accepted."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def body_of(request: Request) -> bytes:
    """The body of a request; empty if it has none."""
    return request.rfile.read(int(request.headers.get("Content-Length") or 0))


def send(request: Request, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
    """Send this status, body and headers, and no others but the length."""
    request.send_response_only(status)
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)
        request.wfile.flush()


def hang_up(request: Request) -> None:
    """Close the connection without a reply."""
    request.close_connection = True
    request.connection.close()
