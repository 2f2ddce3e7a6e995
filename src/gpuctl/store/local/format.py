"""The state file's form: a TinyDB document with a header, and a checksum over every byte of it."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gpuctl.errors import StateFault
from gpuctl.store.kind import StateKind
from gpuctl.store.state_id import is_state_id

FORMAT = 1
MOST_COMPUTERS = 100
HEADER_TABLE = "_gpuctl"
TABLE = "instances"

_CHECKSUM = re.compile(rb'"checksum":"([0-9a-f]{64})"')
_BLANK = b"0" * 64

Tables = dict[str, dict[str, Any]]


class UnreadableState(Exception):
    """The bytes are no state of ours that this gpuctl can read; the text completes `the state PATH ...`."""

    def __init__(self, reason: str, fault: StateFault = StateFault.DAMAGED) -> None:
        super().__init__(reason)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class FileHeader:
    """The header of the state file. `is_restored`: an older state was restored, and providers know more than it does.

    `computers` are the IDs of those on which it was written, the newest last. `moved_to` is where the state went,
    `incoming_from` where a move that has not finished reads.
    """

    state_id: str
    kind: StateKind
    serial: int
    is_restored: bool = False
    computers: tuple[str, ...] = ()
    moved_to: str | None = None
    incoming_from: str | None = None

    def written_on(self, computer: str | None) -> "FileHeader":
        """The header that a write on that computer makes; None where the computer has no ID."""
        if computer is None or computer in self.computers:
            return self
        return replace(self, computers=(*self.computers, computer)[-MOST_COMPUTERS:])


def encode(header: FileHeader, tables: Mapping[str, Any]) -> bytes:
    """The file's bytes for these tables."""
    head = {
        "format": FORMAT,
        "kind": header.kind,
        "stateId": header.state_id,
        "serial": header.serial,
        "restored": header.is_restored,
        "computers": list(header.computers),
        **({"movedTo": header.moved_to} if header.moved_to else {}),
        **({"incomingFrom": header.incoming_from} if header.incoming_from else {}),
        "checksum": _BLANK.decode(),
    }
    document = {HEADER_TABLE: {"1": head}, **{name: table for name, table in tables.items() if name != HEADER_TABLE}}
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    return text.replace(_BLANK, _digest(text), 1)


def decode(raw: bytes) -> tuple[FileHeader, Tables]:
    """The header and the tables in these bytes. Unreadable, saying why, for anything that is not exactly a state."""
    if not raw.strip():
        raise UnreadableState("is empty")
    try:
        document = json.loads(raw)
    except ValueError:
        raise UnreadableState("is damaged: it is not complete JSON") from None
    except RecursionError:
        raise UnreadableState("is damaged: it is nested too deeply") from None
    head = _head(document)
    if isinstance(head.get("format"), int) and head["format"] > FORMAT:
        raise UnreadableState(
            f"has format {head['format']}; this gpuctl reads format {FORMAT}: it needs a newer gpuctl", StateFault.NEWER
        )
    match = _CHECKSUM.search(raw)
    if match is None or _digest(raw[: match.start(1)] + _BLANK + raw[match.end(1) :]) != match.group(1):
        raise UnreadableState("is damaged or was altered: its checksum does not match")
    return _checked(head), {name: table for name, table in document.items() if name != HEADER_TABLE}


def _head(document: Any) -> Mapping[str, Any]:
    table = document.get(HEADER_TABLE) if isinstance(document, dict) else None
    head = table.get("1") if isinstance(table, dict) else None
    if not isinstance(head, dict):
        raise UnreadableState("was not written by gpuctl")
    return head


def _checked(head: Mapping[str, Any]) -> FileHeader:
    # Only a gpuctl with a bug could have written a wrong header under a right checksum.
    try:
        computers = tuple(str(computer) for computer in head.get("computers", ()))
        header = FileHeader(
            str(head["stateId"]),
            StateKind(head["kind"]),
            int(head["serial"]),
            head.get("restored") is True,
            computers,
            head.get("movedTo"),
            head.get("incomingFrom"),
        )
    except (KeyError, ValueError, TypeError):
        raise UnreadableState("has a header that cannot be read") from None
    if not is_state_id(header.state_id):
        raise UnreadableState("has a header that cannot be read")
    return header


def _digest(blanked: bytes) -> bytes:
    return hashlib.sha256(blanked).hexdigest().encode()
