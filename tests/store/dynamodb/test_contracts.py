"""A state in DynamoDB keeps the promises of every store."""

import socket
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from contracts.cooldown import CooldownContract
from contracts.leases import LeaseContract
from contracts.pools import MovablePoolStoreContract
from contracts.reaper_memory import ReaperMemoryContract
from contracts.records import RecordStoreContract
from faults.shared import shared_budgets, shared_changes
from support.clock import FakeClock
from support.dynamodb import DynamoServer
from support.instances import NOON, a_ready_instance, an_instance

from gpuctl.domain.instance import Status
from gpuctl.errors import StateAccessError, StateFault, StateUnreachableError, StateUnusableError, UsageError
from gpuctl.home.states import StatesOnEngines
from gpuctl.store.base import RecordStore, State
from gpuctl.store.cooldown import Cooldown
from gpuctl.store.dynamodb import open_state
from gpuctl.store.dynamodb.engine import DynamoEngine
from gpuctl.store.dynamodb.items import HEADER_KEY
from gpuctl.store.dynamodb.table import DynamoTable, read_address
from gpuctl.store.kind import StateKind
from gpuctl.store.known_states import NoKnownStates
from gpuctl.store.lease import Leases
from gpuctl.store.opening import Surroundings
from gpuctl.store.shared.engine import Header, Row
from gpuctl.store.shared.lost_reply import LostReplyError
from gpuctl.store.shared.records import SharedRecords

ONE = "inst-000000000001"


def test_an_unknown_parameter_of_the_url_is_named() -> None:
    with pytest.raises(UsageError, match="unknown parameter `regoin`"):
        read_address("dynamodb://gpuctl?regoin=us-east-1")


def opened(url: str, server: DynamoServer, known: Path | None = None, clock: FakeClock | None = None) -> State:
    around = Surroundings(StatesOnEngines(known), server.environ) if known else Surroundings(environ=server.environ)
    return open_state(url, kind=StateKind.REAL, clock=clock or FakeClock(), surroundings=around)


class _OnDynamoDB:
    @pytest.fixture(autouse=True)
    def _prepared(self, dynamodb: DynamoServer, url: str, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.server, self.url, self.known = dynamodb, url, tmp_path_factory.mktemp("home")
        self.table = DynamoTable(read_address(url), dynamodb.environ, FakeClock())
        DynamoEngine(self.table, FakeClock()).create(Header(StateKind.REAL, None))

    @pytest.fixture
    def clock(self, _prepared: None) -> FakeClock:
        clock = FakeClock()
        self.server.now = clock.now
        return clock

    def open_state(self, clock: FakeClock) -> State:
        return opened(self.url, self.server, self.known, clock)


class TestDynamoRecords(_OnDynamoDB, RecordStoreContract):
    def open(self, folder: Path, kind: StateKind = StateKind.REAL) -> RecordStore:
        return self.open_state(FakeClock()).records

    def lose(self, folder: Path) -> None:
        self.table.call("delete_item", Key=HEADER_KEY)


class TestDynamoLeases(_OnDynamoDB, LeaseContract):
    def open(self, place: Path, clock: FakeClock) -> Leases:
        return self.open_state(clock).leases


class TestDynamoReaperMemory(_OnDynamoDB, ReaperMemoryContract):
    def open(self, place: Path, clock: FakeClock) -> State:
        return self.open_state(clock)


class TestDynamoPools(_OnDynamoDB, MovablePoolStoreContract):
    def open(self, place: Path) -> State:
        return self.open_state(FakeClock())


class TestDynamoCooldown(_OnDynamoDB, CooldownContract):
    def open(self, place: Path) -> Cooldown:
        return self.open_state(FakeClock()).cooldown


def test_without_a_table_every_call_names_the_initialization(dynamodb: DynamoServer, url: str) -> None:
    state = opened(url, dynamodb)
    calls = (state.records.snapshot, state.admin.describe, lambda: state.records.add([], lambda present: None))
    for call in calls:
        with pytest.raises(StateUnusableError, match="is not initialized") as raised:
            call()
        assert raised.value.fault is StateFault.MISSING
    assert state.cooldown.active(NOON) == {}
    assert state.admin.create() == state.admin.create()


def test_a_guard_never_writes_on_records_that_are_older_than_its_serial(dynamodb: DynamoServer, url: str) -> None:
    writer, written = opened(url, dynamodb), []

    class Raced(DynamoEngine):
        def _rows(self) -> dict[str, Row]:
            rows = super()._rows()
            if len(written) < 5:
                written.append(an_instance(f"inst-{len(written):012}"))
                writer.records.add(written[-1:], lambda present: None)
            return rows

    writer.admin.create()
    engine = Raced(DynamoTable(read_address(url), dynamodb.environ, FakeClock()), FakeClock())
    records = SharedRecords(engine, NoKnownStates(), kind=StateKind.REAL, clock=FakeClock())
    calls: list[int] = []
    records.add([an_instance("inst-00000000000a")], lambda present: calls.append(len(present)))
    assert calls[-1] == 5


def test_more_records_than_one_transaction_holds_are_changed_and_archived(dynamodb: DynamoServer, url: str) -> None:
    state = opened(url, dynamodb)
    state.admin.create()
    ids = [f"inst-{number:012}" for number in range(98)]
    for first in range(0, 98, 49):
        batch = [
            a_ready_instance(name, status=Status.TERMINATED, terminated_at=NOON) for name in ids[first : first + 49]
        ]
        state.records.add(batch, lambda present: None)
    state.records.update_each(ids, lambda record: record.with_fields(task="t"))
    assert {record.task for record in state.records.snapshot().records} == {"t"}
    assert state.records.archive(NOON + timedelta(hours=1)) == 98
    assert state.records.snapshot().records == ()
    assert sorted(record.id for record in state.records.archived()) == ids
    assert state.admin.describe().archived == 98


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_write_whose_reply_was_lost_is_done_once(dynamodb: DynamoServer, url: str, lost: int) -> None:
    state = opened(url, dynamodb)
    state.admin.create()
    state.records.add([an_instance(ONE, metadata={"count": "0"})], lambda present: None)
    left = [lost]

    def lose(operation: str) -> bool:
        if operation != "TransactWriteItems" or not left[0]:
            return False
        left[0] -= 1
        return True

    dynamodb.lose = lose
    changed = state.records.update(
        ONE, lambda record: record.with_fields(metadata={"count": str(int(record.metadata["count"]) + 1)})
    )
    assert (changed.metadata["count"], left[0]) == ("1", 0)
    assert state.records.snapshot().records[0].metadata["count"] == "1"
    left[0] = lost
    state.records.add([an_instance("inst-000000000002")], lambda present: None)
    assert len(state.records.snapshot().records) == 2


def test_a_write_that_is_still_under_way_when_it_is_sent_again_is_done_once(dynamodb: DynamoServer, url: str) -> None:
    """The codes that DynamoDB's service model documents for an ongoing transaction: of its token, and of its items."""
    state = opened(url, dynamodb)
    state.admin.create()
    state.records.add([an_instance(ONE, metadata={"count": "0"})], lambda present: None)
    answers = {
        "TransactWriteItems": [
            *[("TransactionInProgressException", False)] * 2,
            ("TransactionInProgressException", True),
        ],
        "PutItem": [("TransactionConflictException", False)] * 2,
    }
    dynamodb.refuse = lambda operation: answers[operation].pop() if answers.get(operation) else None
    changed = state.records.update(
        ONE, lambda record: record.with_fields(metadata={"count": str(int(record.metadata["count"]) + 1)})
    )
    assert (changed.metadata["count"], answers) == ("1", {"TransactWriteItems": [], "PutItem": []})
    assert state.records.snapshot().records[0].metadata["count"] == "1"


def test_out_of_reach_is_retryable_and_names_the_host(dynamodb: DynamoServer, url: str) -> None:
    around = Surroundings(environ={"AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:1"})
    state = open_state(url, kind=StateKind.REAL, clock=FakeClock(), surroundings=around)
    with pytest.raises(StateUnreachableError, match=r"127\.0\.0\.1:1") as raised:
        state.records.snapshot()
    assert (raised.value.exit_code, raised.value.retryable) == (9, True)


def test_a_table_that_does_not_answer_is_waited_for_once(dynamodb: DynamoServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ = {"AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        table = DynamoTable(read_address("dynamodb://table?region=us-east-1"), environ, FakeClock())
        table.patience = timedelta(seconds=0)
        assert table.limits == (1.0, 3)
        with pytest.raises(LostReplyError):
            table.transact([{"Delete": {"Key": HEADER_KEY}}], "token")
        assert table.limits == (1.0, 1)
        with pytest.raises(StateUnreachableError):
            table.call("describe_table")
        table.patience = timedelta(seconds=30)
        assert table.limits == (2.0, 1)


def test_missing_credentials_are_exit_4(
    dynamodb: DynamoServer, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(StateAccessError) as raised:
        opened(url, dynamodb).records.snapshot()
    assert raised.value.exit_code == 4
    with pytest.raises(StateAccessError, match="nobody"):
        opened(f"{url}&profile=nobody", dynamodb).records.snapshot()


def test_processes_that_write_at_once_lose_nothing_and_stay_within_a_budget(dynamodb: DynamoServer) -> None:
    def new_state() -> str:
        url = f"dynamodb://t{uuid4().hex[:12]}?region=us-east-1"
        opened(url, dynamodb).admin.create()
        return url

    url = new_state()
    opened(url, dynamodb).records.add([an_instance(ONE, metadata={})], lambda present: None)
    assert shared_changes(4, 8, url=url).violations == []
    assert shared_budgets(1, 5, 2, new_state=new_state).violations == []


@pytest.mark.parametrize("url", ["dynamodb://", "dynamodb://a/b", "dynamodb://table?regio=x", "dynamodb://t!t!t"])
def test_a_url_that_names_no_table_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        read_address(url)
