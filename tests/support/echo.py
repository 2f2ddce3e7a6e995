"""The service that tells callers their public address, with an answer of a test's choice."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread


class Echo:
    """`answer` is the body and `status` the status; `asked` counts the questions."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answer: bytes = b"8.8.4.4\n"
        self.status = 200
        self.asked = 0


@contextmanager
def echo_service() -> Iterator[Echo]:
    """Served on loopback while the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            echo.asked += 1
            self.send_response(echo.status)
            self.send_header("Content-Length", str(len(echo.answer)))
            self.end_headers()
            self.wfile.write(echo.answer)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    echo = Echo(f"http://127.0.0.1:{server.server_port}/")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield echo
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
