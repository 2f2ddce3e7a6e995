"""Checks that a state file is the expected one and is intact."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpuctl.errors import StateFault, StateUnusableError
from gpuctl.files import disk_hint
from gpuctl.store.kind import StateKind
from gpuctl.store.local import backups
from gpuctl.store.local.format import FileHeader, Tables, UnreadableState, decode


def verified(path: Path, raw: bytes, kind: StateKind, ids: dict[str, str | None]) -> tuple[FileHeader, Tables]:
    """The content of the state file. `ids` maps the source of each ID that the state must have to that ID, if any.

    Unreadable where the bytes are no state, StateUnusableError where it is another one than is meant.
    """
    header, tables = decode(raw)
    refuse_other_kind(header, kind, str(path))
    for source, state_id in ids.items():
        if state_id and state_id != header.state_id:
            raise StateUnusableError(
                f"the state `{path}` has the id `{header.state_id}`, and {source} says `{state_id}`",
                hint="use another `--state`, or correct the ID",
                fault=StateFault.OTHER,
            )
    return header, tables


def refuse_other_kind(header: FileHeader, kind: StateKind, name: str) -> None:
    """Raise StateUnusableError where the sandbox's records would mix with real ones."""
    if header.kind is not kind:
        is_sandbox = header.kind is StateKind.SANDBOX
        owner = "the sandbox" if is_sandbox else "real accounts"
        raise StateUnusableError(
            f"the state `{name}` belongs to {owner}",
            hint="add `--sandbox`" if is_sandbox else "leave out `--sandbox`",
            fault=StateFault.OTHER,
        )


def unusable(path: Path, reason: str, fault: StateFault) -> StateUnusableError:
    """The error for a state that is missing or damaged, with its newest backups."""
    newest = backups.list_backups(path)[:3]
    named = f"; the newest backups: {', '.join(map(str, newest))}" if newest else "; there is no backup"
    command = "install a newer gpuctl" if fault is StateFault.NEWER else "gpuctl recover"
    return StateUnusableError(
        f"the state `{path}` {reason}; the file was not changed", hint=f"{command}{named}", fault=fault
    )


@contextmanager
def translated(path: Path, done: str) -> Iterator[None]:
    """Turn what the disk and the content of the state raise into StateUnusableError. `done` is what was being done."""
    try:
        yield
    except UnreadableState as error:
        raise unusable(path, str(error), error.fault) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise StateUnusableError(
            f"the state `{path}` could not be {done}: {reason}", hint=disk_hint(error, path.parent, path)
        ) from error
