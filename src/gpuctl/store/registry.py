"""The table of stores: one row each, imported when it is first opened."""

import re
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from gpuctl.clock import Clock
from gpuctl.errors import UsageError
from gpuctl.store.base import State
from gpuctl.store.kind import StateKind


class Opener(Protocol):
    """What the package of each store provides as `open_state`. Neither reads nor writes the state."""

    def __call__(
        self, url: str, *, kind: StateKind, clock: Clock, new_state_id: str | None, surroundings: "Surroundings | None"
    ) -> State: ...


if TYPE_CHECKING:
    from gpuctl.store.dynamodb import open_state as open_dynamodb
    from gpuctl.store.local import open_state as open_local
    from gpuctl.store.opening import Surroundings
    from gpuctl.store.postgres import open_state as open_postgres

    # Each is imported by name below; this is where the type checker holds them to the protocol.
    _HELD: tuple[Opener, ...] = (open_local, open_postgres, open_dynamodb)

FILE = "file"
_MODULES = {
    FILE: "gpuctl.store.local",
    "postgresql": "gpuctl.store.postgres",
    "postgres": "gpuctl.store.postgres",
    "dynamodb": "gpuctl.store.dynamodb",
}
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.ASCII)


def scheme_of(url: str) -> str:
    """Which store keeps the state of that `--state`: the scheme of a URL; `file` for a path."""
    match = _SCHEME.match(url)
    return match[1] if match else FILE


def open_store(
    url: str,
    *,
    kind: StateKind,
    clock: Clock,
    new_state_id: str | None = None,
    surroundings: "Surroundings | None" = None,
) -> State:
    """The state at that path or URL, as its store keeps it. Neither reads nor writes it.

    `new_state_id` is the ID of a state that is created here; an existing state with another ID is refused.
    UsageError where no store has that scheme.
    """
    scheme = scheme_of(url)
    if scheme not in _MODULES:
        # The rest of the URL may contain a password.
        raise UsageError(
            f"no store for `{scheme}://`",
            hint="--state FILE, postgresql://HOST/DATABASE or dynamodb://TABLE?region=REGION",
        )
    opener: Opener = import_module(_MODULES[scheme]).open_state
    return opener(
        url.removeprefix(f"{FILE}://"), kind=kind, clock=clock, new_state_id=new_state_id, surroundings=surroundings
    )
