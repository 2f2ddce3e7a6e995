"""DynamoDB's own limits, as its service model documents them: pages, large items, batches, throttling, slow tables."""

from collections.abc import Callable
from datetime import timedelta
from random import Random
from types import SimpleNamespace
from typing import Any

import botocore.endpoint
import pytest
from support.at_once import state_ids_of_simultaneous_inits
from support.clock import FakeClock
from support.dynamodb import DynamoServer
from support.instances import NOON, a_ready_instance, an_instance

from gpuctl.domain.instance import Instance, Status
from gpuctl.errors import StateLockedError, StateUnreachableError, StateUnusableError
from gpuctl.store.base import State
from gpuctl.store.dynamodb import open_state
from gpuctl.store.kind import StateKind
from gpuctl.store.opening import Surroundings

ONE = "inst-000000000001"
THROTTLED = ("ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded")


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's pauses between its sends take no time."""
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda seconds: None))


def opened(url: str, server: DynamoServer, clock: FakeClock | None = None) -> State:
    around = Surroundings(environ=server.environ)
    return open_state(url, kind=StateKind.REAL, clock=clock or FakeClock(), surroundings=around)


def initialized(url: str, server: DynamoServer, *records: Instance) -> State:
    state = opened(url, server)
    state.admin.create()
    for first in range(0, len(records), 40):
        state.records.add(records[first : first + 40], lambda present: None)
    server.operations.clear()
    return state


def incremented(record: Instance) -> Instance:
    return record.with_fields(metadata={"count": str(int(record.metadata.get("count", "0")) + 1)})


def ended(number: int, metadata: dict[str, str]) -> Instance:
    record = a_ready_instance(f"inst-{number:012}", status=Status.TERMINATED, terminated_at=NOON)
    return record.with_fields(metadata=metadata)


def test_records_and_archive_of_more_than_a_page_are_whole(dynamodb: DynamoServer, url: str) -> None:
    # Random, so that each takes 45 kB although it is compressed.
    records = [ended(number, {"note": Random(number).randbytes(45_000).hex()}) for number in range(24)]
    state = initialized(url, dynamodb, *records)
    assert state.records.snapshot().records == tuple(records)
    assert dynamodb.operations.count("Query") == 2
    assert state.records.archive(NOON + timedelta(hours=1)) == 24
    dynamodb.operations.clear()
    assert {record.id for record in state.records.archived()} == {record.id for record in records}
    assert dynamodb.operations.count("Query") > 3


def test_a_record_with_a_very_long_history_is_written_read_and_archived(dynamodb: DynamoServer, url: str) -> None:
    long = {f"event {number}": f"2026-11-29T12:00:{number % 60}Z READY extended by ana" for number in range(12_000)}
    state = initialized(url, dynamodb, ended(1, {}))
    state.records.update("inst-000000000001", lambda record: record.with_fields(metadata=long))
    assert state.records.snapshot().records[0].metadata == long
    assert state.records.archive(NOON + timedelta(hours=1)) == 1
    assert [record.metadata for record in state.records.archived()] == [long]


def test_a_record_above_the_limit_of_an_item_is_refused_in_the_words_of_the_service(
    dynamodb: DynamoServer, url: str
) -> None:
    state = initialized(url, dynamodb, an_instance(ONE))
    random = {str(number): Random(number).randbytes(32).hex() for number in range(20_000)}
    with pytest.raises(StateUnusableError, match="maximum allowed size") as raised:
        state.records.update(ONE, lambda record: record.with_fields(metadata=random))
    assert not raised.value.retryable
    assert state.records.snapshot().records == (an_instance(ONE),)


@pytest.mark.parametrize("code", THROTTLED)
def test_requests_that_are_throttled_are_sent_again_and_then_reported_as_retryable(
    dynamodb: DynamoServer, url: str, code: str
) -> None:
    state = initialized(url, dynamodb, an_instance(ONE))
    left: list[int] = []
    dynamodb.refuse = lambda operation: (code, False) if left and left.pop() else None
    calls: tuple[Callable[[], object], ...] = (
        state.records.snapshot,
        lambda: state.records.update(ONE, incremented),
    )
    for call in calls:
        left[:] = [1, 1]
        call()
        assert left == []
        left[:] = [1] * 60
        with pytest.raises(StateUnreachableError, match=code) as raised:
            call()
        assert (raised.value.exit_code, raised.value.retryable) == (9, True)
        left.clear()
    assert state.records.snapshot().records[0].metadata == {"count": "1"}


def test_a_write_that_is_throttled_after_its_reply_was_lost_is_done_once(dynamodb: DynamoServer, url: str) -> None:
    state = initialized(url, dynamodb, an_instance(ONE))
    sends: list[str] = []

    def lose(operation: str) -> bool:
        return operation == "TransactWriteItems" and len(sends) == 1

    def refuse(operation: str) -> tuple[str, bool] | None:
        if operation != "TransactWriteItems":
            return None
        sends.append(operation)
        return ("ThrottlingException", False) if len(sends) in (2, 3) else None

    dynamodb.lose, dynamodb.refuse = lose, refuse
    assert state.records.update(ONE, incremented).metadata == {"count": "1"}
    assert len(sends) == 3
    assert state.records.snapshot().records[0].metadata == {"count": "1"}


def test_a_transaction_that_is_canceled_for_throughput_is_sent_again_for_a_while(
    dynamodb: DynamoServer, url: str
) -> None:
    state = initialized(url, dynamodb, an_instance(ONE))
    left = [1, 1, 1]

    def answer(operation: str, arguments: Any) -> tuple[str, Any] | None:
        if operation != "TransactWriteItems" or not left or not left.pop():
            return None
        reasons = [{"Code": "None"} for _ in arguments["TransactItems"]]
        reasons[0] = {"Code": "ThrottlingError", "Message": "Throughput exceeds the current capacity of your table"}
        document = {"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"}
        return "400 Bad Request", {**document, "Message": "canceled", "CancellationReasons": reasons}

    dynamodb.answer = answer
    assert state.records.update(ONE, incremented).metadata == {"count": "1"}
    left[:] = [1] * 1_000
    state.records.wait_at_most(timedelta(seconds=0.1))
    with pytest.raises(StateLockedError) as raised:
        state.records.update(ONE, incremented)
    assert raised.value.retryable


def unprocessed(times: int) -> Callable[[str, Any], tuple[str, Any] | None]:
    """A batch of which nothing is done so often."""
    left = [times]

    def answer(operation: str, arguments: Any) -> tuple[str, Any] | None:
        if operation != "BatchWriteItem" or not left[0]:
            return None
        left[0] -= 1
        return "200 OK", {"UnprocessedItems": arguments["RequestItems"]}

    return answer


def test_items_of_a_batch_that_were_not_processed_are_sent_again(dynamodb: DynamoServer, url: str) -> None:
    state = initialized(url, dynamodb, ended(1, {}))
    state.records.archive(NOON + timedelta(hours=1))
    kept: list[Instance] = []
    dynamodb.answer = unprocessed(3)
    assert state.records.hand_over(NOON + timedelta(hours=1), kept.extend) == 1
    assert list(state.records.archived()) == []


def test_a_batch_that_is_never_processed_is_given_up_and_can_be_repeated(dynamodb: DynamoServer, url: str) -> None:
    state = initialized(url, dynamodb, ended(1, {}))
    state.records.archive(NOON + timedelta(hours=1))
    kept: list[Instance] = []
    dynamodb.answer = unprocessed(10_000)
    with pytest.raises(StateUnreachableError, match="throttled: 2 items were not written") as raised:
        state.records.hand_over(NOON + timedelta(hours=1), kept.extend)
    assert raised.value.retryable
    dynamodb.forget_faults()
    assert state.records.hand_over(NOON + timedelta(hours=1), kept.extend) == 1
    assert {record.id for record in kept} == {ONE}


def test_several_initializations_at_once_make_one_state(dynamodb: DynamoServer, url: str) -> None:
    assert len(state_ids_of_simultaneous_inits(3, lambda: opened(url, dynamodb))) == 1


def test_a_table_that_another_process_is_creating_is_waited_for(dynamodb: DynamoServer, url: str) -> None:
    first = initialized(url, dynamodb).admin.describe()
    left = [3]

    def answer(operation: str, arguments: Any) -> tuple[str, Any] | None:
        if operation == "DescribeTable" and left[0]:
            left[0] -= 1
            return "200 OK", {"Table": {"TableStatus": "CREATING"}}
        codes = {"GetItem": "ResourceNotFoundException", "CreateTable": "ResourceInUseException"}
        if not left[0] or operation not in codes:
            return None
        return "400 Bad Request", {"__type": f"com.amazonaws.dynamodb.v20120810#{codes[operation]}"}

    dynamodb.answer = answer
    assert opened(url, dynamodb).admin.create() == first
    left[0] = 10_000
    with pytest.raises(StateUnreachableError, match="its status is CREATING"):
        opened(url, dynamodb).admin.create()
