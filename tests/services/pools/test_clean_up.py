"""Releases that clean one instance at the same time, and a release that dies while it cleans."""

import random
import signal
from threading import Event, Thread

import pytest
from faults.pools import _World
from faults.world import broken
from support.clock import StepClock
from support.fake_cloud import Crash
from support.instances import NOON
from support.pools import MINUTE, a_pool

from gpuctl.domain.instance import Instance
from gpuctl.domain.membership import Lease, LeaseOutcome
from gpuctl.domain.pools.events import PoolEventName
from gpuctl.domain.pools.spec import Reuse
from gpuctl.errors import GpuctlError, Interrupted, UsageError
from gpuctl.services.pools.clean_up import Clean
from gpuctl.services.pools.launch import PoolFullError
from gpuctl.services.pools.lease import LeaseRequest, lease_instance
from gpuctl.services.pools.release import ReleasedLease, ReleaseRequest, extend_lease, release
from gpuctl.services.pools.scale import scale


def leased_world(clock: StepClock | None = None) -> tuple[_World, str]:
    """A pool with one instance, which is on lease and is used again after a clean-up; and the lease."""
    world = _World(random.Random(1), clock=clock or StepClock(NOON, [None] * 500))
    world.pool = a_pool(reuse=Reuse.ANY, policy="keep:10m", max=1, on_release="clean")
    world.pools.change("train", lambda present: world.pool)
    return world, lease(world)


def lease(world: _World) -> str:
    wanted = LeaseRequest("ana", None, None, 20 * MINUTE, None)
    return lease_instance(world.tools, "train", wanted, [], lambda records: None).lease.id


def last_lease(world: _World) -> Lease:
    (record,) = world.records()
    assert record.pool is not None
    return record.pool.leases[-1]


def released(world: _World, lease_id: str, clean: Clean, *, is_dirty: bool = False) -> ReleasedLease:
    return release(world.tools, lease_id, ReleaseRequest(is_dirty), clean)


def never(record: Instance, command: str) -> GpuctlError | None:
    raise AssertionError("a second clean-up of an instance that is being cleaned")


def dies(record: Instance, command: str) -> GpuctlError | None:
    raise Crash


def second_release_waits() -> None:
    """The first release cleans until the second one waits for it; then both are over."""
    begun, may_end = Event(), Event()
    results: list[ReleasedLease] = []

    def first_ends() -> None:
        may_end.set()
        first.join()

    world, lease_id = leased_world(StepClock(NOON, [first_ends, None]))

    def slow(record: Instance, command: str) -> GpuctlError | None:
        begun.set()
        may_end.wait()
        return None

    first = Thread(target=lambda: results.append(released(world, lease_id, slow)))
    first.start()
    begun.wait()
    try:
        results.append(released(world, lease_id, never))
    finally:
        first_ends()
    assert [result.lease.outcome for result in results] == [LeaseOutcome.RETURNED] * 2
    history = [event.event for event in world.pools.history("train", NOON)]
    assert history == [PoolEventName.LEASED, PoolEventName.RELEASED]
    assert len(world.cloud.active) == 1


def test_of_two_releases_at_once_one_cleans_and_both_report_the_same() -> None:
    second_release_waits()


def test_the_test_above_fails_if_clean_ups_are_not_marked() -> None:
    with broken(["clean-ups not marked"]), pytest.raises(AssertionError, match="second clean-up"):
        second_release_waits()


def test_a_release_that_hangs_while_it_cleans_is_overtaken_and_its_instance_is_terminated() -> None:
    world, lease_id = leased_world()
    overtaking: list[ReleasedLease] = []

    def hangs(record: Instance, command: str) -> GpuctlError | None:
        overtaking.append(released(world, lease_id, never))
        return None

    late = released(world, lease_id, hangs)
    assert overtaking[0].lease == late.lease
    assert (late.lease.outcome, late.lease.is_dirty, world.cloud.active) == (LeaseOutcome.ENDED, True, [])


def test_the_instance_of_a_release_that_died_while_it_cleaned_is_terminated_by_a_tick() -> None:
    world, lease_id = leased_world()
    with pytest.raises(Crash):
        released(world, lease_id, dies)
    world.cloud.pass_time(5 * MINUTE)
    scale(world.tools, [], is_dry_run=False)
    with pytest.raises(PoolFullError):
        lease(world)
    with pytest.raises(UsageError, match="is being released"):
        extend_lease(world.tools, lease_id, 30 * MINUTE)
    assert len(world.cloud.active) == 1
    world.cloud.pass_time(MINUTE)
    (result,) = scale(world.tools, [], is_dry_run=False).done
    assert result.reason == f"{lease_id} was not cleaned up in time"
    assert (last_lease(world).is_dirty, world.cloud.active) == (True, [])


def test_the_instance_of_a_release_that_died_while_it_cleaned_is_terminated_by_the_next_release() -> None:
    world, lease_id = leased_world()
    with pytest.raises(Crash):
        released(world, lease_id, dies)
    again = released(world, lease_id, never)
    assert (again.lease.outcome, again.lease.is_dirty, world.cloud.active) == (LeaseOutcome.ENDED, True, [])
    assert world.clock.now() - NOON == 6 * MINUTE


def test_a_dirty_release_waits_for_no_clean_up() -> None:
    world, lease_id = leased_world()
    with pytest.raises(Crash):
        released(world, lease_id, dies)
    assert released(world, lease_id, never, is_dirty=True).lease.is_dirty
    assert (world.clock.now(), world.cloud.active) == (NOON, [])


def test_a_signal_during_the_clean_up_terminates_the_instance() -> None:
    world, lease_id = leased_world()

    def interrupted(record: Instance, command: str) -> GpuctlError | None:
        raise Interrupted("interrupted by SIGINT", signal_number=signal.SIGINT)

    with pytest.raises(Interrupted):
        released(world, lease_id, interrupted)
    assert (last_lease(world).is_dirty, world.cloud.active) == (True, [])


def test_a_signal_while_another_release_cleans_leaves_the_instance_to_that_one() -> None:
    world, lease_id = leased_world(StepClock(NOON, []))
    with pytest.raises(Crash):
        released(world, lease_id, dies)
    with pytest.raises(Interrupted):
        released(world, lease_id, never)
    assert (last_lease(world).is_open, len(world.cloud.active)) == (True, 1)
