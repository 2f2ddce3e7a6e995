"""A server that hangs while the connection stands: it is waited for within limits, and its outcomes are settled."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from support.cli import Operator
from support.clock import FakeClock
from support.instances import an_instance
from support.postgres import PostgresServer
from support.postgres_proxy import CommitProxy, Loss

from gpuctl.errors import StateLockedError, StateUnreachableError
from gpuctl.store.base import State
from gpuctl.store.kind import StateKind
from gpuctl.store.postgres import connection, open_state
from gpuctl.store.postgres.address import read_address
from gpuctl.store.postgres.connection import PostgresConnection

ONE = "inst-000000000001"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("READ_WITHIN", "WRITE_MARGIN", "REPLY_AFTER_SILENCE"):
        monkeypatch.setattr(connection, name, timedelta(seconds=0.2))


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[CommitProxy]:
    proxy = CommitProxy(postgres.folder)
    yield proxy
    proxy.stop()


def through(proxy: CommitProxy, postgres: PostgresServer, url: str) -> str:
    return url.replace(str(postgres.folder), str(proxy.folder))


def an_impatient_state(url: str) -> State:
    state = open_state(url, kind=StateKind.REAL, clock=FakeClock())
    state.records.wait_at_most(timedelta(seconds=0.2))
    return state


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """That process hangs for the length of a block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_session_that_hangs_is_given_up_and_the_read_is_repeated_on_another(url: str) -> None:
    session = PostgresConnection(read_address(url, may_be_plain=False), FakeClock())
    pid = session.query(("SELECT pg_backend_pid()", ()))[0][0][0]
    with stopped(pid):
        assert session.query(("SELECT pg_backend_pid() <> %s", (pid,))) == [[(True,)]]


def test_a_commit_that_gets_no_reply_is_settled_and_done_once(
    url: str, postgres: PostgresServer, proxy: CommitProxy
) -> None:
    state = an_impatient_state(through(proxy, postgres, url))
    state.admin.create()
    state.records.add([an_instance(ONE, metadata={"count": "0"})], lambda present: None)
    proxy.lose(Loss.SILENCE)
    count = lambda record: record.with_fields(metadata={"count": str(int(record.metadata["count"]) + 1)})  # noqa: E731
    assert state.records.update(ONE, count).metadata == {"count": "1"}
    assert proxy.done == 1
    assert state.records.snapshot().records[0].metadata == {"count": "1"}


def test_a_server_that_swallows_everything_is_out_of_reach_and_may_be_tried_again(
    url: str, postgres: PostgresServer, proxy: CommitProxy
) -> None:
    state = an_impatient_state(through(proxy, postgres, url))
    state.admin.create()
    proxy.is_mute = True
    for call in (state.records.snapshot, lambda: state.records.add([an_instance(ONE)], lambda present: None)):
        with pytest.raises(StateUnreachableError, match=r"no reply for 0\.2 s") as raised:
            call()
        assert (raised.value.exit_code, raised.value.retryable) == (9, True)
    proxy.is_mute = False
    assert state.records.add([an_instance(ONE)], lambda present: None).serial == 1


def test_a_hanging_session_that_holds_a_lock_stops_others_only_as_long_as_they_allow(url: str) -> None:
    state = an_impatient_state(url)
    state.admin.create()
    with psycopg.connect(url) as other:
        other.execute("SELECT 1 FROM gpuctl_state FOR UPDATE")
        with stopped(other.info.backend_pid), pytest.raises(StateLockedError):
            state.records.add([an_instance(ONE)], lambda present: None)


def test_what_a_hanging_session_has_not_committed_yet_is_settled_within_limits(url: str) -> None:
    state = an_impatient_state(url)
    state.admin.create()
    with psycopg.connect(url) as other:
        # The transaction of a commit whose reply is awaited, as its process left it.
        other.execute("INSERT INTO gpuctl_commits (token, is_void) VALUES ('t', false)")
        with stopped(other.info.backend_pid):
            session = PostgresConnection(read_address(url, may_be_plain=False), FakeClock())
            from gpuctl.store.postgres.statements import settle

            with pytest.raises(StateUnreachableError, match="no reply"):
                session.query(*settle("t"))


def test_reap_terminates_by_tags_while_the_server_swallows_everything(
    operator: Operator, url: str, postgres: PostgresServer, proxy: CommitProxy
) -> None:
    operator.environ |= {"GPUCTL_STATE": through(proxy, postgres, url), "HOME": str(operator.folder)}
    assert operator.run("state", "init").code == 0
    operator.provision("--ttl", "30m")
    proxy.is_mute = True
    refused = operator.provision()
    assert (refused.code, refused.json["error"]["retryable"]) == (9, True)
    operator.later(minutes=50)
    reaped = operator.json("reap")
    assert (reaped.code, [action["action"] for action in reaped.json["actions"]]) == (9, ["terminate"])
    assert operator.active == []
    proxy.is_mute = False
    operator.later(minutes=2)
    assert operator.json("reap").code == 0
