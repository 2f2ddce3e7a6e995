"""One connection to PostgreSQL: opened when it is needed, and again after it was lost."""

import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from threading import RLock
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from gpuctl.clock import Clock
from gpuctl.errors import StateUnreachableError
from gpuctl.store.postgres.address import Address, is_local
from gpuctl.store.postgres.errors import connecting_failed, is_connection_lost, statement_failed
from gpuctl.store.postgres.limited import LimitedConnection, NoReplyError
from gpuctl.store.shared.lost_reply import LostReplyError

_PATIENCE = timedelta(seconds=30)
# A process that hangs in the middle of a transaction keeps others waiting so long.
_LONGEST_IDLE = timedelta(seconds=10)
# A write may wait for other writers; the server itself says so first where that takes too long.
READ_WITHIN, WRITE_MARGIN = timedelta(seconds=10), timedelta(seconds=2)
# A server that did not answer is not waited for that long again: a reap without its state tries several times.
CONNECT_AFTER_SILENCE_S, REPLY_AFTER_SILENCE = 2, timedelta(seconds=5)

Statement = tuple[str, Sequence[Any]]
Rows = list[tuple[Any, ...]]


class PostgresConnection:
    """Sends statements; each call is one round trip. Making one connects to nothing.

    Threads take turns; a process that was forked opens a connection of its own.
    """

    def __init__(self, address: Address, clock: Clock) -> None:
        self.address = address
        self.patience = _PATIENCE
        self._clock = clock
        self._lock = RLock()
        self._connection: LimitedConnection | None = None
        self._pid = os.getpid()
        self._is_silent = False
        # A finalizer of its own: in a cycle of garbage the library's would run first, and warn of an open connection.
        self._closing: weakref.finalize[..., Any] | None = None

    @property
    def location(self) -> str:
        """Where it leads to, without secrets."""
        return self.address.location

    def query(self, *statements: Statement) -> list[Rows]:
        """The rows of each statement. Sent once more where the connection turns out to be lost: reads only.

        Raises what psycopg raises for a statement that the server refused.
        """
        with self._lock:
            is_last = self._is_silent
            while True:
                try:
                    return self._sent(self._open(READ_WITHIN), statements)
                except psycopg.OperationalError as error:
                    if not is_connection_lost(error):
                        raise
                    self._lost(error)
                    if is_last:
                        raise statement_failed(error, self.location, self.address.host) from error
                    is_last = True

    @contextmanager
    def transaction(self, isolation: str = "READ COMMITTED") -> Iterator["PostgresTransaction"]:
        """A transaction, committed at the end unless it was refused. LostReplyError where its outcome is unknown."""
        with self._lock:
            try:
                connection = self._open(self.patience + WRITE_MARGIN)
                transaction = PostgresTransaction(connection, isolation, connection.longest_silence - WRITE_MARGIN)
                yield transaction
                transaction.finish()
                self._is_silent = False
            except psycopg.OperationalError as error:
                if not is_connection_lost(error):
                    self._rollback()
                    raise
                self._lost(error)
                raise LostReplyError from error
            except psycopg.Error:
                self._rollback()
                raise
            except BaseException:
                # A signal may have come in the middle of a reply.
                self._drop()
                raise

    def _open(self, reply_within: timedelta) -> LimitedConnection:
        """The connection, which from now on waits that long for a reply, and less after one that did not come."""
        if self._connection is None or self._pid != os.getpid() or self._connection.closed:
            self._connection = self._connected()
        longest = min(reply_within, self.patience + WRITE_MARGIN)
        self._connection.longest_silence = min(longest, REPLY_AFTER_SILENCE) if self._is_silent else longest
        return self._connection

    def _connected(self) -> LimitedConnection:
        self._drop()
        self._pid = os.getpid()
        parameters: Mapping[str, str] = self.address.parameters
        longest = CONNECT_AFTER_SILENCE_S if self._is_silent else int(parameters.get("connect_timeout", "10"))
        limit = max(1, min(int(self.patience.total_seconds()), longest))
        try:
            conninfo = make_conninfo(**{**parameters, "connect_timeout": str(limit)})
            connection = LimitedConnection.connect(conninfo, autocommit=True, prepare_threshold=None)
        except psycopg.OperationalError as error:
            self._is_silent = isinstance(error, psycopg.errors.ConnectionTimeout)
            raise connecting_failed(error, self.location, self.address.host) from error
        self._refuse_plain(connection)
        self._closing = weakref.finalize(self, _close_in, self._pid, connection)
        return connection

    def _refuse_plain(self, connection: "psycopg.Connection[Any]") -> None:
        host = connection.info.hostaddr or connection.info.host
        if self.address.may_be_plain or connection.pgconn.ssl_in_use or is_local(host):
            return
        connection.close()
        raise StateUnreachableError(
            f"the connection to `{host}` for the state `{self.location}` would be in plain text",
            hint="add `sslmode=require`; to do without, set GPUCTL_STATE_PLAINTEXT=1 and add `sslmode=disable`",
        )

    def _sent(self, connection: "psycopg.Connection[Any]", statements: Sequence[Statement]) -> list[Rows]:
        try:
            rows = send(connection, statements)
        except psycopg.Error as error:
            if not is_connection_lost(error):
                self._rollback()
            raise
        except BaseException:
            self._drop()
            raise
        self._is_silent = False
        return rows

    def _lost(self, error: psycopg.OperationalError) -> None:
        self._is_silent = self._is_silent or isinstance(error, NoReplyError)
        self._drop()

    def _rollback(self) -> None:
        connection = self._connection
        if connection is None:
            return
        try:
            connection.execute("ROLLBACK")
        except psycopg.Error:
            self._drop()

    def _drop(self) -> None:
        self._connection = None
        if self._closing is not None:
            self._closing()


class PostgresTransaction:
    """The statements of one transaction. The first ones are sent together with its beginning."""

    def __init__(self, connection: "psycopg.Connection[Any]", isolation: str, patience: timedelta) -> None:
        self._connection = connection
        self._begin: list[Statement] = [
            (f"BEGIN ISOLATION LEVEL {isolation}", ()),
            (f"SET LOCAL lock_timeout = {_milliseconds(patience)}", ()),
            (f"SET LOCAL idle_in_transaction_session_timeout = {_milliseconds(_LONGEST_IDLE)}", ()),
        ]
        self._is_refused = False

    def send(self, *statements: Statement) -> list[Rows]:
        """The rows of each of these."""
        begin, self._begin = self._begin, []
        return send(self._connection, [*begin, *statements])[len(begin) :]

    def refuse(self) -> None:
        """Write nothing of it."""
        self._is_refused = True

    def finish(self) -> None:
        """Commit it, or roll it back where it was refused."""
        if not self._begin:
            send(self._connection, [("ROLLBACK" if self._is_refused else "COMMIT", ())])


def send(connection: "psycopg.Connection[Any]", statements: Sequence[Statement]) -> list[Rows]:
    """Send all of these in one message, and return the rows of each."""
    cursor = psycopg.ClientCursor(connection)
    texts = [cursor.mogrify(text, values) if values else text for text, values in statements]
    # Without arguments, so that the library looks for no placeholders in what is quoted already.
    cursor.execute(";\n".join(texts).encode())
    results: list[Rows] = []
    for _ in statements:
        results.append(cursor.fetchall() if cursor.description is not None else [])
        cursor.nextset()
    return results


def _close_in(pid: int, connection: "psycopg.Connection[Any]") -> None:
    """Close it, but not in a forked process: that would end the session of the process that opened it."""
    if pid == os.getpid():
        connection.close()


def _milliseconds(span: timedelta) -> int:
    return max(1, int(span.total_seconds() * 1000))
