"""Gate G10: reapers that share one lease on PostgreSQL, and stall for any time between any two of their steps."""

import random
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from faults.teams import place_with_clock
from faults.world import Score, broken
from support.clock import FileClock

from gpuctl.store.base import State
from gpuctl.store.kind import StateKind
from gpuctl.store.lease import Lease, LeaseName
from gpuctl.store.opening import Surroundings
from gpuctl.store.registry import open_store

DURATION = timedelta(minutes=5)
STALLS = [timedelta(seconds=seconds) for seconds in (0, 0, 1, 60, 299, 301, 600)]


def stalled_reapers(steps: int, mutants: Sequence[str] = (), seed: int = 1, reapers: int = 4) -> Score:
    """G10: a case is a step. Two hold the lease at once, or one writes that has lost it: a violation."""
    folder, chance, score = Path(tempfile.mkdtemp(prefix="team-leases-")), random.Random(seed), Score()
    try:
        folder.chmod(0o711)
        clock = FileClock(folder / "clock")
        (folder / "clock").chmod(0o644)
        url = place_with_clock(folder)
        states = [
            open_store(url, kind=StateKind.REAL, clock=clock, surroundings=Surroundings()) for _ in range(reapers)
        ]
        with broken(mutants):
            rig = _Rig(states, clock, chance)
            for number in range(steps):
                score.add(f"step {number}", rig.step())
                if score.has_failed_as(mutants):
                    break
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return score


@dataclass
class _Rig:
    """`held` are the leases that processes believe to hold, and `newest` the one that was granted last."""

    states: Sequence[State]
    clock: FileClock
    chance: random.Random

    def __post_init__(self) -> None:
        self.held: dict[int, Lease] = {}
        self.newest: Lease | None = None
        self.is_released = True
        self.written: datetime | None = None

    def step(self) -> list[str]:
        """One step of one reaper, after a stall; what is wrong about it."""
        self.clock.move(self.chance.choice(STALLS))
        number = self.chance.randrange(len(self.states))
        if number not in self.held:
            return self._acquire(number)
        return self.chance.choice([self._write, self._write, self._release])(number)

    @property
    def _is_running(self) -> bool:
        return self.newest is not None and not self.is_released and self.clock.now() < self.newest.expires_at

    def _acquire(self, number: int) -> list[str]:
        was_running = self._is_running
        lease = self.states[number].leases.acquire(LeaseName.REAP, f"reaper-{number}", DURATION)
        if lease is None:
            return [] if was_running else ["refused although nobody held it"]
        self.held[number], self.newest, self.is_released = lease, lease, False
        return ["held by two"] if was_running else []

    def _is_newest(self, number: int) -> bool:
        return self.newest is not None and self.held[number].version == self.newest.version

    def _write(self, number: int) -> list[str]:
        at, reaper = self.clock.now(), self.states[number].reaper
        done = reaper.update(lambda times: times.model_copy(update={"last_reap_at": at}), self.held[number])
        if done:
            self.written = at
        wrong = [] if done is self._is_newest(number) else [f"a write that {'had lost' if done else 'held'} the lease"]
        return wrong if reaper.read().last_reap_at == self.written else [*wrong, "another memory than the one written"]

    def _release(self, number: int) -> list[str]:
        if self._is_newest(number):
            self.is_released = True
        self.states[number].leases.release(self.held.pop(number))
        return []
