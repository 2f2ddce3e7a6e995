"""Hooks are told at least once and in order, in bounded time, and one that fails spares nobody but itself."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from support.clock import FakeClock
from support.instances import NOON, a_ready_instance
from support.stores import MemoryLeases, MemoryStore

from gpuctl.domain.events import Event, EventName
from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.lifecycle import advance, note, provisioning
from gpuctl.services.events.deliver import DELIVER_WITHIN, DROPPED_AFTER, HOOK_TIMEOUT, Delivery, DeliveryResult, Send
from gpuctl.store.lease import LeaseName

ONE, TWO = "inst-000000000001", "inst-000000000002"


class Killed(BaseException):
    """What a kill -9 is to this process."""


class Silent:
    def __getattr__(self, name: str) -> Any:
        return lambda *text: None


class Scene:
    """A store with instances, a clock, and hooks that note what they are told."""

    def __init__(self) -> None:
        self.store, self.clock = MemoryStore(), FakeClock(NOON + timedelta(minutes=1))
        self.told: list[tuple[str, int]] = []
        self.hooks: dict[str, Send] = dict.fromkeys(("provisioning", "ready", "stopping", "terminated"), self.note)

    def has(self, *records: Instance) -> None:
        self.store.add(records, lambda present: None)

    def note(self, event: Event, patience: timedelta) -> str | None:
        self.told.append((event.record.id, event.number))
        return None

    def run(self, **how: Any) -> DeliveryResult:
        return Delivery(self.store, self.clock, Silent(), self.hooks).run(**how)

    @property
    def counts(self) -> dict[str, int]:
        return {record.id: record.delivered for record in self.store.snapshot().records}


@pytest.fixture
def scene() -> Scene:
    return Scene()


def a_life(record_id: str) -> Instance:
    """provisioning 1, attempt 2, stopping 3, terminated 4."""
    record = provisioning(a_ready_instance(record_id))
    record = advance(record, Status.STOPPING, NOON)
    return advance(record, Status.TERMINATED, NOON)


def test_each_event_is_delivered_once_and_in_order_and_events_without_a_hook_are_skipped(scene: Scene) -> None:
    scene.has(a_life(ONE))
    assert scene.run().count == 3
    assert scene.told == [(ONE, 1), (ONE, 3), (ONE, 4)]
    assert scene.run().count == 0
    assert scene.counts == {ONE: 4}


def test_delivery_changes_no_record(scene: Scene) -> None:
    record = a_life(ONE)
    scene.has(record)
    scene.run()
    assert scene.store.snapshot().records == (record.with_fields(delivered=4),)


def test_a_kill_between_delivery_and_count_delivers_only_that_event_again(scene: Scene) -> None:
    scene.has(a_life(ONE))

    def killed(event: Event, patience: timedelta) -> str | None:
        scene.note(event, patience)
        raise Killed

    told_stopping, scene.hooks["stopping"] = scene.hooks["stopping"], killed
    with pytest.raises(Killed):
        scene.run()
    scene.hooks["stopping"] = told_stopping
    scene.run()
    assert scene.told == [(ONE, 1), (ONE, 3), (ONE, 3), (ONE, 4)]


def test_a_hook_that_fails_holds_back_its_instance_s_later_events_and_no_other_instance_s(scene: Scene) -> None:
    scene.has(a_life(ONE), provisioning(a_ready_instance(TWO)))
    scene.hooks["stopping"] = lambda event, patience: "exited with 1"
    done = scene.run()
    assert scene.told == [(ONE, 1), (TWO, 1)]
    assert (done.failures, done.left) == ({"stopping": "exited with 1"}, 2)
    scene.hooks["stopping"] = scene.note
    scene.run()
    assert scene.told[2:] == [(ONE, 3), (ONE, 4)]


def test_a_hook_that_failed_is_not_called_again_in_the_same_run(scene: Scene) -> None:
    scene.has(*(a_life(f"inst-{number:012}") for number in range(20)))
    calls = []

    def slow(event: Event, patience: timedelta) -> str | None:
        calls.append(patience)
        scene.clock.move(patience)
        return "timed out after 10s"

    scene.hooks["provisioning"] = slow
    scene.run()
    assert calls == [HOOK_TIMEOUT]


def test_a_run_ends_in_time_though_every_hook_takes_all_of_its_own(scene: Scene) -> None:
    scene.has(*(a_life(f"inst-{number:012}") for number in range(20)))

    def slow(event: Event, patience: timedelta) -> str | None:
        scene.clock.move(min(patience, timedelta(seconds=9)))
        return scene.note(event, patience)

    scene.hooks = dict.fromkeys(scene.hooks, slow)
    before = scene.clock.elapsed()
    done = scene.run()
    assert scene.clock.elapsed() - before <= DELIVER_WITHIN
    assert (done.count, done.left > 0) == (4, True)
    scene.run(within=timedelta(0))
    assert len(scene.told) == 4


def test_events_written_during_a_delivery_are_delivered_too(scene: Scene) -> None:
    scene.has(provisioning(a_ready_instance(ONE)))

    def ends_it(event: Event, patience: timedelta) -> str | None:
        scene.store.update(ONE, lambda record: advance(record, Status.STOPPING, NOON))
        return scene.note(event, patience)

    scene.hooks["provisioning"] = ends_it
    scene.run()
    assert scene.told == [(ONE, 1), (ONE, 3)]


def test_what_is_a_day_old_is_given_up_and_counted_once(scene: Scene) -> None:
    scene.has(a_life(ONE))
    scene.clock.move(DROPPED_AFTER - timedelta(minutes=1))
    scene.store.update(ONE, lambda record: note(record, EventName.READY, scene.clock.now()))
    assert scene.run(within=timedelta(0)).dropped == 0
    scene.clock.move(timedelta(seconds=1))
    assert scene.run().dropped == 3
    assert scene.told == [(ONE, 5)]
    assert scene.run() == DeliveryResult()


def test_the_oldest_waiting_event_goes_first(scene: Scene) -> None:
    young = provisioning(a_ready_instance(TWO, created_at=NOON + timedelta(seconds=30)))
    scene.has(young, provisioning(a_ready_instance(ONE)))
    scene.run()
    assert scene.told == [(ONE, 1), (TWO, 1)]


def test_a_bug_in_the_delivery_for_one_instance_does_not_affect_the_others(scene: Scene) -> None:
    scene.has(provisioning(a_ready_instance(ONE)), provisioning(a_ready_instance(TWO)))

    def buggy(event: Event, patience: timedelta) -> str | None:
        if event.record.id == ONE:
            raise ZeroDivisionError
        return scene.note(event, patience)

    scene.hooks["provisioning"] = buggy
    scene.run()
    assert scene.told == [(TWO, 1)]


def test_a_process_that_hung_delivers_nothing_when_another_has_taken_its_lease(scene: Scene) -> None:
    scene.has(a_life(ONE))
    leases, others = MemoryLeases(scene.clock), []
    lease = leases.acquire(LeaseName.HOOKS, "host 1", timedelta(minutes=2))
    assert lease is not None

    def hangs(event: Event, patience: timedelta) -> str | None:
        scene.clock.move(timedelta(minutes=2))
        others.append(leases.acquire(LeaseName.HOOKS, "host 2", timedelta(minutes=2)))
        return scene.note(event, patience)

    scene.hooks["provisioning"] = hangs
    delivery = Delivery(scene.store, scene.clock, Silent(), scene.hooks, partial(leases.is_current, lease))
    delivery.run(timedelta(minutes=9))
    assert (scene.told, len(others)) == ([(ONE, 1)], 1)
