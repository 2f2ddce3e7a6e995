"""Gate H1: pools under random schedules of ticks, leases, releases, deaths, lost replies, budgets and failing queues.

What is true is read from the cloud's own books: who was granted what, and which instances exist.
"""

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count

from faults.world import Score, random_walks
from support.clock import FakeClock
from support.fake_cloud import Crash, FakeCloud, Trouble
from support.instances import PRICE
from support.pools import a_pool
from support.silent import Silent
from support.stores import MemoryPools, MemoryStore

from gpuctl.catalog import Catalog
from gpuctl.domain.instance import Instance
from gpuctl.domain.membership import Lease
from gpuctl.domain.money.budgets import Budgets
from gpuctl.domain.pools.leasing import lease_of
from gpuctl.domain.pools.load import QueueReading
from gpuctl.domain.pools.spec import Pool, PoolStatus, Reuse
from gpuctl.domain.tags import parse_deadline
from gpuctl.errors import GpuctlError, UnreachableError
from gpuctl.services.launch.offers import Defaults, choose
from gpuctl.services.pools.changes import set_status
from gpuctl.services.pools.lease import LeaseRequest, lease_instance
from gpuctl.services.pools.release import ReleaseRequest, extend_lease, release
from gpuctl.services.pools.scale import scale
from gpuctl.services.pools.tools import NoForecasts, PoolTools
from gpuctl.services.reap.reaper import ReapOptions, reap, remembered
from gpuctl.services.runtime import Runtime
from gpuctl.services.sessions import Sessions
from gpuctl.store.base import Guard, Snapshot
from gpuctl.store.reaper import ReapTimes

CATALOG = Catalog()
STEPS = 30
MINUTE = timedelta(minutes=1)
POLICIES = ("on-demand", "keep:10m", "reactive", "always:2")
# The guard powers off 2 minutes after the deadline.
GUARD = 2 * MINUTE


def pool_schedules(schedules: int, mutants: Sequence[str] = (), seed: int = 1) -> Score:
    """H1: no two leases share an instance, none ends early, no launch exceeds a limit, and all ends without cron."""
    return random_walks("schedule", schedules, _schedule, mutants, seed)


class RacingStore(MemoryStore):
    """A store in which another process may do something after one has read the state and before it uses that."""

    interlude: Callable[[], None] | None = None
    after = 0
    on_add: Callable[[], None] = staticmethod(lambda: None)

    def snapshot(self) -> Snapshot:
        snapshot = super().snapshot()
        self.after -= 1
        if self.interlude is not None and self.after < 0:
            happens, self.interlude = self.interlude, None
            happens()
        return snapshot

    def add(self, records: Sequence[Instance], guard: Guard) -> Snapshot:
        written = super().add(records, guard)
        if records:
            self.on_add()
        return written


@dataclass
class GuardedCloud(FakeCloud):
    """A cloud whose instances power themselves off by their tags, and that checks every create when it arrives.

    `after` is how many calls pass before the interlude.
    """

    on_create: Callable[[], None] = lambda: None
    after: int = 0

    def pass_time(self, span: timedelta) -> None:
        for _ in range(int(span / (MINUTE / 2))):
            self.clock.move(MINUTE / 2)
            for instance in self.active:
                deadline = parse_deadline(instance.tags["gpuctl-expires-at"])
                if deadline is not None and self.true_time >= deadline + GUARD:
                    self.instances[instance.cloud_id] = replace(instance, ended_at=self.true_time)

    def _next_trouble(self) -> Trouble | None:
        self.after -= 1
        if self.after >= 0:
            return self.troubles.pop(0) if self.troubles else None
        return super()._next_trouble()

    def launch(self, region: str, tags: "dict[str, str]") -> str:  # type: ignore[override]
        cloud_id = super().launch(region, tags)
        self.on_create()
        return cloud_id


@dataclass
class Granted:
    """A lease that a process was granted, and the instance in the cloud. `until` is None once it was given back."""

    lease: Lease
    cloud_id: str | None
    record_id: str
    until: datetime | None


@dataclass
class _World:
    chance: random.Random
    clock: FakeClock = field(default_factory=FakeClock)
    store: RacingStore = field(default_factory=RacingStore)
    times: ReapTimes = field(default_factory=ReapTimes)
    budgets: Budgets = field(default_factory=Budgets)
    queue: int | None = 0
    granted: list[Granted] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    interrupted: set[str] = field(default_factory=set)
    cleaning: set[str] = field(default_factory=set)
    half_cleaned: set[str] = field(default_factory=set)
    daily_before: Decimal | None = None
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.cloud = GuardedCloud(self.clock, on_create=self.check_number)
        self.store.on_add = self.check_budgets
        self.pools = MemoryPools(self.store)
        reuse = self.chance.choice(list(Reuse))
        self.pool = a_pool(
            reuse=reuse,
            on_release="clean",
            max=self.chance.randint(1, 4),
            min=self.chance.randint(0, 1),
            policy=self.chance.choice(POLICIES),
            queue=self.chance.choice([None, "cmd:depth"]),
            max_age=self.chance.choice([MINUTE * 40, MINUTE * 720]),
            budget_day=self.chance.choice([None, Decimal("0.60")]),
        )
        self.pools.change("train", lambda present: self.pool)

    @property
    def runtime(self) -> Runtime:
        """That of a new process."""
        sessions = Sessions(lambda name, profile: self.cloud, self.clock, Silent())
        return Runtime(
            self.store, sessions, self.clock, Silent(), lambda *_: PRICE, timedelta(hours=2), budgets=self.budgets
        )

    @property
    def tools(self) -> PoolTools:
        """Those of a new process."""
        runtime = self.runtime
        return PoolTools(
            runtime=runtime,
            pools=self.pools,
            choose=lambda request: choose(request, lambda name: Defaults(), runtime, CATALOG),
            read_queue=self.read_queue,
            new_id=lambda: f"{next(self.numbers):012d}",
            forecasts=NoForecasts(),
        )

    def read_queue(self, pool: Pool) -> QueueReading:
        if self.queue is None:
            raise UnreachableError("no answer")
        return QueueReading(self.queue)

    # What processes do

    def tick(self) -> None:
        scale(self.tools, [], is_dry_run=False)

    def lease(self) -> None:
        user = self.chance.choice(["ana", "bo"])
        span = self.chance.choice([1, 5, 20]) * MINUTE
        timeout = self.chance.choice([None, MINUTE])
        wanted = LeaseRequest(user, None, None, span, timeout)
        granted = lease_instance(self.tools, "train", wanted, [], lambda records: None)
        if granted.error is not None:
            return
        record = self.record(granted.record.id)
        here = Granted(granted.lease, granted.record.cloud_id, granted.record.id, granted.lease.expires_at)
        if here.record_id in self.half_cleaned:
            self.wrong.append(f"{here.lease.id} has {here.record_id}, whose clean-up was interrupted")
        for other in self.granted:
            is_open = other.until is not None and other.until > self.clock.now()
            if is_open and other.record_id == here.record_id:
                self.wrong.append(f"{here.lease.id} and {other.lease.id} share {here.record_id}")
        if (
            record is not None
            and record.pool is not None
            and (lease := record.pool.lease)
            and lease.id != here.lease.id
        ):
            self.wrong.append(f"{here.lease.id} was granted and {lease.id} is in the record")
        self.granted.append(here)

    def release(self) -> None:
        if not self.granted:
            return
        granted = self.chance.choice(self.granted)
        # From here on its holder makes no use of it any more, whatever becomes of the call.
        granted.until = None
        wanted = ReleaseRequest(is_dirty=self.chance.random() < 0.2)
        release(self.tools, granted.lease.id, wanted, partial(self.clean, granted.lease))

    def clean(self, lease: Lease, record: Instance, command: str) -> GpuctlError | None:
        """A clean-up during which other processes work, and which may be killed."""
        if record.id in self.cleaning:
            self.wrong.append(f"two releases clean {record.id}")
            return None
        self.cleaning.add(record.id)
        if len(self.cleaning) == 1:
            for work in self.chance.choice([(), (), (self.release,), (self.release, self.lease), (self.tick,)]):
                _run(work)
        self.cleaning.remove(record.id)
        present = self.record(record.id)
        if present is not None and (other := lease_of(present)) is not None and other.id != lease.id:
            self.wrong.append(f"{record.id} is cleaned for {lease.id} while {other.id} has it")
        if self.chance.random() < 0.2:
            self.half_cleaned.add(record.id)
            raise Crash
        return self.chance.choice([None, None, UnreachableError("no answer")])

    def extend(self) -> None:
        mine = [granted for granted in self.granted if granted.until and granted.until > self.clock.now()]
        if mine:
            granted = self.chance.choice(mine)
            lease, _ = extend_lease(self.tools, granted.lease.id, self.chance.choice([10, 30]) * MINUTE)
            granted.until = lease.expires_at

    def reap(self) -> None:
        result = reap(self.runtime, self.times, ReapOptions(sweep=True))
        records = self.store.snapshot().records
        self.times = remembered(self.times, result, ReapOptions(), records)

    def change_status(self) -> None:
        set_status(self.tools, "train", self.chance.choice([PoolStatus.ACTIVE, PoolStatus.ACTIVE, *PoolStatus]))

    def change_budget(self) -> None:
        usd = self.chance.choice([None, Decimal("0.05"), Decimal("0.40"), Decimal(2)])
        self.budgets = Budgets(daily_usd=usd)

    def change_queue(self) -> None:
        self.queue = self.chance.choice([None, 0, 1, 3, 9])

    def interrupt(self) -> None:
        active = self.cloud.active
        if active:
            instance = self.chance.choice(active)
            self.interrupted.add(instance.cloud_id)
            self.cloud.instances[instance.cloud_id] = replace(instance, ended_at=self.cloud.true_time)

    # What must be true

    def record(self, record_id: str) -> Instance | None:
        return next((record for record in MemoryStore.snapshot(self.store).records if record.id == record_id), None)

    def check_number(self) -> None:
        """The limit of instances, at the instant at which a create arrives."""
        if len(self.cloud.active) > self.pool.max:
            self.wrong.append(f"{len(self.cloud.active)} instances of at most {self.pool.max}")

    def check_budgets(self) -> None:
        """The budgets, at the instant at which a record is written."""
        # A budget may be cut while a command runs that has read it.
        daily = None if None in (self.daily_before, self.budgets.daily_usd) else self.budgets.daily_usd
        limits = [max(daily, self.daily_before or daily)] if daily is not None else []
        limits += [self.pool.budget_day] if self.pool.budget_day is not None else []
        committed = sum((_committed(record, self.clock.now()) for record in self.records()), Decimal(0))
        if limits and committed > min(limits) + Decimal("0.001"):
            self.wrong.append(f"${committed:.3f} committed of ${min(limits)}")

    def records(self) -> Sequence[Instance]:
        return MemoryStore.snapshot(self.store).records

    def check(self) -> None:
        """No lease that is in use has lost its instance."""
        now = self.clock.now()
        for granted in self.granted:
            record = self.record(granted.record_id)
            cloud_id = granted.cloud_id or (record and record.cloud_id)
            if granted.until is None or now >= granted.until or cloud_id is None or cloud_id in self.interrupted:
                continue
            if self.cloud.instances[cloud_id].ended_at is not None:
                self.wrong.append(f"{granted.lease.id} lost its instance {granted.until - now} early")
                granted.until = None


def _committed(record: Instance, now: datetime) -> Decimal:
    end = record.expires_at if record.is_active else record.terminated_at or record.updated_at
    if not record.is_active and record.launched_at is None:
        return Decimal(0)
    span = end - (record.launched_at or record.created_at)
    return PRICE.usd_per_hour * Decimal(span.total_seconds()) / 3600


def _schedule(chance: random.Random) -> list[str]:
    world = _World(chance)
    actions: list[tuple[Callable[[], None], int]] = [
        (world.tick, 8),
        (world.lease, 8),
        (world.release, 5),
        (world.extend, 2),
        (world.reap, 4),
        (world.change_queue, 2),
        (world.change_budget, 1),
        (world.change_status, 1),
        (world.interrupt, 1),
    ]
    works, weights = zip(*actions, strict=True)
    for _ in range(STEPS):
        world.daily_before = world.budgets.daily_usd
        work, other = chance.choices(works, weights, k=2)
        race, world.store.after, world.cloud.after = (
            chance.random(),
            chance.choice([0, 0, 0, 1, 3]),
            chance.randrange(4),
        )
        if race < 0.25:
            world.store.interlude = lambda other=other: _run(other)  # type: ignore[misc]
        elif race < 0.5:
            world.cloud.interlude = lambda other=other: _run(other)  # type: ignore[misc]
        if chance.random() < 0.3:
            world.cloud.troubles = [trouble for trouble in chance.choices([None, *Trouble], k=3) if trouble is not None]
        _run(work)
        world.cloud.interlude, world.store.interlude, world.cloud.troubles = None, None, []
        world.check()
        world.cloud.pass_time(chance.choice([0, 0, 1, 1, 2, 6]) * MINUTE)
        world.check()
        if world.wrong:
            return world.wrong
    return [*world.wrong, *_without_cron(world)]


def _run(work: Callable[[], None]) -> None:
    # A process that is killed, or that fails, is one of many.
    with suppress(GpuctlError, Crash):
        work()


def _without_cron(world: _World) -> list[str]:
    """Nothing of ours runs any more: every instance ends by its own timer, soon after its last lease."""
    now = world.clock.now()
    wrong = []
    for record in world.records():
        if record.is_active and record.pool is not None:
            # Also a release whose process died, and an extension that the provider has and the record has not.
            ends = [lease.expires_at for lease in record.pool.leases] + list(record.unconfirmed_deadlines)
            allowed = max([*ends, now]) + 15 * MINUTE
            if record.expires_at > allowed:
                wrong.append(f"{record.id} would be there until {record.expires_at}, without cron")
    leases = [lease.expires_at for record in world.records() if record.pool for lease in record.pool.leases]
    unconfirmed = [deadline for record in world.records() for deadline in record.unconfirmed_deadlines]
    last = max([*leases, *unconfirmed, now])
    world.cloud.pass_time(last - now + 15 * MINUTE + GUARD)
    return [*wrong, *(f"{instance.cloud_id} is there without cron" for instance in world.cloud.active)]
