"""The statements of a state in PostgreSQL. Each that writes returns a row if it changed one."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from gpuctl.domain.instance import Instance
from gpuctl.store.kind import StateKind
from gpuctl.store.postgres.connection import Statement
from gpuctl.store.shared.bodies import body_of, ended_at
from gpuctl.store.shared.engine import Document, DocumentKind, Fence, Header, Write

_COLUMNS = tuple(field.name for field in fields(Header))
_OPEN = "moved_to IS NULL AND incoming_from IS NULL AND state_id IS NOT NULL"

HEADER = f"SELECT {', '.join(_COLUMNS)} FROM gpuctl_state"
DOCUMENTS = "SELECT name, version, fence, body, clock_timestamp() FROM gpuctl_documents"
FORGET_COMMITS: Statement = ("DELETE FROM gpuctl_commits WHERE at < clock_timestamp() - interval '1 day'", ())


def header_of(row: tuple[Any, ...]) -> Header:
    """The header in a row of `HEADER`."""
    values = dict(zip(_COLUMNS, row, strict=True))
    return Header(**values | {"kind": StateKind(values["kind"])})


def bare_header(format_: int, kind: str) -> Header:
    """A header of which no more than that is known."""
    return Header(StateKind(kind), None, format=format_)


def insert_header(header: Header) -> list[Statement]:
    """Insert the header if there is none."""
    places = ", ".join("%s" for _ in _COLUMNS)
    text = (
        f"INSERT INTO gpuctl_state ({', '.join(_COLUMNS)}) VALUES ({places}) ON CONFLICT (one) DO NOTHING RETURNING 1"
    )
    return [(text, _values(header))]


def write(write: Write) -> list[Statement]:
    """The statements of that write; the header comes first, so that writers wait for each other nowhere else."""
    statements = [_header_of_write(write)]
    for key, (version, record) in write.change.items():
        if version is None:
            text = "INSERT INTO gpuctl_instances (id, version, body) VALUES (%s, 1, %s) ON CONFLICT (id) DO NOTHING"
            statements.append((f"{text} RETURNING 1", (key, body_of(record))))
        else:
            text = "UPDATE gpuctl_instances SET body = %s, version = version + 1 WHERE id = %s AND version = %s"
            statements.append((f"{text} RETURNING 1", (body_of(record), key, version)))
    for key, (version, record) in write.archive.items():
        statements.append(("DELETE FROM gpuctl_instances WHERE id = %s AND version = %s RETURNING 1", (key, version)))
        statements.append(_archive(record))
    if write.forget:
        statements.append(("DELETE FROM gpuctl_archive WHERE id = ANY(%s) RETURNING 1", (list(write.forget),)))
    return statements


def fill(records: Sequence[Instance] | None, archived: Sequence[Instance]) -> list[Statement]:
    """Put these into a state that is being filled; `records` replace all that are there, None leaves them."""
    statements: list[Statement] = [
        ("UPDATE gpuctl_state SET serial = serial + 1 WHERE incoming_from IS NOT NULL RETURNING 1", ())
    ]
    if records is not None:
        statements.append(("WITH gone AS (DELETE FROM gpuctl_instances) SELECT 1", ()))
        text = "INSERT INTO gpuctl_instances (id, version, body) VALUES (%s, 1, %s) RETURNING 1"
        statements += [(text, (record.id, body_of(record))) for record in records]
    return [*statements, *map(_archive, archived)]


def page_of_archive(since: datetime | None, after: tuple[datetime, str] | None, count: int) -> Statement:
    """ID, body and end of so many archived records that ended from `since` on, the latest first, from `after` on."""
    conditions: list[str] = ["true"]
    values: list[Any] = []
    if since is not None:
        conditions.append("ended_at >= %s")
        values.append(since)
    if after is not None:
        conditions.append("(ended_at, id) < (%s, %s)")
        values += after
    text = f"SELECT id, body, ended_at FROM gpuctl_archive WHERE {' AND '.join(conditions)}"
    return f"{text} ORDER BY ended_at DESC, id DESC LIMIT {count}", values


def find_in_archive(text: str) -> Statement:
    """ID and body of the archived records with that name, or whose ID begins so."""
    # A tilde sorts after everything that an ID may contain.
    query = "SELECT id, body FROM gpuctl_archive WHERE name = %s OR (id >= %s AND id < %s) ORDER BY id"
    return query, (text, text, f"{text}~")


def put_document(
    kind: DocumentKind, name: str, document: Document | None, expected: int | None, fence: Fence | None
) -> list[Statement]:
    """See `Engine.put_document`."""
    statements: list[Statement] = []
    if fence is not None:
        # Locked, so that nobody takes the lease until this is committed.
        text = "SELECT 1 FROM gpuctl_documents WHERE kind = %s AND name = %s AND fence = %s FOR SHARE"
        statements.append((text, (DocumentKind.LEASE.value, fence.name, fence.version)))
    if document is None:
        text = "DELETE FROM gpuctl_documents WHERE kind = %s AND name = %s AND version = %s RETURNING 1"
        return [*statements, (text, (kind.value, name, expected))]
    values: list[Any] = [document.version, document.fence, document.body, kind.value, name]
    if expected is None:
        text = "INSERT INTO gpuctl_documents (version, fence, body, kind, name) VALUES (%s, %s, %s, %s, %s)"
        return [*statements, (f"{text} ON CONFLICT (kind, name) DO NOTHING RETURNING 1", values)]
    text = "UPDATE gpuctl_documents SET version = %s, fence = %s, body = %s WHERE kind = %s AND name = %s"
    return [*statements, (f"{text} AND version = %s RETURNING 1", [*values, expected])]


def append_history(name: str, entry: tuple[datetime, str, str]) -> Statement:
    """Add that entry, unless it is there."""
    at, key, body = entry
    text = "INSERT INTO gpuctl_history (key, name, at, body) VALUES (%s, %s, %s, %s) ON CONFLICT (key) DO NOTHING"
    return text, (key, name, at, body)


def note_commit(token: str) -> Statement:
    """Note that the transaction with that token is committed. It fails where `settle` was first."""
    return "INSERT INTO gpuctl_commits (token, is_void) VALUES (%s, false) RETURNING 1", (token,)


def settle(token: str) -> list[Statement]:
    """Make that transaction void unless it is committed; the last row says whether it is void.

    While the transaction is under way, the statements fail: a server that hangs is not left with sessions that wait.
    """
    limit = "SET LOCAL lock_timeout = '4s'"
    text = "INSERT INTO gpuctl_commits (token, is_void) VALUES (%s, true) ON CONFLICT (token) DO NOTHING"
    return [(limit, ()), (text, (token,)), ("SELECT is_void FROM gpuctl_commits WHERE token = %s", (token,))]


def _header_of_write(write: Write) -> Statement:
    is_expected = " AND serial = %s" if write.serial is not None else ""
    expected = [write.serial] if write.serial is not None else []
    if write.header is None:
        return f"UPDATE gpuctl_state SET serial = serial + 1 WHERE {_OPEN}{is_expected} RETURNING 1", expected
    changed = ", ".join(f"{name} = %s" for name in _COLUMNS)
    values = _values(write.header)
    values[_COLUMNS.index("serial")] += 1
    return f"UPDATE gpuctl_state SET {changed} WHERE true{is_expected} RETURNING 1", [*values, *expected]


def _archive(record: Instance) -> Statement:
    text = (
        "INSERT INTO gpuctl_archive (id, name, ended_at, body) VALUES (%s, %s, %s, %s) ON CONFLICT (id) DO UPDATE "
        "SET name = excluded.name, ended_at = excluded.ended_at, body = excluded.body RETURNING 1"
    )
    return text, (record.id, record.name, ended_at(record), body_of(record))


def _values(header: Header) -> list[Any]:
    return [
        value.value if isinstance(value, StateKind) else value for value in (getattr(header, name) for name in _COLUMNS)
    ]
