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
from gpuctl.store.shared.lost_reply import LostReplyError

_PATIENCE = timedelta(seconds=30)
# A process that hangs in the middle of a transaction keeps others waiting so long.
_LONGEST_IDLE = timedelta(seconds=10)
# A server that did not answer is not waited for that long again: a reap without its state connects several times.
_AFTER_SILENCE_S = 2

Statement = tuple[str, Sequence[Any]]
Rows = list[tuple[Any, ...]]


class Connection:
    """Sends statements; each call is one round trip. Making one connects to nothing.

    Threads take turns; a process that was forked opens a connection of its own.
    """

    def __init__(self, address: Address, clock: Clock) -> None:
        self.address = address
        self.patience = _PATIENCE
        self._clock = clock
        self._lock = RLock()
        self._connection: psycopg.Connection[Any] | None = None
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
            try:
                return self._sent(self._open(), statements)
            except psycopg.OperationalError as error:
                if not is_connection_lost(error):
                    raise
                self._drop()
            try:
                return self._sent(self._open(), statements)
            except psycopg.OperationalError as error:
                if not is_connection_lost(error):
                    raise
                self._drop()
                raise statement_failed(error, self.location, self.address.host) from error

    @contextmanager
    def transaction(self, isolation: str = "READ COMMITTED") -> Iterator["Transaction"]:
        """A transaction, committed at the end unless it was refused. LostReplyError where its outcome is unknown."""
        with self._lock:
            try:
                transaction = Transaction(self._open(), isolation, self.patience)
                yield transaction
                transaction.finish()
            except psycopg.OperationalError as error:
                if not is_connection_lost(error):
                    self._rollback()
                    raise
                self._drop()
                raise LostReplyError from error
            except psycopg.Error:
                self._rollback()
                raise
            except BaseException:
                # A signal may have come in the middle of a reply.
                self._drop()
                raise

    def _open(self) -> "psycopg.Connection[Any]":
        if self._connection is not None and self._pid == os.getpid() and not self._connection.closed:
            return self._connection
        self._drop()
        self._pid = os.getpid()
        parameters: Mapping[str, str] = self.address.parameters
        longest = _AFTER_SILENCE_S if self._is_silent else int(parameters.get("connect_timeout", "10"))
        limit = max(1, min(int(self.patience.total_seconds()), longest))
        try:
            conninfo = make_conninfo(**{**parameters, "connect_timeout": str(limit)})
            connection = psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)
        except psycopg.OperationalError as error:
            self._is_silent = isinstance(error, psycopg.errors.ConnectionTimeout)
            raise connecting_failed(error, self.location, self.address.host) from error
        self._is_silent = False
        self._refuse_plain(connection)
        self._connection = connection
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
            return send(connection, statements)
        except psycopg.Error as error:
            if not is_connection_lost(error):
                self._rollback()
            raise
        except BaseException:
            self._drop()
            raise

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


class Transaction:
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
