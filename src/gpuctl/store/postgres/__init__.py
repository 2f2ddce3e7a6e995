"""The state in PostgreSQL."""

from gpuctl.clock import Clock
from gpuctl.store.base import State
from gpuctl.store.kind import StateKind
from gpuctl.store.opening import Surroundings, require_library


def open_state(
    url: str,
    *,
    kind: StateKind,
    clock: Clock,
    new_state_id: str | None = None,
    surroundings: Surroundings | None = None,
) -> State:
    """The state in the database of that URL. UsageError where the client library is not installed."""
    require_library("psycopg", extra="postgres", engine="PostgreSQL")
    from gpuctl.store.postgres.address import read_address
    from gpuctl.store.postgres.connection import PostgresConnection
    from gpuctl.store.postgres.engine import PostgresEngine
    from gpuctl.store.shared.state import shared_state

    around = surroundings or Surroundings()
    engine = PostgresEngine(PostgresConnection(read_address(url, may_be_plain=around.may_be_plain), clock), clock)
    return shared_state(engine, around.known, kind=kind, clock=clock, new_state_id=new_state_id)
