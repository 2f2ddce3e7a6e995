"""An `Engine` on PostgreSQL, or on a database that speaks its protocol and has its isolation."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg

from gpuctl.clock import Clock
from gpuctl.domain.instance import Instance
from gpuctl.errors import GpuctlError
from gpuctl.store.postgres import statements as sql
from gpuctl.store.postgres.connection import PostgresConnection, Rows, Statement
from gpuctl.store.postgres.errors import CREATED_MEANWHILE, LOST_RACE, NO_TABLE, statement_failed
from gpuctl.store.postgres.schema import NAMES, TABLES, script
from gpuctl.store.shared.engine import Contents, Document, DocumentKind, Fence, Header, Row, Write
from gpuctl.store.shared.header import no_longer_target, not_initialized
from gpuctl.store.shared.lost_reply import written

_PAGE = 1_000
# Each process that creates the same tables at the same time may make a statement fail once.
_CREATIONS = 20


class PostgresEngine:
    """A state in the tables of one schema. Making one connects to nothing."""

    largest_write = 5_000

    def __init__(self, connection: PostgresConnection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    @property
    def location(self) -> str:
        return self._connection.location

    @property
    def script(self) -> str:
        return script()

    def set_patience(self, span: timedelta) -> None:
        self._connection.patience = span

    def create(self, header: Header) -> None:
        if self.header() is not None:
            return
        self._create_tables()
        self._write(sql.insert_header(header), must_change=False)

    def replace_header(self, header: Header) -> None:
        self._create_tables()
        remove = [("DELETE FROM gpuctl_state", ()), ("DELETE FROM gpuctl_instances", ())]
        self._write([*remove, *sql.insert_header(header)], must_change=False)

    def header(self) -> Header | None:
        contents = self.fetch([])
        return contents.header if contents else None

    def load(self) -> Contents | None:
        return self._contents(("SELECT id, version, body FROM gpuctl_instances ORDER BY number", ()))

    def fetch(self, ids: Sequence[str]) -> Contents | None:
        return self._contents(
            ("SELECT id, version, body FROM gpuctl_instances WHERE id = ANY(%s) ORDER BY number", (list(ids),))
        )

    def commit(self, write: Write) -> bool:
        # A read in one transaction and its write in another: what makes both serializable is the condition on the
        # serial, which every write increments. The isolation level guards against everything else that may write.
        isolation = "READ COMMITTED" if write.serial is None else "SERIALIZABLE"
        return self._write(sql.write(write), isolation)

    def fill(self, records: Sequence[Instance] | None, archived: Sequence[Instance]) -> None:
        if not self._write(sql.fill(records, archived)):
            raise no_longer_target(self.location)

    def archived(self, since: datetime | None = None) -> Iterable[tuple[str, str]]:
        after: tuple[datetime, str] | None = None
        while True:
            rows = self._query(sql.page_of_archive(since, after, _PAGE))
            yield from ((key, body) for key, body, _ in rows)
            if len(rows) < _PAGE:
                return
            key, _, ended_at = rows[-1]
            after = (ended_at, key)

    def find_archived(self, text: str) -> Sequence[tuple[str, str]]:
        return [(key, body) for key, body in self._query(sql.find_in_archive(text))]

    def count_archived(self) -> int:
        return int(self._query(("SELECT count(*) FROM gpuctl_archive", ()))[0][0])

    def document(self, kind: DocumentKind, name: str) -> Document | None:
        rows = self._query((f"{sql.DOCUMENTS} WHERE kind = %s AND name = %s", (kind.value, name)))
        return _document(rows[0]) if rows else None

    def documents(self, kind: DocumentKind) -> Mapping[str, Document]:
        rows = self._query((f"{sql.DOCUMENTS} WHERE kind = %s ORDER BY name", (kind.value,)))
        return {row[0]: _document(row) for row in rows}

    def put_document(
        self,
        kind: DocumentKind,
        name: str,
        document: Document | None,
        expected: int | None,
        fence: Fence | None = None,
        *,
        counted: Write | None = None,
    ) -> bool:
        if kind is DocumentKind.REAPER:
            # Once for each run of the reaper.
            self._write([sql.FORGET_COMMITS], must_change=False)
        header = sql.write(counted) if counted else []
        return self._write([*header, *sql.put_document(kind, name, document, expected, fence)])

    def append_history(self, name: str, entries: Sequence[tuple[datetime, str, str]]) -> None:
        self._write([sql.append_history(name, entry) for entry in entries], must_change=False)

    def history(self, name: str, since: datetime) -> Iterable[str]:
        text = "SELECT body FROM gpuctl_history WHERE name = %s AND at >= %s ORDER BY at"
        return [body for (body,) in self._query((text, (name, since)))]

    def histories(self) -> Sequence[str]:
        return [name for (name,) in self._query(("SELECT DISTINCT name FROM gpuctl_history ORDER BY name", ()))]

    def forget_history(self, before: datetime) -> None:
        self._write([("DELETE FROM gpuctl_history WHERE at < %s", (before,))], must_change=False)

    def now(self) -> datetime:
        at: datetime = self._query(("SELECT clock_timestamp()", ()))[0][0]
        return at

    def _create_tables(self) -> None:
        # Not where all are there, because their user may not be allowed to create one.
        missing = "SELECT 1 FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NULL"
        if self._query((missing, (list(NAMES),))):
            for statement in TABLES:
                self._create_one(statement)

    def _create_one(self, statement: str) -> None:
        """IF NOT EXISTS sees nothing that another process is creating: it fails when that process commits."""
        for _ in range(_CREATIONS):
            try:
                self._connection.query((statement, ()))
            except psycopg.Error as error:
                failure = error
                if error.sqlstate not in CREATED_MEANWHILE:
                    break
            else:
                return
        raise self._translated(failure) from failure

    def _contents(self, records: Statement) -> Contents | None:
        begin = ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", ())
        try:
            _, headers, rows, _ = self._connection.query(begin, (sql.HEADER, ()), records, ("COMMIT", ()))
        except psycopg.Error as error:
            if error.sqlstate in NO_TABLE:
                return None
            if error.sqlstate == "42703":
                return self._newer(error)
            raise self._translated(error) from error
        if not headers:
            return None
        return Contents(sql.header_of(headers[0]), {key: Row(version, body) for key, version, body in rows})

    def _newer(self, error: psycopg.Error) -> Contents:
        """The header of a newer format, whose columns are others: only its number is of interest."""
        rows = self._query(("SELECT format, kind FROM gpuctl_state", ()))
        if not rows:
            raise self._translated(error) from error
        return Contents(sql.bare_header(*rows[0]), {})

    def _query(self, statement: Statement) -> Rows:
        try:
            return self._connection.query(statement)[0]
        except psycopg.Error as error:
            raise self._translated(error) from error

    def _write(
        self, statements: Sequence[Statement], isolation: str = "READ COMMITTED", *, must_change: bool = True
    ) -> bool:
        """Whether they were committed: all of them, or none where one changed no row and `must_change` is set."""

        def send(token: str) -> bool:
            try:
                with self._connection.transaction(isolation) as transaction:
                    rows = transaction.send(*statements, sql.note_commit(token))
                    if must_change and not all(rows):
                        transaction.refuse()
                        return False
                return True
            except psycopg.Error as error:
                if error.sqlstate in LOST_RACE:
                    return False
                raise self._translated(error) from error

        return written(
            send, self._was_committed, location=self.location, patience=self._connection.patience, clock=self._clock
        )

    def _was_committed(self, token: str) -> bool:
        """Whether the transaction with that token was committed. If it was not yet, it never will be."""
        try:
            # The side that inserts the token first wins; a transaction that is still under way is waited for.
            rows = self._connection.query(*sql.settle(token))[-1]
        except psycopg.Error as error:
            raise self._translated(error) from error
        return rows[0][0] is False

    def _translated(self, error: psycopg.Error) -> GpuctlError:
        if error.sqlstate in NO_TABLE:
            return not_initialized(self.location)
        return statement_failed(error, self.location, self._connection.address.host)


def _document(row: tuple[Any, ...]) -> Document:
    _, version, fence, body, read_at = row
    return Document(version, body, fence, read_at)
