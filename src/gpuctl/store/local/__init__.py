"""The state in a file on your computer."""

from pathlib import Path

from gpuctl.clock import Clock
from gpuctl.store.base import State, StateKind


def open_state(url: str, *, kind: StateKind, clock: Clock, new_state_id: str | None = None) -> State:
    """The state in the file at that path."""
    from gpuctl.store.local.cooldown import LocalCooldown
    from gpuctl.store.local.lease import LocalLeases
    from gpuctl.store.local.pools import LocalPools
    from gpuctl.store.local.reaper import LocalReaperMemory
    from gpuctl.store.local.store import LocalStore

    path = Path(url)
    records = LocalStore(path, kind=kind, clock=clock, new_state_id=new_state_id)
    leases = LocalLeases(path, clock)
    memory, pools = LocalReaperMemory(path, leases), LocalPools(records, path)
    return State(records, memory, leases, LocalCooldown(path), pools, backups=records)
