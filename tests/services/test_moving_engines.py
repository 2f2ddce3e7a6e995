"""Moving a state to an engine and from it: whole, and onto nothing that is in use."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from faults.moves import ONE, TWO, everything, filled
from support.clock import FakeClock
from support.dynamodb import DynamoServer
from support.instances import an_instance

from gpuctl.errors import StateFault, StateUnusableError
from gpuctl.services.moving import move
from gpuctl.store.base import State
from gpuctl.store.kind import StateKind
from gpuctl.store.opening import Surroundings
from gpuctl.store.registry import open_store


@pytest.fixture(scope="module")
def server() -> Iterator[DynamoServer]:
    server = DynamoServer()
    yield server
    server.stop()


@pytest.fixture
def dynamodb(server: DynamoServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[DynamoServer]:
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)
    yield server
    server.refuse, server.lose = lambda operation: None, lambda operation: False


@pytest.fixture
def table(dynamodb: DynamoServer) -> str:
    """The URL of a state in DynamoDB that is not initialized."""
    return f"dynamodb://t{uuid4().hex[:12]}?region=us-east-1"


@pytest.fixture
def opened(dynamodb: DynamoServer) -> Callable[[str], State]:
    """Opens the state at a URL as a new process does."""
    around = Surroundings(environ=dynamodb.environ)
    return lambda url: open_store(url, kind=StateKind.REAL, clock=FakeClock(), surroundings=around)


def test_a_state_moves_from_a_file_through_both_engines_and_back(
    opened: Callable[[str], State], tmp_path: Path, table: str, url: str
) -> None:
    places = [str(tmp_path / "first.json"), table, url, str(tmp_path / "last.json")]
    first = filled(opened(places[0]))
    expected, serial = everything(first), first.records.snapshot().serial
    for source, target in itertools.pairwise(places):
        if "://" in target:
            opened(target).admin.create()
        moved = move(opened(source), opened(target))
        assert (moved.records, moved.archived) == (2, 1)
        assert everything(opened(target)) == expected
        snapshot = opened(target).records.snapshot()
        assert (snapshot.serial > serial, snapshot.is_restored) == (True, False)
        serial = snapshot.serial
        with pytest.raises(StateUnusableError) as refused:
            opened(source).records.update(TWO, lambda record: record.with_fields(user="bob"))
        assert (refused.value.fault, moved.target in refused.value.message) == (StateFault.MOVED, True)
        assert move(opened(source), opened(target)).records == 2


def test_nothing_moves_to_a_table_that_is_not_initialized(
    opened: Callable[[str], State], tmp_path: Path, table: str
) -> None:
    source = filled(opened(str(tmp_path / "source.json")))
    with pytest.raises(StateUnusableError, match="not initialized") as refused:
        move(source, opened(table))
    assert refused.value.hint == f"gpuctl --state '{table}' state init"
    source.records.update(TWO, lambda record: record.with_fields(user="bob"))


def test_nothing_moves_onto_a_table_with_another_state(
    opened: Callable[[str], State], tmp_path: Path, table: str
) -> None:
    source = filled(opened(str(tmp_path / "source.json")))
    opened(table).admin.create()
    opened(table).records.add([an_instance(ONE)], lambda present: None)
    before = list(opened(table).records.snapshot().records)
    with pytest.raises(StateUnusableError, match="has the state") as refused:
        move(source, opened(table))
    assert refused.value.fault is StateFault.OTHER
    assert list(opened(table).records.snapshot().records) == before
    source.records.update(TWO, lambda record: record.with_fields(user="bob"))


def test_a_slower_copy_of_the_same_move_writes_nothing_to_a_database_that_is_in_use(
    opened: Callable[[str], State], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> None:
    source = str(tmp_path / "source.json")
    filled(opened(source))
    opened(url).admin.create()
    slow = opened(url)
    fill, is_overtaken = type(slow.admin).fill, False

    def overtaken(own: Any, *arguments: Any) -> None:
        # The slow process stops here until the other one is done and the target is in use.
        nonlocal is_overtaken
        if own is slow.admin and not is_overtaken:
            is_overtaken = True
            move(opened(source), opened(url))
            opened(url).records.update(TWO, lambda record: record.with_fields(user="bob"))
            opened(url).pools.change("train", lambda pool: None)
        fill(own, *arguments)

    monkeypatch.setattr(type(slow.admin), "fill", overtaken)
    with pytest.raises(StateUnusableError, match="no longer the target"):
        move(opened(source), slow)
    assert [record.user for record in opened(url).records.snapshot().records] == ["bob", "ana"]
    assert opened(url).pools.read() == {}
