"""The state in a file on your computer."""

from pathlib import Path
from typing import TYPE_CHECKING

from gpuctl.clock import Clock
from gpuctl.store.base import State
from gpuctl.store.kind import StateKind

if TYPE_CHECKING:
    from gpuctl.store.opening import Surroundings


def open_state(
    url: str,
    *,
    kind: StateKind,
    clock: Clock,
    new_state_id: str | None = None,
    surroundings: "Surroundings | None" = None,
) -> State:
    """The state in the file at that path."""
    from gpuctl.store.local.admin import LocalAdmin
    from gpuctl.store.local.cooldown import LocalCooldown
    from gpuctl.store.local.lease import LocalLeases
    from gpuctl.store.local.pools import LocalPools
    from gpuctl.store.local.reaper import LocalReaperMemory
    from gpuctl.store.local.store import LocalStore

    path = Path(url)
    records = LocalStore(path, kind=kind, clock=clock, new_state_id=new_state_id)
    leases = LocalLeases(path, clock)
    memory, pools = LocalReaperMemory(path, leases), LocalPools(records, path)
    admin = LocalAdmin(path, memory, pools, kind=kind, clock=clock, wanted_id=new_state_id)
    return State(records, memory, leases, LocalCooldown(path), pools, admin, backups=records)
