"""A state in PostgreSQL keeps the promises of every store."""

from datetime import timedelta
from pathlib import Path

import pytest
from contracts.cooldown import CooldownContract
from contracts.leases import LeaseContract
from contracts.pools import MovablePoolStoreContract
from contracts.reaper_memory import ReaperMemoryContract
from contracts.records import RecordStoreContract
from support.clock import FakeClock
from support.postgres import PostgresServer

from gpuctl.home.states import StatesOnEngines
from gpuctl.store.base import RecordStore, State, StateKind
from gpuctl.store.cooldown import Cooldown
from gpuctl.store.lease import Leases
from gpuctl.store.opening import Surroundings
from gpuctl.store.postgres import open_state
from gpuctl.store.postgres.schema import TABLES


class EngineClock(FakeClock):
    """A clock that the engine follows."""

    def __init__(self, postgres: PostgresServer) -> None:
        super().__init__()
        self._postgres, self.schema = postgres, postgres.new_schema()
        self._tell()

    def move(self, span: timedelta) -> None:
        super().move(span)
        self._tell()

    def _tell(self) -> None:
        # Found before the server's own function by the search path of the contract's connections.
        body = f"SELECT timestamptz '{self.now().isoformat()}'"
        name = f"{self.schema}.clock_timestamp()"
        returns = "RETURNS timestamptz LANGUAGE sql"
        self._postgres.execute(self._postgres.url(), f"CREATE OR REPLACE FUNCTION {name} {returns} AS $$ {body} $$")


class _OnPostgres:
    @pytest.fixture(autouse=True)
    def _prepared(self, postgres: PostgresServer, schema: str, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.postgres, self.schema, self.url = postgres, schema, postgres.url(schema)
        self.known = StatesOnEngines(tmp_path_factory.mktemp("home"))
        postgres.execute(self.url, *TABLES)
        columns = "format, kind, serial, is_claimed, is_restored"
        postgres.execute(self.url, f"INSERT INTO gpuctl_state ({columns}) VALUES (1, 'real', 0, false, false)")

    @pytest.fixture
    def clock(self, _prepared: None) -> FakeClock:
        return EngineClock(self.postgres)

    def open_state(self, clock: FakeClock, kind: StateKind = StateKind.REAL) -> State:
        url = self.url
        if isinstance(clock, EngineClock):
            url = self.postgres.url(clock.schema, "pg_catalog", self.schema)
        return open_state(url, kind=kind, clock=clock, surroundings=Surroundings(known=self.known))


class TestPostgresRecords(_OnPostgres, RecordStoreContract):
    def open(self, folder: Path, kind: StateKind = StateKind.REAL) -> RecordStore:
        return self.open_state(FakeClock(), kind).records

    def lose(self, folder: Path) -> None:
        self.postgres.execute(self.url, "DELETE FROM gpuctl_state")


class TestPostgresLeases(_OnPostgres, LeaseContract):
    def open(self, place: Path, clock: FakeClock) -> Leases:
        return self.open_state(clock).leases


class TestPostgresReaperMemory(_OnPostgres, ReaperMemoryContract):
    def open(self, place: Path, clock: FakeClock) -> State:
        return self.open_state(clock)


class TestPostgresPools(_OnPostgres, MovablePoolStoreContract):
    def open(self, place: Path) -> State:
        return self.open_state(FakeClock())


class TestPostgresCooldown(_OnPostgres, CooldownContract):
    def open(self, place: Path) -> Cooldown:
        return self.open_state(FakeClock()).cooldown
