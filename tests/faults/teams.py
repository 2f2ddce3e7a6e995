"""Gates G6, G7 and G11: whole commands on a state in PostgreSQL, killed at random instants and racing."""

import random
import signal
from collections.abc import Sequence
from pathlib import Path

from faults.shared import postgres_server
from faults.world import PROVISION, Scenario, Score, World
from support.clock import FileClock
from support.instances import NOON

from gpuctl.clock import SystemClock
from gpuctl.store.base import RecordStore, State
from gpuctl.store.kind import StateKind
from gpuctl.store.opening import Surroundings
from gpuctl.store.postgres.schema import TABLES
from gpuctl.store.registry import open_store


def hooks_of_a_team(world: World, rounds: int, mutants: Sequence[str] = (), seed: int = 1) -> Score:
    """G11: two reapers on two computers end the same instances at once, and deliver the events to the hook of each.

    In every other round one of them is killed. A case is a round. Without a kill each end is told once; after a kill
    the event that was being delivered may be told once more, and none is lost.
    """
    score, chance = Score(), random.Random(seed)
    for number in range(rounds):
        with world.scenario(mutants, TeamScenario) as scenario:
            told, home = scenario.folder / "told", str(scenario.folder / "bob")
            elsewhere = {"HOME": home, "XDG_STATE_HOME": home, "XDG_CONFIG_HOME": home}
            # Slow enough for the other one to begin in the meantime.
            hook = {"GPUCTL_HOOKS_TERMINATED": f'echo "$GPUCTL_INSTANCE_ID" >> {told}; sleep 1'}
            ran = scenario.run(*PROVISION, "--count", "2", "-q")
            # Terminated and closed by somebody without the hook: its events wait.
            for minutes in (61, 2):
                scenario.later(minutes=minutes)
                scenario.run("reap")
            first = scenario.start("reap", environ=hook)
            # The other one comes while the first is delivering.
            for _ in range(1_000):
                if told.exists():
                    break
                signal.sigtimedwait([], 0.01)
            second = scenario.start("reap", environ=hook | elsewhere)
            if number % 2:
                signal.sigtimedwait([], chance.uniform(0, 0.5))
                first.kill()
            for process in (first, second):
                process.wait()
            # Past the lease of the one that was killed.
            scenario.later(minutes=6)
            scenario.run("reap", environ=hook)
            text = told.read_text() if told.exists() else ""
            counts = [text.split().count(key) for key in ran.out.split()]
            allowed = (1, 2) if number % 2 else (1,)
            wrong = [f"told {count} times" for count in counts if count not in allowed]
            score.add(f"round {number}", wrong if len(counts) == 2 else ["the rig itself: no two instances"])
        if score.has_failed_as(mutants):
            break
    return score


class TeamScenario(Scenario):
    """The same operator, whose state is in PostgreSQL. The engine reads the time from the file of the clock."""

    def __init__(self, folder: Path, place: World, mutants: tuple[str, ...]) -> None:
        # The server runs as another user, and reads it.
        folder.chmod(0o711)
        FileClock(folder / "clock")
        (folder / "clock").chmod(0o644)
        self.url = place_with_clock(folder)
        super().__init__(folder, place, mutants)
        self.environ["GPUCTL_STATE"] = self.url

    @property
    def store(self) -> RecordStore:  # type: ignore[override]
        """The records."""
        return self._opened().records

    def _opened(self) -> State:
        return open_store(self.url, kind=StateKind.REAL, clock=SystemClock(), surroundings=Surroundings())


def place_with_clock(folder: Path) -> str:
    """The URL of a state without records, for which the engine's clock is the one of the file."""
    server = postgres_server()
    schema = server.new_schema()
    name, path = f"{schema}.clock_timestamp()", folder / "clock"
    seconds = f"split_part(pg_read_file('{path}', 0, 100), ' ', 1)"
    now = f"timestamptz '{NOON.isoformat()}' + make_interval(secs => {seconds}::float8)"
    server.execute(
        server.url(), f"CREATE FUNCTION {name} RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT {now} $$"
    )
    # Found before the server's own function by this search path.
    url = server.url(schema, "pg_catalog")
    # By hand, because a rule of the store may be broken already.
    columns = "format, kind, state_id, serial, is_claimed, is_restored"
    values = "1, 'real', 'the-state-of-a-team', 0, true, false"
    server.execute(url, *TABLES, f"INSERT INTO gpuctl_state ({columns}) VALUES ({values})")
    return url
