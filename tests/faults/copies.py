"""Gate B4: two copies of one state on two computers, with extends, reaps and restored backups of both in any order."""

import random
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta

from faults.world import Score, random_walks
from support.clock import FakeClock
from support.fake_cloud import Crash, FakeCloud, Trouble
from support.instances import PRICE
from support.silent import Silent
from support.stores import MemoryStore

from gpuctl.catalog import Catalog
from gpuctl.domain.instance import Observed, ProviderName
from gpuctl.domain.market.request import Request
from gpuctl.domain.tags import EXPIRES_AT, parse_deadline
from gpuctl.errors import CredentialsError, GpuctlError
from gpuctl.services.extend import extend
from gpuctl.services.launch.offers import Defaults, choose
from gpuctl.services.launch.prepare import prepare
from gpuctl.services.launch.provision import start
from gpuctl.services.reap.reaper import ReapOptions, reap, remembered
from gpuctl.services.runtime import Runtime
from gpuctl.services.sessions import Sessions
from gpuctl.store.reaper import ReapTimes

CATALOG = Catalog()
# The two computers may be configured differently.
MAX_TTLS = (timedelta(hours=2), timedelta(hours=24))
GUARD_GRACE = timedelta(minutes=2)
STEPS = 40
LOST_PROFILE = "lost"


def copied_states(walks: int, mutants: Sequence[str] = (), seed: int = 1) -> Score:
    """B4: whatever either copy extended with success is not terminated before that deadline, and is after it."""
    return random_walks("walk", walks, _walk, mutants, seed)


class HeldCloud(FakeCloud):
    """A cloud in which something may happen after a listing was made and before its caller has it."""

    after_listing: Callable[[], None] | None = None
    # What happens before one of the calls that follow.
    on_call: tuple[int, Callable[[], None]] | None = None

    def power_off_expired(self) -> None:
        """Do what the guard on each instance does: obey its tag."""
        for instance in self.active:
            expires_at = parse_deadline(instance.tags[EXPIRES_AT])
            if expires_at is not None and expires_at + GUARD_GRACE <= self.true_time:
                self.instances[instance.cloud_id] = replace(instance, ended_at=self.true_time)

    def _next_trouble(self) -> Trouble | None:
        if self.on_call is not None:
            calls, happens = self.on_call
            self.on_call = (calls - 1, happens) if calls else None
            if not calls:
                happens()
        return super()._next_trouble()

    def list_instances(self, region: str, query_ready: Collection[str] = ()) -> Sequence[Observed]:
        observed = super().list_instances(region, query_ready)
        if self.after_listing is not None:
            happens, self.after_listing = self.after_listing, None
            happens()
        return observed


class Computer:
    """One computer with a copy of the state.

    With `lost_credentials`, the config names a profile that never works again: a restored state stays restored.
    """

    def __init__(
        self,
        store: MemoryStore,
        cloud: HeldCloud,
        clock: FakeClock,
        max_ttl: timedelta,
        *,
        lost_credentials: bool = False,
    ) -> None:
        self.store = store
        self.max_ttl = max_ttl
        self._cloud, self._clock = cloud, clock
        self._times = ReapTimes()
        self._backup = deepcopy(store)
        self._places = ((ProviderName.AWS, LOST_PROFILE, "us-east-1"),) if lost_credentials else ()

    @property
    def runtime(self) -> Runtime:
        """A new process on it."""
        sessions = Sessions(self._open, self._clock, Silent())
        return Runtime(self.store, sessions, self._clock, Silent(), lambda *_: PRICE, self.max_ttl)

    def provision(self) -> datetime:
        """Start an instance and return its deadline."""
        request = Request(user="ana", instance_type="g4dn.xlarge", region="us-east-1", ttl=timedelta(minutes=60))
        runtime = self.runtime
        choice = choose(request, lambda name: Defaults(), runtime, CATALOG)
        start(prepare(choice, runtime), runtime, lambda records: None, timedelta(minutes=15), agree=lambda *_: True)
        (record,) = self.store.snapshot().records
        return record.expires_at

    @property
    def expires_at(self) -> datetime:
        """The deadline of the instance as this copy of the state has it."""
        (record,) = self.store.snapshot().records
        return record.expires_at

    def extend(self, by: timedelta) -> datetime | None:
        """The deadline that was granted; None where the command failed or died."""
        (record,) = self.store.snapshot().records
        with suppress(GpuctlError, Crash):
            return extend(self.runtime, record, by=by, ttl=None).expires_at
        return None

    def reap(self, *, sweep: bool) -> None:
        """One run of the reaper here."""
        options = ReapOptions(sweep=sweep, places=self._places)
        with suppress(Crash):
            reaped = reap(self.runtime, self._times, options)
            self._times = remembered(self._times, reaped, options, self.store.snapshot().records)

    def back_up(self) -> None:
        """Save a copy of the state as it is now."""
        self._backup = deepcopy(self.store)

    def restore(self) -> None:
        """Put the saved copy back."""
        self.store = deepcopy(self._backup)
        self.store.is_restored = True

    def _open(self, name: ProviderName, profile: str | None) -> HeldCloud:
        if profile == LOST_PROFILE:
            raise CredentialsError("the account was deleted")
        return self._cloud


def _walk(chance: random.Random) -> list[str]:
    clock = FakeClock()
    cloud = HeldCloud(clock)
    lost_credentials = chance.random() < 0.5
    first = Computer(MemoryStore(), cloud, clock, chance.choice(MAX_TTLS), lost_credentials=lost_credentials)
    promised = first.provision()
    first.back_up()
    second = Computer(deepcopy(first.store), cloud, clock, chance.choice(MAX_TTLS), lost_credentials=lost_credentials)
    computers = [first, second]

    def extended(computer: Computer) -> None:
        grant(computer, any_span(computer))

    def any_span(computer: Computer) -> timedelta:
        most = computer.max_ttl - (computer.expires_at - clock.now())
        return timedelta(minutes=10 * chance.randrange(1, max(2, int(most / timedelta(minutes=10)))))

    def grant(computer: Computer, by: timedelta) -> None:
        nonlocal promised
        # No two commands run in the same microsecond; the same second is likely.
        clock.move(timedelta(microseconds=1 + chance.randrange(999)))
        promised = max(promised, computer.extend(by) or promised)

    def retry() -> None:
        """One copy's extension is sent without a reply and cannot be read back; the other copy makes the same one."""
        chance.shuffle(computers)
        by = any_span(computers[0])
        cloud.troubles = [None, None, Trouble.NEVER_ARRIVED, Trouble.NEVER_ARRIVED]
        grant(computers[0], by)
        cloud.troubles = []
        grant(computers[1], by)

    def race() -> None:
        """Both extend at the same time."""
        chance.shuffle(computers)
        cloud.troubles = []
        # Mostly between the first one's read of the tags and its write.
        cloud.on_call = chance.choice([0, 1, 2, 2, 2, 2, 2, 3]), lambda: extended(computers[0])
        extended(computers[1])
        cloud.on_call = None

    def reap_until_deadline() -> None:
        """Both reapers run, as they do every minute, until just before the deadline."""
        chance.shuffle(computers)
        for span in (timedelta(0), max(promised - cloud.true_time - timedelta(seconds=1), timedelta(0))):
            clock.move(span)
            cloud.power_off_expired()
            for computer in computers:
                computer.reap(sweep=True)

    def hold() -> None:
        extended(chance.choice(computers))
        clock.move(max(promised - cloud.true_time - timedelta(minutes=60), timedelta(seconds=chance.randrange(90))))

    for _ in range(STEPS):
        before = {instance.cloud_id for instance in cloud.active}
        cloud.troubles = _troubles(chance)
        step = chance.randrange(9)
        if step == 0:
            extended(chance.choice(computers))
        elif step == 6:
            chance.choice([race, race, race, retry])()
            reap_until_deadline()
        elif step in (1, 2):
            computers[chance.randrange(2)].reap(sweep=chance.random() < 0.5)
        elif step == 3:
            cloud.troubles = []
            clock.move(max(promised - cloud.true_time - timedelta(seconds=1), timedelta(0)))
            cloud.after_listing = hold
            computers[chance.randrange(2)].reap(sweep=True)
            cloud.after_listing = None
        elif step == 4:
            computers[chance.randrange(2)].back_up()
        elif step == 5:
            computer = computers[chance.randrange(2)]
            computer.restore()
            # The account is known, and no query about its instances succeeds.
            cloud.troubles = [None, *[Trouble.NEVER_ARRIVED] * 3]
            computer.reap(sweep=False)
        else:
            clock.move(timedelta(seconds=chance.choice([1, 20, 60, 300, 900, 1800])))
            cloud.power_off_expired()
        if before and not cloud.active:
            early = cloud.true_time < promised
            return [f"terminated {promised - cloud.true_time} before its deadline"] if early else []
    cloud.troubles = []
    clock.move(max(promised - cloud.true_time, timedelta(0)) + timedelta(hours=25))
    for computer in computers:
        computer.reap(sweep=True)
    return ["never terminated"] if cloud.active else []


def _troubles(chance: random.Random) -> list[Trouble | None]:  # type: ignore[misc]
    """Nothing, or trouble with one of the calls that follow."""
    if chance.random() < 0.5:
        return []
    return [None] * chance.randrange(5) + [chance.choice(list(Trouble))]
