"""Whether a state on an engine may be used, and the errors that say why it may not."""

import shlex

from gpuctl.errors import StateFault, StateUnusableError
from gpuctl.store.kind import StateKind
from gpuctl.store.moves import refuse_incoming
from gpuctl.store.shared.engine import FORMAT, Header


def refuse_unusable(header: Header, location: str, kind: StateKind, ids: dict[str, str | None]) -> None:
    """Raise StateUnusableError where the state cannot be used by this gpuctl.

    `ids` maps the source of each ID that the state must have to that ID, if any.
    """
    if header.format > FORMAT:
        raise StateUnusableError(
            f"the state `{location}` has format {header.format}; this gpuctl reads format {FORMAT}",
            hint="install a newer gpuctl",
            fault=StateFault.NEWER,
        )
    if header.kind is not kind:
        is_sandbox = header.kind is StateKind.SANDBOX
        raise StateUnusableError(
            f"the state `{location}` belongs to {'the sandbox' if is_sandbox else 'real accounts'}",
            hint="add `--sandbox`" if is_sandbox else "leave out `--sandbox`",
            fault=StateFault.OTHER,
        )
    refuse_incoming(header.incoming_from, location)
    for source, state_id in ids.items():
        if state_id and header.state_id and state_id != header.state_id:
            raise StateUnusableError(
                f"the state `{location}` has the id `{header.state_id}`, and {source} says `{state_id}`",
                hint="use another `--state`, or correct the ID",
                fault=StateFault.OTHER,
            )


def not_initialized(location: str) -> StateUnusableError:
    """The error for an engine on which no state was ever made, as far as this computer knows."""
    return StateUnusableError(
        f"there is no state at `{location}`: it is not initialized",
        hint=f"gpuctl --state {shlex.quote(location)} state init",
        fault=StateFault.MISSING,
    )


def no_longer_target(location: str) -> StateUnusableError:
    """The error of a move whose target is in use, or is filled from elsewhere, by now."""
    return StateUnusableError(
        f"the state `{location}` is no longer the target of this move: nothing was copied",
        hint=f"gpuctl --state {shlex.quote(location)} state show",
    )


def lost(location: str, state_id: str) -> StateUnusableError:
    """The error for a state that was there before."""
    return StateUnusableError(
        f"the state `{state_id}` at `{location}` is missing",
        hint="restore the database from its backup, or rebuild the state: gpuctl recover",
        fault=StateFault.MISSING,
    )
