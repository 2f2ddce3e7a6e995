"""What PostgreSQL's failures mean for a state. Its own sentence is in every message."""

import re
import shlex

import psycopg

from gpuctl.errors import (
    GpuctlError,
    StateAccessError,
    StateFault,
    StateLockedError,
    StateUnreachableError,
    StateUnusableError,
)

LOST_RACE = frozenset({"40001", "40P01", "23505"})
# What CREATE TABLE and CREATE INDEX report while another process creates the same.
CREATED_MEANWHILE = LOST_RACE | {"42P07", "42710"}
NO_TABLE = frozenset({"42P01", "3F000"})
_CONNECTION_LOST = ("08", "57P0", "25P03")
_NO_SPACE = re.compile(r"too many (connections|clients)|remaining connection slots|connection limit", re.IGNORECASE)
_NO_ACCESS = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|role \".*\" (does not exist|is not permitted)"
    r"|permission denied|certificate",
    re.IGNORECASE,
)
_STARTING = re.compile(r"starting up|shutting down|in recovery mode|not yet accepting", re.IGNORECASE)
_NO_DATABASE = re.compile(r"database \".*\" does not exist", re.IGNORECASE)
_NO_TLS = re.compile(r"server does not support SSL", re.IGNORECASE)


def is_connection_lost(error: psycopg.Error) -> bool:
    """Whether the connection ended with that error, so that nobody knows what became of a commit."""
    state = error.sqlstate
    return isinstance(error, psycopg.OperationalError) and (state is None or state.startswith(_CONNECTION_LOST))


def connecting_failed(error: psycopg.Error, location: str, host: str) -> GpuctlError:
    """The failure to connect. The server's codes are not handed on then, so its sentence decides."""
    text = sentence(error)
    if _NO_TLS.search(text):
        return StateUnreachableError(
            f"`{host}` offers no TLS, and a state is not sent to another computer in plain text: {text}",
            hint="enable TLS on the server; to do without, set GPUCTL_STATE_PLAINTEXT=1 and add `sslmode=disable`",
        )
    if _NO_SPACE.search(text):
        return StateUnreachableError(
            f"`{host}` has no connection left for the state `{location}`: {text}", hint="run the command again"
        )
    if _NO_DATABASE.search(text):
        return StateUnusableError(
            f"the state `{location}` has no database: {text}",
            hint="createdb NAME, then: gpuctl state init",
            fault=StateFault.MISSING,
        )
    if _STARTING.search(text):
        return unreachable(location, host, text)
    if _NO_ACCESS.search(text):
        return StateAccessError(
            f"`{host}` refuses access to the state `{location}`: {text}",
            hint="check the user in the URL, and the password in PGPASSFILE or PGPASSWORD",
        )
    return unreachable(location, host, text)


def unreachable(location: str, host: str, text: str) -> StateUnreachableError:
    """The error for a server that does not answer."""
    return StateUnreachableError(
        f"the state `{location}` cannot be reached on `{host}`: {text}", hint="check the server, then run it again"
    )


def statement_failed(error: psycopg.Error, location: str, host: str) -> GpuctlError:
    """The failure of a statement on a connection that stands."""
    text, state = sentence(error), error.sqlstate or ""
    if is_connection_lost(error) or state.startswith("53"):
        return unreachable(location, host, text)
    if state.startswith(("28", "42501")):
        return StateAccessError(
            f"the state `{location}` refuses: {text}", hint="see which rights are needed: gpuctl state init --print"
        )
    # A standby refuses a serializable transaction before it looks at what that would write.
    if state == "25006" or "hot standby" in text:
        return StateUnusableError(
            f"the state `{location}` cannot be written on `{host}`, which is a read-only replica: {text}",
            hint="use the primary's URL, or add `target_session_attrs=read-write` to it",
        )
    if state == "55P03" or state in LOST_RACE:
        return StateLockedError(f"other processes kept the state `{location}` locked: {text}", hint="run it again")
    if state == "57014":
        return unreachable(location, host, text)
    return StateUnusableError(
        f"the state `{location}` could not be used: {text}", hint=f"gpuctl --state {shlex.quote(location)} state show"
    )


def sentence(error: psycopg.Error) -> str:
    """The server's or the library's own words, in one line."""
    words = error.diag.message_primary or str(error) or type(error).__name__
    return " ".join(words.split()).rstrip(".")
