"""Moving a state to an engine and from it: whole, and after a crash at any request run again."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from support.clock import FakeClock
from support.dynamodb import DynamoServer
from support.instances import NOON, a_ready_instance, an_instance
from support.pools import a_pool

from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.pools.events import PoolEvent, PoolEventName
from gpuctl.errors import GpuctlError, StateFault, StateUnusableError
from gpuctl.services.moving import move
from gpuctl.store.base import State
from gpuctl.store.kind import StateKind
from gpuctl.store.opening import Surroundings
from gpuctl.store.registry import open_store

ONE, TWO, THREE = (f"inst-00000000000{number}" for number in (1, 2, 3))


class Crash(BaseException):
    """The process ends here."""


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
    """The URL of a state in DynamoDB that is not initialised."""
    return f"dynamodb://t{uuid4().hex[:12]}?region=us-east-1"


@pytest.fixture
def opened(dynamodb: DynamoServer) -> Callable[[str], State]:
    """Opens the state at a URL as a new process does."""
    around = Surroundings(environ=dynamodb.environ)
    return lambda url: open_store(url, kind=StateKind.REAL, clock=FakeClock(), surroundings=around)


def ended(record_id: str) -> Instance:
    return a_ready_instance(record_id, status=Status.TERMINATED, terminated_at=NOON)


def filled(state: State) -> State:
    """The same state, with two records, one in the archive, a pool with its history, and times of the reaper."""
    state.records.add([ended(ONE), an_instance(TWO), an_instance(THREE)], lambda present: None)
    state.records.archive(NOON + timedelta(hours=1))
    state.pools.change("train", lambda present: a_pool())
    event = PoolEvent(at=NOON, event=PoolEventName.LEASED)
    state.pools.append("train", [event, event])
    state.reaper.update(lambda times: times.model_copy(update={"last_reap_at": NOON}))
    return state


def everything(state: State) -> tuple[object, ...]:
    return (
        state.records.snapshot().state_id,
        list(state.records.snapshot().records),
        list(state.records.archived()),
        state.records.counts_from(),
        state.pools.read(),
        len(state.pools.history("train", NOON)),
        state.reaper.read().last_reap_at,
    )


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


class CrashingServer:
    """Ends the process of its only client at the n-th request that writes, before it is carried out or after it."""

    WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems", "CreateTable")

    def __init__(self, server: DynamoServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server, self.left, self.after, self.count = server, -1, False, 0
        send = _sender()

        def counted(own: object, operation: str, request: object) -> object:
            is_write = operation in self.WRITES
            self.count += is_write
            self.left -= is_write
            if is_write and self.left == 0 and not self.after:
                raise Crash
            reply = send(own, operation, request)
            if is_write and self.left == 0:
                raise Crash
            return reply

        monkeypatch.setattr("botocore.client.BaseClient._make_api_call", counted)

    def crash_at(self, number: int, *, after: bool) -> None:
        self.left, self.after, self.count = number, after, 0


def _sender() -> Callable[..., object]:
    from botocore.client import BaseClient

    send: Callable[..., object] = BaseClient._make_api_call
    return send


@pytest.mark.parametrize("is_target", [True, False], ids=["to DynamoDB", "from DynamoDB"])
def test_a_move_that_crashed_at_any_request_loses_nothing_and_is_completed_by_the_next_run(
    opened: Callable[[str], State],
    dynamodb: DynamoServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    is_target: bool,
) -> None:
    crashing = CrashingServer(dynamodb, monkeypatch)
    step, is_done = 0, False
    while not is_done:
        step += 1
        for after in (False, True):
            table, file = f"dynamodb://t{uuid4().hex[:12]}?region=us-east-1", str(tmp_path / f"{step}{after}.json")
            source, target = (file, table) if is_target else (table, file)
            opened(table).admin.create()
            expected = everything(filled(opened(source)))
            crashing.crash_at(step, after=after)
            try:
                move(opened(source), opened(target))
                is_done = True
            except Crash:
                pass
            crashing.left = -1
            usable = 0
            for place in (source, target):
                with suppress(GpuctlError):
                    opened(place).records.update(TWO, lambda record: record.with_fields(task="written"))
                    usable += 1
            assert usable <= 1
            move(opened(source), opened(target))
            result = everything(opened(target))
            tasks = [record.task for record in opened(target).records.snapshot().records]
            assert tasks == ["written" if usable else None, None]
            assert result[0] == expected[0]
            assert result[2:] == expected[2:]
    assert step > (5 if is_target else 1)


def test_nothing_moves_to_a_table_that_is_not_initialised(
    opened: Callable[[str], State], tmp_path: Path, table: str
) -> None:
    source = filled(opened(str(tmp_path / "source.json")))
    with pytest.raises(StateUnusableError, match="not initialised") as refused:
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


@pytest.mark.parametrize("engine", ["dynamodb", "postgresql"])
def test_a_slower_copy_of_the_same_move_writes_nothing_to_a_target_that_is_in_use(
    opened: Callable[[str], State],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    table: str,
    url: str,
    engine: str,
) -> None:
    source, target = str(tmp_path / "source.json"), table if engine == "dynamodb" else url
    filled(opened(source))
    opened(target).admin.create()
    slow = opened(target)
    admin = type(slow.admin)
    fill, stage = admin.fill, {"at": 0}

    def overtaken(own: object, *arguments: object) -> None:
        # The slow process stops here until the other one is done and the target is in use.
        if own is slow.admin and not stage["at"]:
            stage["at"] = 1
            move(opened(source), opened(target))
            opened(target).records.update(TWO, lambda record: record.with_fields(user="bob"))
            opened(target).pools.change("train", lambda pool: None)
        fill(own, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(admin, "fill", overtaken)
    with pytest.raises(StateUnusableError, match="no longer the target"):
        move(opened(source), slow)
    assert [record.user for record in opened(target).records.snapshot().records] == ["bob", "ana"]
    assert opened(target).pools.read() == {}
