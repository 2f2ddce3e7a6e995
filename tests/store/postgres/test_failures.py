"""What a server out of reach, full, read-only or closed to the user means for a state."""

import gc
import os
import shlex
import socket
from pathlib import Path

import psycopg
import pytest
from support.at_once import state_ids_of_simultaneous_inits
from support.clock import FakeClock
from support.instances import an_instance
from support.postgres import PostgresServer

from gpuctl.clock import SystemClock
from gpuctl.errors import (
    GpuctlError,
    StateAccessError,
    StateFault,
    StateLockedError,
    StateUnreachableError,
    StateUnusableError,
    UsageError,
)
from gpuctl.home.states import StatesOnEngines
from gpuctl.store.base import State
from gpuctl.store.kind import StateKind
from gpuctl.store.moves import refuse_incoming, refuse_moved
from gpuctl.store.opening import Surroundings
from gpuctl.store.postgres import open_state
from gpuctl.store.postgres.address import read_address
from gpuctl.store.postgres.connection import PostgresConnection
from gpuctl.store.postgres.errors import statement_failed
from gpuctl.store.postgres.limited import LimitedConnection
from gpuctl.store.postgres.schema import TABLES
from gpuctl.store.shared.header import not_initialized

ONE = "inst-000000000001"


def opened(url: str, known: Path | None = None, kind: StateKind = StateKind.REAL) -> State:
    surroundings = Surroundings(StatesOnEngines(known)) if known else Surroundings()
    return open_state(url, kind=kind, clock=FakeClock(), surroundings=surroundings)


def failure(state: State) -> GpuctlError:
    with pytest.raises(GpuctlError) as raised:
        state.records.add([an_instance(ONE)], lambda present: None)
    return raised.value


def test_a_connection_in_a_cycle_of_garbage_is_closed_without_a_warning(url: str, postgres: PostgresServer) -> None:
    others = "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = 'in-a-cycle'"
    connection = PostgresConnection(
        read_address(f"{url}&application_name=in-a-cycle", may_be_plain=False), SystemClock()
    )
    connection.query(("SELECT 1", ()))
    assert postgres.execute(url, others) == [(1,)]
    of_library = next(item for item in gc.get_referents(vars(connection)) if isinstance(item, psycopg.Connection))
    cycle: list[object] = [connection]
    del connection
    # It survives a collection that reaches the library's connection first, which is finalized first from then on.
    gc.collect()
    del of_library
    cycle.append(cycle)
    del cycle
    # The tests make an error of the library's warning.
    gc.collect()
    for _ in range(500):
        if postgres.execute(url, others) == [(0,)]:
            return
    pytest.fail("the connection is still open")


def test_without_initialization_every_call_names_it(url: str) -> None:
    state = opened(url)
    for call in (
        state.records.snapshot,
        state.admin.describe,
        lambda: state.records.update(ONE, lambda record: record),
    ):
        with pytest.raises(StateUnusableError, match="is not initialized") as raised:
            call()
        assert (raised.value.exit_code, raised.value.fault) == (9, StateFault.MISSING)
        assert "state init" in (raised.value.hint or "")
    assert state.records.state_id is None


def test_initializing_twice_is_harmless_and_the_id_stays(url: str) -> None:
    first, second = opened(url).admin.create(), opened(url).admin.create()
    assert first == second
    opened(url).records.add([an_instance(ONE)], lambda present: None)
    assert opened(url).admin.create().records == 1


def test_an_initialization_that_crashed_halfway_is_completed_by_the_next(postgres: PostgresServer, url: str) -> None:
    postgres.execute(url, TABLES[0])
    opened(url).admin.create()
    opened(url).records.add([an_instance(ONE)], lambda present: None)
    assert opened(url).admin.describe().records == 1


def test_several_initializations_at_once_make_one_state(postgres: PostgresServer) -> None:
    for _ in range(4):
        place = postgres.url(postgres.new_schema())
        assert len(state_ids_of_simultaneous_inits(4, lambda place=place: opened(place))) == 1  # type: ignore[misc]


def test_a_standby_that_cannot_serialize_says_that_it_is_a_replica() -> None:
    class NotOnStandby(psycopg.errors.FeatureNotSupported):
        sqlstate = "0A000"

    error = statement_failed(NotOnStandby("cannot use serializable mode in a hot standby"), "postgresql:///x", "db")
    assert (error.exit_code, error.retryable) == (9, False)
    assert "read-only replica" in error.message
    assert "target_session_attrs" in (error.hint or "")


def test_tables_that_an_administrator_made_are_enough(postgres: PostgresServer, url: str) -> None:
    script = opened(url).admin.script
    assert script is not None
    postgres.execute(url, script)
    assert opened(url).admin.create().state_id is not None


def test_a_newer_format_and_the_other_kind_are_refused(postgres: PostgresServer, url: str) -> None:
    opened(url).admin.create()
    with pytest.raises(StateUnusableError, match="belongs to real accounts"):
        opened(url, kind=StateKind.SANDBOX).records.snapshot()
    postgres.execute(url, "UPDATE gpuctl_state SET format = 2")
    assert "format 2" in failure(opened(url)).message
    postgres.execute(url, "ALTER TABLE gpuctl_state DROP COLUMN moved_to")
    error = failure(opened(url))
    assert isinstance(error, StateUnusableError)
    assert error.fault is StateFault.NEWER


def test_a_server_that_is_not_there_is_retryable_and_named(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        error = failure(opened(f"postgresql://ana:hunter22@127.0.0.1:{port}/gpuctl"))
    assert isinstance(error, StateUnreachableError)
    assert (error.exit_code, error.retryable) == (9, True)
    assert "127.0.0.1" in error.message
    assert "hunter22" not in f"{error.message} {error.hint}"


def test_a_server_that_does_not_answer_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[str] = []

    def silent(conninfo: str, **options: object) -> None:
        limits.append(str(psycopg.conninfo.conninfo_to_dict(conninfo)["connect_timeout"]))
        raise psycopg.errors.ConnectionTimeout("connection timeout expired")

    monkeypatch.setattr(LimitedConnection, "connect", silent)
    state = opened("postgresql://127.0.0.1/x")
    for _ in range(3):
        assert isinstance(failure(state), StateUnreachableError)
    assert limits == ["10", "2", "2"]


def test_out_of_connections_is_retryable(url: str, postgres: PostgresServer) -> None:
    opened(url).admin.create()
    name = f"limited_{os.getpid()}"
    postgres.execute(url, f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 0")
    error = failure(opened(url.replace("owner@", f"{name}@")))
    assert isinstance(error, StateUnreachableError)
    assert "connection" in error.message


def test_a_missing_right_and_an_unknown_user_are_exit_4(url: str, postgres: PostgresServer, schema: str) -> None:
    opened(url).admin.create()
    name = f"reader_{schema}"
    postgres.execute(url, f"CREATE ROLE {name} LOGIN", f"GRANT USAGE ON SCHEMA {schema} TO {name}")
    error = failure(opened(url.replace("owner@", f"{name}@")))
    assert isinstance(error, StateAccessError)
    assert (error.exit_code, error.code, error.retryable) == (4, "credentials", False)
    postgres.execute(url, f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {name}")
    reading = opened(url.replace("owner@", f"{name}@"))
    assert reading.records.snapshot().records == ()
    assert failure(reading).exit_code == 4
    assert failure(opened(url.replace("owner@", "nobody_at_all@"))).exit_code == 4


def test_a_replica_can_be_read_and_not_written(url: str, postgres: PostgresServer, schema: str) -> None:
    opened(url).admin.create()
    name = f"replica_{schema}"
    postgres.execute(
        url,
        f"CREATE ROLE {name} LOGIN SUPERUSER",
        f"ALTER ROLE {name} SET default_transaction_read_only = on",
    )
    replica = opened(url.replace("owner@", f"{name}@"))
    assert replica.records.snapshot().records == ()
    error = failure(replica)
    assert (error.exit_code, error.retryable) == (9, False)
    assert "read-only" in error.message


def test_a_record_that_cannot_be_read_is_an_error_of_the_state_for_a_move_too(
    url: str, postgres: PostgresServer
) -> None:
    state = opened(url)
    state.admin.create()
    state.records.add([an_instance(ONE)], lambda present: None)
    postgres.execute(url, "UPDATE gpuctl_instances SET body = '{}'")
    with pytest.raises(StateUnusableError, match=f"cannot be read, {ONE}") as raised:
        state.admin.content()
    assert raised.value.fault is StateFault.DAMAGED


def words(hint: str | None) -> list[str]:
    lexer = shlex.shlex(hint or "", posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return list(lexer)


def test_a_hint_can_be_pasted_into_a_shell() -> None:
    location = "postgresql://owner@/x?host=/run/postgresql&options=-cx%3D1"
    assert words(not_initialized(location).hint) == ["gpuctl", "--state", location, "state", "init"]
    with pytest.raises(StateUnusableError) as moved:
        refuse_moved(location, "x.json")
    assert words(moved.value.hint)[-1] == location
    with pytest.raises(StateUnusableError) as incoming:
        refuse_incoming("x.json", location)
    assert words(incoming.value.hint)[-1] == location


def test_a_state_that_was_lost_is_not_initialized_again(url: str, postgres: PostgresServer, tmp_path: Path) -> None:
    state = opened(url, tmp_path)
    state.admin.create()
    state_id = state.records.add([an_instance(ONE)], lambda present: None).state_id
    postgres.execute(url, "DROP TABLE gpuctl_state")
    with pytest.raises(StateUnusableError, match="is missing"):
        opened(url, tmp_path).admin.create()
    assert opened(url, tmp_path).records.state_id == state_id


def test_a_database_that_was_restored_counts_as_restored(url: str, postgres: PostgresServer, tmp_path: Path) -> None:
    state = opened(url, tmp_path)
    state.admin.create()
    state.records.add([an_instance(ONE)], lambda present: None)
    state.records.update(ONE, lambda record: record.with_fields(user="bob"))
    postgres.execute(url, "UPDATE gpuctl_state SET serial = serial - 1")
    assert opened(url, tmp_path).records.snapshot().is_restored
    opened(url, tmp_path).records.accept_restored()
    assert not opened(url, tmp_path).records.snapshot().is_restored


def test_another_state_in_the_same_place_is_refused(url: str, postgres: PostgresServer, tmp_path: Path) -> None:
    state = opened(url, tmp_path)
    state.admin.create()
    state.records.add([], lambda present: None)
    postgres.execute(url, "UPDATE gpuctl_state SET state_id = 'another-state'")
    error = failure(opened(url, tmp_path))
    assert isinstance(error, StateUnusableError)
    assert error.fault is StateFault.OTHER


def test_a_transaction_that_hangs_elsewhere_is_waited_for_only_as_long_as_allowed(url: str) -> None:
    import psycopg

    state = open_state(url, kind=StateKind.REAL, clock=SystemClock())
    state.admin.create()
    from datetime import timedelta

    state.records.wait_at_most(timedelta(seconds=1))
    with psycopg.connect(url) as other:
        other.execute("SELECT 1 FROM gpuctl_state FOR UPDATE")
        assert isinstance(failure(state), StateLockedError)


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("postgresql://ana:p%40ss@db.example:5433/gpuctl", "postgresql://ana@db.example:5433/gpuctl"),
        ("postgresql://db.example/gpuctl?password=secret&sslmode=verify-full", None),
        ("postgresql://ana@/gpuctl?host=/run/postgresql", "postgresql://ana@/gpuctl?host=/run/postgresql"),
        ("postgresql://a,b:1,2/x?target_session_attrs=read-write", None),
        ("postgresql://ana@[::1]:5432/x", "postgresql://ana@[::1]:5432/x"),
    ],
)
def test_the_location_has_no_secret_and_leads_to_the_same_place(url: str, location: str | None) -> None:
    address = read_address(url, may_be_plain=False)
    assert location in (None, address.location)
    again = read_address(address.location, may_be_plain=False)
    assert again.location == address.location
    hidden = {key: value for key, value in address.parameters.items() if key != "password"}
    assert again.parameters == hidden


@pytest.fixture
def no_libpq(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("no_libpq")
def test_a_remote_state_is_never_reached_in_plain_text_without_two_settings_that_allow_it() -> None:
    assert read_address("postgresql://db.example/x", may_be_plain=False).parameters["sslmode"] == "require"
    assert (
        read_address("postgresql://db.example/x?sslmode=prefer", may_be_plain=True).parameters["sslmode"] == "require"
    )
    assert "sslmode" not in read_address("postgresql://127.0.0.1/x", may_be_plain=False).parameters
    full = read_address("postgresql://db.example/x?sslmode=verify-full", may_be_plain=False)
    assert full.parameters["sslmode"] == "verify-full"
    with pytest.raises(UsageError, match="plain text"):
        read_address("postgresql://db.example/x?sslmode=disable", may_be_plain=False)
    allowed = read_address("postgresql://db.example/x?sslmode=disable", may_be_plain=True)
    assert (allowed.parameters["sslmode"], allowed.may_be_plain) == ("disable", True)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ana:se@cret@db.example/x",
        "postgresql://ana:secret@db.example/x?connect_timeout=cret",
    ],
)
def test_a_password_with_a_bare_at_sign_and_a_timeout_that_is_no_number_are_refused(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_address(url, may_be_plain=False)
    assert "cret" not in f"{refused.value.message} {refused.value.hint}"


def test_a_url_that_cannot_be_read_is_refused_without_quoting_it() -> None:
    with pytest.raises(UsageError) as raised:
        read_address("postgresql://ana:hunter22@[::1/x", may_be_plain=False)
    assert "hunter22" not in f"{raised.value.message} {raised.value.hint}"
