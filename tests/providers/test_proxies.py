"""A create through a proxy: only where the proxy did not reach the cloud is it sure that nothing was created."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import requests
from azure.core.pipeline.transport import HttpRequest, RequestsTransport
from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session

from gpuctl.errors import GpuctlError, OutcomeUnknown, UnreachableError
from gpuctl.providers.aws import errors as aws
from gpuctl.providers.azure import errors as azure
from gpuctl.providers.gcp import errors as gcp

REFUSAL = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
# Nothing is ever sent there: the proxy answers.
HOST = "cloud.invalid"


@pytest.fixture
def proxy() -> Iterator[Callable[[bytes], str]]:
    """Starts a proxy that reads a request, answers with these bytes and closes; its address."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(reply: bytes) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(reply)

    def start(reply: bytes) -> str:
        threading.Thread(target=serve, args=(reply,), daemon=True).start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    yield start
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()


def of_aws(url: str, proxy: str) -> GpuctlError:
    try:
        URLLib3Session(proxies={"http": proxy, "https": proxy}).send(AWSRequest("POST", url, data=b"{}").prepare())
    except aws.SDK_ERRORS as error:
        return aws.translate_create(error, "creating")
    raise AssertionError


def of_azure(url: str, proxy: str) -> GpuctlError:
    try:
        RequestsTransport().send(HttpRequest("PUT", url), proxies={"http": proxy, "https": proxy})
    except azure.SDK_ERRORS as error:
        return azure.translate_create(error, "creating")
    raise AssertionError


def of_gcp(url: str, proxy: str) -> GpuctlError:
    try:
        requests.post(url, json={}, proxies={"http": proxy, "https": proxy}, timeout=5)
    except gcp.CALL_ERRORS as error:
        return gcp.translate_create(error, "creating")
    raise AssertionError


every_cloud = pytest.mark.parametrize("create", [of_aws, of_azure, of_gcp])


@every_cloud
def test_a_connection_that_breaks_after_the_request_was_sent_leaves_the_outcome_unknown(
    create: Callable[[str, str], GpuctlError], proxy: Callable[[bytes], str]
) -> None:
    assert isinstance(create(f"http://{HOST}/", proxy(b"")), OutcomeUnknown)


@every_cloud
def test_a_proxy_that_refuses_to_connect_to_the_cloud_has_created_nothing(
    create: Callable[[str, str], GpuctlError], proxy: Callable[[bytes], str]
) -> None:
    assert type(create(f"https://{HOST}/", proxy(REFUSAL))) is UnreachableError


@every_cloud
def test_a_proxy_that_is_not_there_has_created_nothing(create: Callable[[str, str], GpuctlError]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    assert type(create(f"http://{HOST}/", address)) is UnreachableError
