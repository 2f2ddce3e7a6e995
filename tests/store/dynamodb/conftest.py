"""A DynamoDB for the tests of this folder, without faults at the beginning of each."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from support.dynamodb import DynamoServer


@pytest.fixture(scope="session")
def dynamodb_server() -> Iterator[DynamoServer]:
    server = DynamoServer()
    yield server
    server.stop()


@pytest.fixture
def dynamodb(dynamodb_server: DynamoServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[DynamoServer]:
    """The server, with the variables that lead an SDK there."""
    for name, value in dynamodb_server.environ.items():
        monkeypatch.setenv(name, value)
    dynamodb_server.forget_faults()
    yield dynamodb_server
    dynamodb_server.forget_faults()


@pytest.fixture
def url(dynamodb: DynamoServer) -> str:
    """The URL of a state whose table does not exist."""
    return f"dynamodb://t{uuid4().hex[:12]}?region=us-east-1"
