"""Opens the state of an invocation, with what its store needs of this computer."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gpuctl.clock import Clock
from gpuctl.errors import StateFault, StateUnusableError
from gpuctl.platform import ON_WINDOWS_DRIVE, Platform
from gpuctl.redaction import Redactor
from gpuctl.services.progress import Progress
from gpuctl.store.base import RecordStore, State
from gpuctl.store.kind import StateKind
from gpuctl.store.registry import FILE, open_store, scheme_of
from gpuctl.wiring.selection import YES


@dataclass(frozen=True, slots=True)
class StateOpener:
    """Opens states of one kind. The passwords in their URLs become known to `redactor`."""

    environ: Mapping[str, str]
    redactor: Redactor
    clock: Clock
    is_sandbox: bool

    def open(self, url: str, known: Path, new_state_id: str | None) -> State:
        """The state at that URL or absolute path. Neither reads nor writes it.

        `known` is the folder for what is remembered of states on engines.
        """
        kind = StateKind.SANDBOX if self.is_sandbox else StateKind.REAL
        if scheme_of(url) == FILE:
            return open_store(url, kind=kind, clock=self.clock, new_state_id=new_state_id)
        from gpuctl.home.states import StatesOnEngines
        from gpuctl.store.opening import Surroundings, secrets_of

        for secret in (*secrets_of(url), self.environ.get("PGPASSWORD")):
            self.redactor.add_password(secret)
        may_be_plain = self.environ.get("GPUCTL_STATE_PLAINTEXT", "").lower() in YES
        surroundings = Surroundings(StatesOnEngines(known), self.environ, may_be_plain)
        return open_store(url, kind=kind, clock=self.clock, new_state_id=new_state_id, surroundings=surroundings)


def check_place(url: str, platform: Platform, progress: Progress, *, is_named: bool) -> None:
    """Warn of a new state file on a drive of Windows, and raise StateUnusableError if nobody named that file."""
    is_new = os.path.isabs(url) and not os.path.exists(url)
    if not is_new or not platform.is_on_windows_drive(Path(url)):
        return
    if is_named:
        progress.warn(f"`{url}` is {ON_WINDOWS_DRIVE}; a file on the disk of WSL has both")
        return
    raise StateUnusableError(
        f"`{url}` would be {ON_WINDOWS_DRIVE}", hint="add `--state FILE` with a file on the disk of WSL, or set HOME"
    )


def refuse_missing(store: RecordStore, url: str) -> None:
    """Raise StateUnusableError if there is no state."""
    if store.snapshot().state_id is not None:
        return
    if scheme_of(url) == FILE:
        raise StateUnusableError(
            f"state file `{store.location}` does not exist",
            hint="check `--state`, or create it with: gpuctl provision",
        )
    raise StateUnusableError(
        f"there is no state at `{store.location}`: it is not initialized",
        hint=f"gpuctl --state {shlex.quote(store.location)} state init",
        fault=StateFault.MISSING,
    )


def note_computer(state: State, computer: str | None, progress: Progress) -> None:
    """Tell a store of files on which computer it is, so that it warns of a state that was copied."""
    if state.backups is not None:
        state.backups.runs_on(computer, lambda: _warn_of_copy(progress))


def _warn_of_copy(progress: Progress) -> None:
    progress.warn(
        "this state was written on another computer: if it is in use there too, the reapers of both respect each "
        "other's extensions; until all regions are swept, only deadlines that the tags confirm are enforced: "
        "gpuctl reap --sweep"
    )
