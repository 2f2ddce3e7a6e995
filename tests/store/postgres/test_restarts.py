"""A server that restarts in the middle of a transaction, and a primary that is replaced by another host."""

import signal
from concurrent.futures import ThreadPoolExecutor

import psycopg
from support.instances import an_instance
from support.postgres import PostgresServer

from gpuctl.clock import SystemClock
from gpuctl.domain.instance import Instance
from gpuctl.store.base import State
from gpuctl.store.kind import StateKind
from gpuctl.store.postgres import open_state

ONE = "inst-000000000001"
_WAITING = "FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


def opened(url: str) -> State:
    return open_state(url, kind=StateKind.REAL, clock=SystemClock())


def incremented(record: Instance) -> Instance:
    return record.with_fields(metadata={"count": str(int(record.metadata.get("count", "0")) + 1)})


def test_a_restart_in_the_middle_of_a_transaction_does_a_write_once(url: str, postgres: PostgresServer) -> None:
    state = opened(url)
    state.admin.create()
    state.records.add([an_instance(ONE)], lambda present: None)
    with psycopg.connect(url) as other, ThreadPoolExecutor(1) as pool:
        other.execute("SELECT 1 FROM gpuctl_state FOR UPDATE")
        writing = pool.submit(state.records.update, ONE, incremented)
        for _ in range(1_000):
            if postgres.execute(url, f"SELECT 1 {_WAITING}"):
                break
            signal.sigtimedwait([], 0.005)
        # As a restart does: the session gets the reason, and then its connection ends.
        assert postgres.execute(url, f"SELECT pg_terminate_backend(pid) {_WAITING}") == [(True,)]
        other.rollback()
        assert writing.result().metadata == {"count": "1"}
    assert state.records.snapshot().records[0].metadata == {"count": "1"}


def test_sessions_that_end_between_a_read_and_its_write_cost_nothing(url: str, postgres: PostgresServer) -> None:
    state = opened(url)
    state.admin.create()
    state.records.add([an_instance(ONE)], lambda present: None)
    others = "WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
    ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity {others}"

    def interrupted(record: Instance) -> Instance:
        if not record.metadata:
            postgres.execute(url, ended)
        return incremented(record)

    assert state.records.update(ONE, interrupted).metadata == {"count": "1"}
    assert state.records.snapshot().records[0].metadata == {"count": "1"}


def test_a_primary_that_is_gone_is_replaced_by_the_next_host_of_the_url(url: str, postgres: PostgresServer) -> None:
    opened(url).admin.create()
    hosts = url.replace(f"host={postgres.folder}", f"host=/nonexistent,{postgres.folder}")
    state = opened(f"{hosts}&target_session_attrs=read-write")
    state.records.add([an_instance(ONE)], lambda present: None)
    assert [record.id for record in opened(url).records.snapshot().records] == [ONE]
