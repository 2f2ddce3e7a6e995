"""What a state that was moved, or is being filled by a move, refuses."""

import shlex

from gpuctl.errors import StateFault, StateLockedError, StateUnusableError


def refuse_moved(moved_to: str | None, location: str) -> None:
    """Raise StateUnusableError where the state was moved away."""
    if moved_to is not None:
        raise StateUnusableError(
            f"the state `{location}` was moved to `{moved_to}`",
            hint=f"use it there: --state {shlex.quote(moved_to)}",
            fault=StateFault.MOVED,
        )


def refuse_incoming(incoming_from: str | None, location: str) -> None:
    """Raise StateUnusableError where a move into the state has not finished."""
    if incoming_from is not None:
        raise StateUnusableError(
            f"the state `{location}` is being filled from `{incoming_from}`, and that has not finished",
            hint=f"gpuctl --state {shlex.quote(incoming_from)} state move --to {shlex.quote(location)}",
            fault=StateFault.OTHER,
        )


def changed_meanwhile(location: str) -> StateLockedError:
    """The error of a move whose target was written by others."""
    return StateLockedError(f"other processes wrote to `{location}` during the move", hint="run the command again")
