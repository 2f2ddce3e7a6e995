"""Everything that a store keeps of a state, on one engine."""

from gpuctl.clock import Clock
from gpuctl.store.base import State
from gpuctl.store.kind import StateKind
from gpuctl.store.known_states import KnownStates
from gpuctl.store.shared.admin import SharedAdmin
from gpuctl.store.shared.cooldown import SharedCooldown
from gpuctl.store.shared.engine import Engine
from gpuctl.store.shared.leases import SharedLeases, SharedReaperMemory
from gpuctl.store.shared.pools import SharedPools
from gpuctl.store.shared.records import SharedRecords


def shared_state(
    engine: Engine, known: KnownStates, *, kind: StateKind, clock: Clock, new_state_id: str | None
) -> State:
    """The state on that engine. Connects to nothing."""
    records = SharedRecords(engine, known, kind=kind, clock=clock, new_state_id=new_state_id)
    memory = SharedReaperMemory(engine, lambda: engine.location)
    pools = SharedPools(engine, records)
    admin = SharedAdmin(engine, known, memory, pools, kind=kind, wanted_id=new_state_id)
    return State(records, memory, SharedLeases(engine, clock), SharedCooldown(engine), pools, admin)
