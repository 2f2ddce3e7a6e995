"""An address gets the event as JSON, is believed only with a 2xx, and sends it nowhere else."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Thread

import pytest
from support.receiver import Receiver

from gpuctl.hooks import open_hook
from gpuctl.hooks.base import HookMessage

EVENT = HookMessage("instance:ready", "inst-000000000001", 4, json.dumps({"event": "instance:ready"}))
LONG = timedelta(seconds=20)
SHORT = timedelta(milliseconds=300)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


@contextmanager
def mute(greeting: bytes) -> Iterator[str]:
    """A server that takes a connection, says so much, and nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(greeting)
                while connection.recv(4096):
                    pass

        thread = Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/secret"
    thread.join()


def tell(url: str, patience: timedelta = LONG) -> str | None:
    return open_hook(url, {}).send(EVENT, patience)


def test_the_event_is_posted_with_an_id_that_identifies_repeats(receiver: Receiver) -> None:
    assert tell(f"{receiver.url}/in?token=s3cret") is None
    ((path, headers, body),) = receiver.got
    assert (path, json.loads(body)) == ("/in?token=s3cret", {"event": "instance:ready"})
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Gpuctl-Delivery"] == "inst-000000000001-4"
    assert "Authorization" not in headers


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_2xx_is_taken(receiver: Receiver, status: int) -> None:
    receiver.status = status
    assert tell(receiver.url) is None


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_any_other_answer_is_a_failure(receiver: Receiver, status: int) -> None:
    receiver.status = status
    assert tell(receiver.url) == f"answered {status}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_it_nowhere(receiver: Receiver, status: int) -> None:
    receiver.status, receiver.headers = status, {"Location": f"{receiver.url}/elsewhere"}
    assert tell(f"{receiver.url}/here") == f"answered {status}"
    assert [path for path, _, _ in receiver.got] == ["/here"]


def test_a_login_in_the_address_is_sent_as_one(receiver: Receiver) -> None:
    assert tell(receiver.url.replace("//", "//ana:p%40ss@")) is None
    assert receiver.got[0][1]["Authorization"] == "Basic YW5hOnBAc3M="


def test_no_proxy_stands_before_loopback(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert tell(receiver.url) is None


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 2"])
def test_one_that_does_not_answer_keeps_nobody_waiting(greeting: bytes) -> None:
    with mute(greeting) as url:
        assert tell(url, SHORT) == "timed out after 0s"


def test_what_goes_wrong_never_names_the_address() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/secret"
        addresses = [closed, "http://[::1/secret", "https://user:secret@", "http://127.0.0.1:x/secret", "https://\x7f/"]
        answers = [tell(url, timedelta(seconds=5)) for url in addresses]
    assert answers[0] == "could not be reached: Connection refused"
    assert all(answers)
    assert "secret" not in str(answers)


def test_one_that_speaks_no_http_is_a_failure() -> None:
    with mute(b"220 mail ready\r\n\r\n") as url:
        assert tell(url, timedelta(seconds=5)) == "returned no readable answer"
