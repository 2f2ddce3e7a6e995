"""The service that tells callers their public address, with an answer of a test's choice."""

from collections.abc import Iterator
from contextlib import contextmanager

from support.serving import Request, Server, send


class Echo:
    """`answer` is the body and `status` the status; `asked` counts the questions."""

    def __init__(self) -> None:
        self.answer: bytes = b"8.8.4.4\n"
        self.status = 200
        self.asked = 0
        self.url = ""

    def reply(self, request: Request) -> None:
        self.asked += 1
        send(request, self.status, self.answer)


@contextmanager
def echo_service() -> Iterator[Echo]:
    """Served on loopback while the context lasts."""
    echo = Echo()
    server = Server(echo.reply)
    echo.url = f"{server.url}/"
    yield echo
    server.stop()
