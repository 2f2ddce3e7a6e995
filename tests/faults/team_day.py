"""Gate G8: many runners and two reapers on one state in PostgreSQL, for a simulated day of faults.

Each command is a process of its own: a new connection, and nothing remembered but what was written. Another command may
run in the middle of each: between its read and its write, or during its cloud call. What is true is read from the
cloud's own books.
"""

import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from faults.shared import postgres_server
from faults.teams import place_with_clock
from faults.world import Score, broken
from support.clock import FileClock
from support.fake_cloud import Crash, FakeCloud, Trouble
from support.instances import PRICE
from support.postgres_proxy import CommitProxy, Loss
from support.silent import Silent

from gpuctl.catalog import Catalog
from gpuctl.domain.instance import Instance, ProviderName, Reason
from gpuctl.domain.market.request import Request
from gpuctl.domain.money.budgets import Budgets
from gpuctl.domain.tags import parse_deadline
from gpuctl.errors import GpuctlError
from gpuctl.home.states import StatesOnEngines
from gpuctl.services.extend import extend
from gpuctl.services.launch.offers import Defaults, choose
from gpuctl.services.launch.prepare import prepare
from gpuctl.services.launch.provision import start
from gpuctl.services.reap.loop import ReapLoop
from gpuctl.services.reap.reaper import ReapOptions
from gpuctl.services.runtime import Runtime
from gpuctl.services.sessions import Sessions
from gpuctl.services.terminate import end
from gpuctl.store.base import Change, Guard, Snapshot, State
from gpuctl.store.kind import StateKind
from gpuctl.store.lease import Lease, Leases
from gpuctl.store.opening import Surroundings
from gpuctl.store.registry import open_store

CATALOG = Catalog()
MINUTE = timedelta(minutes=1)
STEP = 4 * MINUTE
# An instance past its deadline waits for a reaper that works: one may have died with the lease, the database be away.
LATEST = 40 * MINUTE
OUTAGE, EVERY = 130 * MINUTE, timedelta(hours=6)


def team_day(runners: int, hours: float, mutants: Sequence[str] = (), seed: int = 1) -> Score:
    """G8: a day of so many hours. A case is a command or a run of a reaper."""
    score, folder = Score(), Path(tempfile.mkdtemp(prefix="team-day-"))
    proxy = CommitProxy(postgres_server().folder)
    try:
        day = _Day(runners, folder, proxy, random.Random(seed), score)
        with broken(mutants):
            while day.clock.elapsed() < timedelta(hours=hours) and not score.has_failed_as(mutants):
                day.step()
            day.finish()
    finally:
        proxy.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return score


@dataclass
class Promise:
    """An instance that a runner was told of, and until when. `wished`: somebody asked for its termination."""

    runner: str
    until: datetime
    wished: bool = False


@dataclass
class BookedCloud(FakeCloud):
    """A cloud that reports every termination to the gate before it is performed."""

    on_terminate: Callable[[str], None] = lambda record_id: None

    def terminate(self, region: str, cloud_ids: Sequence[str], *, force: bool = False) -> Any:
        for cloud_id in cloud_ids:
            if cloud_id in self.instances and self.instances[cloud_id].ended_at is None:
                self.on_terminate(cloud_id)
        return super().terminate(region, cloud_ids, force=force)


class InterruptedRecords:
    """The records of one process, in which another one acts between the read and the write."""

    def __init__(
        self, inner: Any, happens: Callable[[], None], competes: Callable[[], None], on_added: Callable[[], None]
    ) -> None:
        self._inner = inner
        self._happens = happens
        self._competes = competes
        self._on_added = on_added

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def add(self, records: Sequence[Instance], guard: Guard) -> Snapshot:
        def late(present: Sequence[Instance]) -> None:
            guard(present)
            self._competes()

        snapshot: Snapshot = self._inner.add(records, late)
        self._on_added()
        return snapshot

    def update(self, record_id: str, change: Change, guard: Guard | None = None) -> Instance:
        def late(record: Instance) -> Instance:
            changed = change(record)
            self._happens()
            return changed

        updated: Instance = self._inner.update(record_id, late, guard)
        return updated


class KillableLeases:
    """The leases of one process, which a process that was killed releases as little as a real one."""

    def __init__(self, inner: Leases) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def release(self, lease: Lease) -> None:
        if sys.exc_info()[0] is not Crash:
            self._inner.release(lease)


@dataclass
class _Day:
    runners: int
    folder: Path
    proxy: CommitProxy
    chance: random.Random
    score: Score
    promises: dict[str, Promise] = field(default_factory=dict)
    away_until: datetime | None = None
    next_outage: timedelta = 5 * STEP
    is_nested: bool = False

    def __post_init__(self) -> None:
        self.folder.chmod(0o711)
        self.clock = FileClock(self.folder / "clock")
        (self.folder / "clock").chmod(0o644)
        self.url = place_with_clock(self.folder)
        # Where processes find the server's socket, unless it is out of reach.
        self.socket = self.folder / ".s.PGSQL.5432"
        self.cloud = BookedCloud(self.clock, lag=MINUTE / 2, on_terminate=self.check_termination)
        others = {"gpuctl-id": "inst-zzzzzzzzzzzz", "gpuctl-state": "another", "gpuctl-expires-at": "20261124t120500z"}
        self.foreign = [self.cloud.launch("us-east-1", {}), self.cloud.launch("us-east-1", others)]

    # Processes

    def opened(self, computer: str, *, loses: bool = False) -> State:
        """The state, as a new process on that computer sees it."""
        is_away = self.away_until is not None and self.clock.now() < self.away_until
        self.socket.unlink(missing_ok=True)
        if not is_away:
            self.socket.symlink_to(postgres_server().folder / self.socket.name)
        url = self.url.replace(str(postgres_server().folder), str(self.socket.parent))
        if loses and not is_away:
            url = self.url.replace(str(postgres_server().folder), str(self.proxy.folder))
            self.proxy.lose(self.chance.choice([Loss.REPLY, Loss.REQUEST]))
        around = Surroundings(StatesOnEngines(self.folder / computer))
        state = open_store(url, kind=StateKind.REAL, clock=self.clock, surroundings=around)
        return replace(state, leases=KillableLeases(state.leases))

    def runtime(self, state: State) -> Runtime:
        """What a process is made of."""
        sessions = Sessions(lambda name, profile: self.cloud, self.clock, Silent())
        records: Any = InterruptedRecords(state.records, self.act_meanwhile, self.compete, self.check_budget)
        budgets = Budgets(monthly_usd=self.budget)
        return Runtime(
            records,
            sessions,
            self.clock,
            Silent(),
            lambda *_: PRICE,
            timedelta(hours=2),
            lambda: {ProviderName.AWS: {"us-east-1"}},
            budgets,
        )

    @property
    def budget(self) -> Decimal:
        """It grows with the time of day, so that it binds at any time: 60 % of what the runners want."""
        hours = Decimal(self.clock.elapsed().total_seconds()) / 3600 + 1
        return (PRICE.usd_per_hour * self.runners * hours * Decimal("0.6")).quantize(Decimal("0.01"))

    def step(self) -> None:
        """Four minutes of the day."""
        if self.clock.elapsed() >= self.next_outage:
            # Instances expire meanwhile.
            self.away_until, self.next_outage = self.clock.now() + OUTAGE, self.next_outage + EVERY
        elif self.chance.random() < 0.03:
            self.away_until = self.clock.now() + self.chance.randint(1, 12) * MINUTE
        for _ in range(max(1, self.runners // 3)):
            self.command()
        for number in (1, 2):
            self.reap(number)
        self.clock.move(STEP)
        self.check_books()

    def command(self) -> None:
        """One command of one runner."""
        runner = f"runner-{self.chance.randrange(self.runners)}"
        live = {instance.tags.get("gpuctl-id") for instance in self.cloud.active}
        mine = [key for key, promise in self.promises.items() if promise.runner == runner and key in live]
        work: Callable[[Runtime, str, str], None] = self.provision
        if mine:
            work = self.chance.choice([self.extend, self.extend, self.terminate, self.provision])
        self.run(runner, lambda state: work(self.runtime(state), runner, mine[-1] if mine else ""))

    def reap(self, number: int) -> None:
        """One run of one of the reapers."""
        options = ReapOptions(sweep=self.chance.random() < 0.3, max_orphans=99)

        def work(state: State) -> None:
            runtime = self.runtime(state)
            holder = f"reaper-{number}-{self.score.cases}"
            ReapLoop(
                lambda: runtime, lambda: self.require(state), state, holder, self.clock, options, is_attended=False
            ).run()

        self.run(f"reaper-{number}", work)

    def run(self, computer: str, work: Callable[[State], None]) -> None:
        """A process, with trouble of its own; it may be killed, or fail."""
        self.score.cases += 1
        before = self.cloud.interlude, self.cloud.troubles
        self.cloud.troubles = self.chance.choices([None, *Trouble], k=4) if self.chance.random() < 0.2 else []
        self.cloud.interlude = self.act_meanwhile if self.chance.random() < 0.2 else None
        try:
            with suppress(Crash, GpuctlError):
                work(self.opened(computer, loses=self.chance.random() < 0.1))
        except ValueError as bug:
            self.violate(f"bug: {bug}")
        finally:
            self.cloud.interlude, self.cloud.troubles = before

    def act_meanwhile(self) -> None:
        """Something else happens in the middle of a process: another process, a restart of the server, a stall."""
        if self.is_nested or self.chance.random() < 0.8:
            return
        self.is_nested = True
        try:
            for _ in range(self.chance.randint(1, 3)):
                self.chance.choice([self.command, self.command, self.command, self.reap_again, self.restart])()
            if self.chance.random() < 0.1:
                # Longer than the lease of a reaper.
                self.clock.move(6 * MINUTE)
                self.reap_again()
        finally:
            self.is_nested = False

    def compete(self) -> None:
        """Another runner wants what the budget has left."""
        if not self.is_nested and self.chance.random() < 0.3:
            self.is_nested = True
            runner = f"runner-{self.chance.randrange(self.runners)}"
            self.run(runner, lambda state: self.provision(self.runtime(state), runner, ""))
            self.is_nested = False

    def reap_again(self) -> None:
        self.reap(self.chance.choice([1, 2]))

    def restart(self) -> None:
        """Every session ends, as where the server is restarted."""
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        postgres_server().execute(
            postgres_server().url(), f"{ended} WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )

    # What they do

    def provision(self, runtime: Runtime, runner: str, record_id: str) -> None:
        ttl = self.chance.randint(10, 60) * MINUTE
        wanted = Request(user=runner, instance_type="g4dn.xlarge", region="us-east-1", ttl=ttl)
        choice = choose(wanted, lambda name: Defaults(), runtime, CATALOG)
        patience = self.chance.choice([None, 15 * MINUTE])
        result = start(
            prepare(choice, runtime), runtime, lambda records: None, patience, agree=lambda offer, reason: True
        )
        if not result.errors:
            self.promises[result.records[0].id] = Promise(runner, result.records[0].expires_at)

    def extend(self, runtime: Runtime, runner: str, record_id: str) -> None:
        record = next(record for record in runtime.store.snapshot().records if record.id == record_id)
        extended = extend(runtime, record, by=self.chance.randint(5, 40) * MINUTE, ttl=None)
        self.promises[record_id].until = extended.expires_at
        alive = {instance.tags.get("gpuctl-id") for instance in self.cloud.active}
        if record_id not in alive and self.clock.now() < extended.expires_at and not self.promises[record_id].wished:
            self.violate(f"{record_id} was terminated though it was extended")

    def terminate(self, runtime: Runtime, runner: str, record_id: str) -> None:
        self.promises[record_id].wished = True
        end(runtime, [record_id], Reason.USER)

    def require(self, state: State) -> None:
        state.records.snapshot()

    # What must be true

    def violate(self, text: str) -> None:
        self.score.violations.append(f"{self.clock.now():%H:%M:%S} {text}")

    def records(self) -> Sequence[Instance]:
        """The records, whatever a process may see of them."""
        state = open_store(self.url, kind=StateKind.REAL, clock=self.clock, surroundings=Surroundings())
        return state.records.snapshot().records

    def check_termination(self, cloud_id: str) -> None:
        """An instance that somebody was told of is terminated by wish, or at its deadline."""
        if cloud_id in self.foreign:
            self.violate(f"{cloud_id} of others was terminated")
        promise = self.promises.get(self.cloud.instances[cloud_id].tags.get("gpuctl-id", ""))
        if promise is not None and not promise.wished and self.clock.now() < promise.until - MINUTE / 60:
            self.violate(f"{cloud_id} was terminated {promise.until - self.clock.now()} early")

    def check_budget(self) -> None:
        """At the instant at which a record was written, all of them together are within the budget."""
        now = self.clock.now()
        committed = sum((committed_cost(record, now) for record in self.records()), Decimal(0))
        if committed > self.budget + Decimal("0.02"):
            self.violate(f"${committed:.2f} committed of ${self.budget}")

    def check_books(self) -> None:
        now, ids = self.clock.now(), [instance.tags.get("gpuctl-id") for instance in self.cloud.instances.values()]
        ours = [key for key in ids if key is not None]
        self.score.violations += [f"duplicate of {key}" for key in sorted({key for key in ours if ours.count(key) > 1})]
        for instance in self.cloud.active:
            if instance.cloud_id in self.foreign:
                continue
            deadline = parse_deadline(instance.tags.get("gpuctl-expires-at", ""))
            if deadline is not None and now > deadline + LATEST:
                self.violate(f"{instance.cloud_id} is alive {now - deadline} after its deadline")

    def finish(self) -> None:
        """Every runner goes home; the two reapers do the rest."""
        self.away_until = None
        for minutes in (0, 30, 160, 2, 6):
            self.clock.move(minutes * MINUTE)
            self.is_nested = True
            for number in (1, 2):
                self.reap(number)
        left = {instance.cloud_id for instance in self.cloud.active} - set(self.foreign)
        self.score.violations += [f"leak: {cloud_id}" for cloud_id in sorted(left)]
        self.score.violations += [f"never closed: {record.id}" for record in self.records() if record.is_active]
        self.check_books()


def committed_cost(record: Instance, now: datetime) -> Decimal:
    """What the record has cost and may cost until its deadline."""
    if not record.is_active and record.launched_at is None:
        return Decimal(0)
    until = record.expires_at if record.is_active else record.terminated_at or record.updated_at
    return PRICE.usd_per_hour * Decimal((until - (record.launched_at or record.created_at)).total_seconds()) / 3600
