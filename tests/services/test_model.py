"""Whatever is done in whatever order, over a cloud with lag and lost replies, with deaths anywhere and wrong clocks:
in the end nothing of ours lives, nothing of others' was touched, and nothing was terminated before its time."""

from contextlib import suppress
from datetime import timedelta

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from support.clock import FakeClock
from support.fake_cloud import Crash, FakeCloud, Trouble
from support.instances import PRICE
from support.silent import Silent
from support.stores import MemoryStore

from gpuctl.catalog import Catalog
from gpuctl.domain.instance import Instance, Reason, Status
from gpuctl.domain.market.request import Request
from gpuctl.errors import GpuctlError
from gpuctl.services.extend import extend
from gpuctl.services.launch.offers import Defaults, choose
from gpuctl.services.launch.prepare import prepare
from gpuctl.services.launch.provision import start
from gpuctl.services.reap.reaper import ReapOptions, reap, remembered
from gpuctl.services.runtime import Runtime
from gpuctl.services.sessions import Sessions
from gpuctl.services.terminate import end
from gpuctl.store.reaper import ReapTimes

CATALOG = Catalog()
MINUTE = timedelta(minutes=1)
TROUBLES = st.lists(st.sampled_from([None, None, *Trouble]), max_size=6)


class World(RuleBasedStateMachine):
    """Commands, deaths and clocks in any order."""

    @initialize(lag=st.sampled_from([0, 1, 60, 299]))
    def begin(self, lag: int) -> None:
        self.clock = FakeClock()
        self.cloud = FakeCloud(self.clock, lag=timedelta(seconds=lag))
        self.store = MemoryStore()
        self.times = ReapTimes()
        self.ended_too_early: list[str] = []
        self.foreign = [
            self.cloud.launch("us-east-1", {}),
            self.cloud.launch(
                "us-east-1",
                {
                    "gpuctl-id": "inst-zzzzzzzzzzzz",
                    "gpuctl-state": "another-state",
                    "gpuctl-expires-at": "20261124t120500z",
                },
            ),
        ]

    @property
    def runtime(self) -> Runtime:
        """A new process: nothing is remembered but what was written down."""
        sessions = Sessions(lambda name, profile: self.cloud, self.clock, Silent())
        return Runtime(self.store, sessions, self.clock, Silent(), lambda *_: PRICE, timedelta(hours=2))

    def live(self) -> list[Instance]:
        return [record for record in self.store.snapshot().records if record.is_active]

    def troubled(self, troubles: list[Trouble | None]) -> None:
        self.cloud.troubles = list(troubles)  # type: ignore[arg-type]

    @rule(ttl=st.integers(5, 120), waits=st.booleans(), troubles=TROUBLES)
    def provision(self, ttl: int, waits: bool, troubles: list[Trouble | None]) -> None:
        self.troubled(troubles)
        request = Request(user="ana", instance_type="g4dn.xlarge", region="us-east-1", ttl=timedelta(minutes=ttl))
        with suppress(Crash, GpuctlError):
            runtime = self.runtime
            choice = choose(request, lambda name: Defaults(), runtime, CATALOG)
            patience = timedelta(minutes=15) if waits else None
            start(prepare(choice, runtime), runtime, lambda records: None, patience, agree=lambda offer, reason: True)

    @rule(number=st.integers(0, 9), troubles=TROUBLES)
    def terminate(self, number: int, troubles: list[Trouble | None]) -> None:
        self.troubled(troubles)
        with suppress(Crash, GpuctlError, IndexError):
            end(self.runtime, [self.live()[number].id], Reason.USER)

    @rule(number=st.integers(0, 9), by=st.integers(1, 60), troubles=TROUBLES)
    def extend(self, number: int, by: int, troubles: list[Trouble | None]) -> None:
        self.troubled(troubles)
        with suppress(Crash, GpuctlError, IndexError):
            extend(self.runtime, self.live()[number], by=timedelta(minutes=by), ttl=None)

    @rule(sweep=st.booleans(), troubles=TROUBLES)
    def reap(self, sweep: bool, troubles: list[Trouble | None]) -> None:
        self.troubled(troubles)
        before = set(self.cloud.ends_asked)
        known = {record.cloud_id: record for record in self.store.snapshot().records if record.cloud_id}
        with suppress(Crash):
            self.run_reaper(sweep=sweep)
        for cloud_id in set(self.cloud.ends_asked) - before:
            record = known.get(cloud_id)
            # Where nobody wished that it ends, only its deadline by the cloud's own time may have ended it.
            unwished = record and record.status not in (Status.STOPPING, Status.TERMINATED, Status.FAILED)
            if record and unwished and self.cloud.true_time < record.expires_at - timedelta(seconds=1):
                self.ended_too_early.append(cloud_id)

    @rule(other=st.sampled_from(["reap", "terminate", "extend", "wait"]), number=st.integers(0, 9))
    def reap_while_another_process_is_at_work(self, other: str, number: int) -> None:
        self.troubled([])

        def interlude() -> None:
            with suppress(GpuctlError, IndexError):
                if other == "reap":
                    self.run_reaper(sweep=True)
                elif other == "terminate":
                    end(self.runtime, [self.live()[number].id], Reason.USER)
                elif other == "extend":
                    extended = extend(self.runtime, self.live()[number], by=20 * MINUTE, ttl=None)
                    remaining.append(extended)
                else:
                    self.clock.move(20 * MINUTE)

        remaining: list[Instance] = []
        before = {instance.cloud_id for instance in self.cloud.active}
        self.cloud.interlude = interlude
        self.run_reaper(sweep=True)
        self.cloud.interlude = None
        missing = before - {instance.cloud_id for instance in self.cloud.active}
        # Whoever was told that an instance is extended must find it alive.
        assert not [
            record for record in remaining if record.cloud_id in missing and self.cloud.true_time < record.expires_at
        ]

    def run_reaper(self, *, sweep: bool) -> None:
        reaper = ReapOptions(sweep=sweep, max_orphans=99)
        reaped = reap(self.runtime, self.times, reaper)
        self.times = remembered(self.times, reaped, reaper, self.store.snapshot().records)

    @rule(seconds=st.sampled_from([1, 59, 60, 61, 120, 240, 299, 300, 301, 600, 900, 1800, 3600]))
    def wait(self, seconds: int) -> None:
        self.clock.move(timedelta(seconds=seconds))

    @rule(hours=st.sampled_from([-87_600, -3, -1, 1, 3, 87_600]))
    def set_the_laptops_clock_wrong(self, hours: int) -> None:
        if abs(self.cloud.skew) < timedelta(days=1):
            off = timedelta(hours=hours)
            self.clock.jump(off)
            self.cloud.skew += off

    @rule()
    def set_the_laptops_clock_right(self) -> None:
        self.clock.jump(-self.cloud.skew)
        self.cloud.skew = timedelta(0)

    @invariant()
    def nothing_of_others_was_touched(self) -> None:
        assert all(self.cloud.instances[text].ended_at is None for text in self.foreign)

    @invariant()
    def one_record_is_one_machine(self) -> None:
        ids = [
            instance.tags.get("gpuctl-id")
            for instance in self.cloud.instances.values()
            if instance.cloud_id not in self.foreign
        ]
        assert len(ids) == len(set(ids))

    @invariant()
    def what_is_closed_is_gone(self) -> None:
        closed = {record.id for record in self.store.snapshot().records if not record.is_active}
        assert not [instance for instance in self.cloud.active if instance.tags.get("gpuctl-id") in closed]

    @invariant()
    def nothing_was_ended_before_its_time(self) -> None:
        assert self.ended_too_early == []

    def teardown(self) -> None:
        """The laptop may never come back; a reaper somewhere with a right clock does the rest."""
        if not hasattr(self, "cloud"):
            return
        self.troubled([])
        self.set_the_laptops_clock_right()
        self.clock.move(timedelta(hours=4))
        for _ in range(4):
            self.run_reaper(sweep=True)
            self.clock.move(2 * MINUTE)
        assert {instance.cloud_id for instance in self.cloud.active} == set(self.foreign)
        assert self.live() == []


def test_whatever_is_done_in_whatever_order_the_promise_holds() -> None:
    run_the_model(200, 40)


def run_the_model(examples: int, steps: int, *, shrinks: bool = True) -> None:
    """So many lives of so many steps; fails as a test does, with a short example where it `shrinks`."""
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[phase for phase in Phase if shrinks or phase is Phase.generate],
    )
    run_state_machine_as_test(World, settings=chosen)  # type: ignore[no-untyped-call]
