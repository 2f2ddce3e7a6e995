"""Decisions of a tick that another process overtakes between the plan and its execution."""

import random
from collections.abc import Callable
from decimal import Decimal

import pytest
from faults.pools import GuardedCloud, _World
from faults.world import broken
from support.instances import NOON
from support.pools import MINUTE, a_pool

from gpuctl.domain.money.budgets import Budgets
from gpuctl.domain.pools.leasing import NotFree
from gpuctl.domain.pools.spec import Reuse
from gpuctl.domain.tags import parse_deadline
from gpuctl.services.pools.launch import PoolFullError
from gpuctl.services.pools.lease import LeaseRequest, lease_instance
from gpuctl.services.pools.release import ReleaseRequest, extend_lease, release
from gpuctl.services.pools.scale import scale


@pytest.fixture(name="world")
def idle_world_fixture() -> _World:
    return idle_world()


def idle_world() -> _World:
    """A pool with one idle instance, which is terminated as soon as it is idle."""
    world = _World(random.Random(1))
    world.pool = a_pool(reuse=Reuse.ANY, policy="on-demand", max=1)
    world.pools.change("train", lambda present: world.pool)
    lease(world)
    (record,) = world.records()
    assert record.pool is not None and record.pool.lease is not None
    release(world.tools, record.pool.lease.id, ReleaseRequest(), lambda record, command: None)
    return world


def lease(world: _World) -> None:
    wanted = LeaseRequest("ana", None, None, 20 * MINUTE, None)
    lease_instance(world.tools, "train", wanted, [], lambda records: None)


def tag(cloud: GuardedCloud) -> object:
    (instance,) = cloud.active
    return parse_deadline(instance.tags["gpuctl-expires-at"])


def test_an_instance_that_is_leased_after_the_plan_was_made_is_not_terminated(world: _World) -> None:
    world.cloud.after, world.cloud.interlude = 0, lambda: lease(world)
    result = scale(world.tools, [], is_dry_run=False)
    assert result.done == []
    assert len(world.cloud.active) == 1


def test_the_deadline_of_an_instance_that_is_leased_before_its_renewal_is_that_of_the_lease(world: _World) -> None:
    world.pools.change("train", lambda present: world.pool.with_fields(policy="keep:10m"))
    world.cloud.pass_time(9 * MINUTE)
    # The first call is the one that asks whose the credentials are.
    world.cloud.after, world.cloud.interlude = 0, lambda: lease(world)
    scale(world.tools, [], is_dry_run=False)
    (record,) = world.records()
    assert record.expires_at == tag(world.cloud) == NOON + 34 * MINUTE


def test_a_lease_of_an_idle_instance_moves_its_deadline_at_the_provider_and_in_the_record(world: _World) -> None:
    lease(world)
    (record,) = world.records()
    assert record.expires_at == tag(world.cloud) == NOON + 25 * MINUTE


def test_no_instance_is_leased_while_its_deadline_is_on_its_way_to_the_provider(world: _World) -> None:
    world.pools.change("train", lambda present: world.pool.with_fields(policy="keep:10m"))
    world.cloud.pass_time(9 * MINUTE)
    refusals: list[str] = []

    def other() -> None:
        try:
            lease(world)
        except PoolFullError as full:
            refusals.append(full.message)

    world.cloud.after, world.cloud.interlude = 1, other
    scale(world.tools, [], is_dry_run=False)
    (record,) = world.records()
    assert len(refusals) == 1
    assert record.expires_at == tag(world.cloud) == NOON + 24 * MINUTE
    lease(world)
    assert tag(world.cloud) == NOON + 34 * MINUTE


def test_a_renewal_that_a_budget_refuses_leaves_the_deadline_at_the_provider_as_it_is_in_the_record(
    world: _World,
) -> None:
    world.pools.change("train", lambda present: world.pool.with_fields(policy="keep:10m"))
    world.cloud.pass_time(9 * MINUTE)
    (before,) = world.records()
    world.budgets = Budgets(daily_usd=Decimal("0.10"))
    (result,) = scale(world.tools, [], is_dry_run=False).done
    (record,) = world.records()
    assert "budget" in result.reason
    assert (record.expires_at, tag(world.cloud)) == (before.expires_at, before.expires_at)
    assert record.unconfirmed_deadlines == ()


def test_an_extension_that_a_release_overtakes_leaves_no_later_deadline_at_the_provider(world: _World) -> None:
    lease(world)
    (record,) = world.records()
    assert record.pool is not None and record.pool.lease is not None
    lease_id = record.pool.lease.id
    world.cloud.after = 1
    world.cloud.interlude = lambda: release(world.tools, lease_id, ReleaseRequest(), lambda *_: None) and None
    with pytest.raises(NotFree):
        extend_lease(world.tools, lease_id, 60 * MINUTE)
    (record,) = world.records()
    assert record.expires_at == tag(world.cloud) == NOON + 15 * MINUTE


@pytest.mark.parametrize(
    ("rule", "test"),
    [
        (
            "deadlines not repaired",
            test_a_renewal_that_a_budget_refuses_leaves_the_deadline_at_the_provider_as_it_is_in_the_record,
        ),
        (
            "deadlines not repaired",
            test_an_extension_that_a_release_overtakes_leaves_no_later_deadline_at_the_provider,
        ),
        ("leased since the plan was made", test_an_instance_that_is_leased_after_the_plan_was_made_is_not_terminated),
        (
            "lease without a deadline of its own",
            test_a_lease_of_an_idle_instance_moves_its_deadline_at_the_provider_and_in_the_record,
        ),
        (
            "deadlines on their way not noticed",
            test_no_instance_is_leased_while_its_deadline_is_on_its_way_to_the_provider,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_tests_above_fail_with_a_rule_broken(rule: str, test: Callable[[_World], None]) -> None:
    with broken([rule]), pytest.raises(AssertionError):
        test(idle_world())


def test_a_lease_waits_for_no_instance_whose_deadline_is_on_its_way(world: _World) -> None:
    (record,) = world.records()
    world.store.update(record.id, lambda fresh: fresh.with_fields(unconfirmed_deadlines=(NOON + 15 * MINUTE,)))
    with pytest.raises(PoolFullError):
        lease(world)
    world.pools.change("train", lambda present: world.pool.with_fields(policy="keep:10m"))
    scale(world.tools, [], is_dry_run=False)
    lease(world)


def test_two_ticks_at_once_launch_the_minimum_once() -> None:
    world = _World(random.Random(1))
    world.pool = a_pool(min=2, max=4)
    world.pools.change("train", lambda present: world.pool)
    world.store.after, world.store.interlude = 2, lambda: scale(world.tools, [], is_dry_run=False) and None
    scale(world.tools, [], is_dry_run=False)
    assert len(world.cloud.active) == 2


def test_the_test_above_fails_if_launches_of_another_tick_are_not_noticed() -> None:
    with broken(["launches of another tick not noticed"]), pytest.raises(AssertionError):
        test_two_ticks_at_once_launch_the_minimum_once()
