"""Which instance a lease takes, and what taking and releasing it change."""

from datetime import timedelta

import pytest
from support.instances import NOON, an_instance
from support.pools import MINUTE, a_lease, a_leased_member, a_pool, an_idle_member

from gpuctl.domain.instance import Instance, Reason, Status
from gpuctl.domain.lifecycle import advance, became_ready
from gpuctl.domain.membership import LeaseOutcome, Membership
from gpuctl.domain.pools.leasing import (
    LeaseWork,
    NotFree,
    drained,
    ended,
    extended,
    free_instances,
    given_back,
    is_counted,
    returned,
    with_new_lease,
)
from gpuctl.domain.pools.spec import MOST_LEASES, Reuse
from gpuctl.errors import UsageError

REUSED = {"reuse": Reuse.USER, "on_release": "true"}


def test_a_lease_takes_the_most_recently_used_idle_instance_and_then_the_oldest_starting_one() -> None:
    old, new = an_idle_member(1, NOON - 5 * MINUTE), an_idle_member(2, NOON - MINUTE)
    starting = [
        an_instance(f"inst-{number:012d}", pool=Membership(pool="train"), created_at=NOON - number * MINUTE)
        for number in (3, 4)
    ]
    idle, booting = free_instances([old, *starting, new], a_pool(), a_lease(), NOON)
    assert [record.id for record in idle] == [new.id, old.id]
    assert [record.id for record in booting] == ["inst-000000000004", "inst-000000000003"]


@pytest.mark.parametrize(
    "record",
    [
        a_leased_member(),
        an_idle_member(status=Status.RUNNING),
        an_idle_member(status=Status.STOPPING),
        an_idle_member(pool="other"),
        an_idle_member(expires_at=NOON + timedelta(seconds=20)),
        an_idle_member(unconfirmed_deadlines=(NOON,)),
        an_idle_member(created_at=NOON - timedelta(hours=11, minutes=50)),
        drained(an_idle_member(), NOON),
        an_idle_member(membership=Membership(pool="train", leases=(a_lease(released_at=NOON),), group=None)),
    ],
    ids=["leased", "running", "stopping", "other pool", "expiring", "moving", "too old", "draining", "used once"],
)
def test_an_instance_that_is_not_free_is_not_leased(record: Instance) -> None:
    assert free_instances([record], a_pool(), a_lease(), NOON) == ([], [])
    with pytest.raises(NotFree):
        with_new_lease(record, a_pool(), a_lease(), NOON)


def test_a_lease_is_in_the_record_with_whose_work_the_instance_does() -> None:
    record = with_new_lease(an_idle_member(), a_pool(), a_lease(), NOON)
    assert (record.status, record.user, record.task) == (Status.RUNNING, "bo", "t1")
    assert record.pool is not None and record.pool.lease == a_lease()
    assert record.history[-1].detail == "lease-000000000001 until 2026-11-24T12:30:00Z, user bo, task t1"
    with pytest.raises(NotFree):
        with_new_lease(record, a_pool(), a_lease("lease-000000000002"), NOON)


@pytest.mark.parametrize(
    ("reuse", "next_lease", "may_follow"),
    [
        (Reuse.ANY, {"user": "cy", "purpose": "other"}, True),
        (Reuse.USER, {"purpose": "other"}, True),
        (Reuse.USER, {"user": "cy"}, False),
        (Reuse.PURPOSE, {}, True),
        (Reuse.PURPOSE, {"purpose": "other"}, False),
        # Two users never share an instance, except where the pool says `any`.
        (Reuse.PURPOSE, {"user": "cy"}, False),
    ],
)
def test_only_a_lease_of_the_same_reuse_group_follows(
    reuse: Reuse, next_lease: dict[str, str], may_follow: bool
) -> None:
    pool = a_pool(reuse=reuse, on_release="true")
    record = returned(with_new_lease(an_idle_member(), pool, a_lease(), NOON), pool, a_lease().id, NOON + MINUTE)
    idle, _ = free_instances([record], pool, a_lease("lease-000000000002", **next_lease), NOON + MINUTE)
    assert bool(idle) is may_follow


def test_a_returned_instance_is_idle_again_and_keeps_what_was_done() -> None:
    pool = a_pool(**REUSED)
    leased = with_new_lease(an_idle_member(), pool, a_lease(), NOON)
    record = returned(leased, pool, a_lease().id, NOON + MINUTE, LeaseWork(unit="docs"))
    assert (record.status, record.user, record.task) == (Status.READY, "ana", None)
    assert record.pool is not None and record.pool.idle_since == NOON + MINUTE
    (lease,) = record.pool.leases
    assert (lease.outcome, lease.released_at, lease.unit) == (LeaseOutcome.RETURNED, NOON + MINUTE, "docs")
    assert returned(record, pool, lease.id, NOON + 2 * MINUTE) is record


def test_an_instance_is_not_returned_that_is_used_once_draining_expired_or_worn() -> None:
    pool = a_pool(**REUSED)
    leased = with_new_lease(an_idle_member(), pool, a_lease(), NOON)
    many = tuple(a_lease(f"lease-{number:012d}", released_at=NOON) for number in range(2, MOST_LEASES + 1))
    assert leased.pool is not None
    worn = leased.with_fields(pool=leased.pool.with_fields(leases=(*many, a_lease())))
    for record, now, spec in (
        (leased, NOON, a_pool()),
        (drained(leased, NOON), NOON, pool),
        (leased, NOON + 30 * MINUTE, pool),
        (worn, NOON, pool),
    ):
        with pytest.raises(NotFree):
            returned(record, spec, a_lease().id, now)


def test_an_ended_lease_ends_the_instance_in_the_same_change() -> None:
    leased = with_new_lease(an_idle_member(), a_pool(), a_lease(), NOON)
    record = ended(leased, a_lease().id, NOON + MINUTE, is_dirty=True)
    assert (record.status, record.reason) == (Status.STOPPING, Reason.USER)
    assert record.pool is not None
    assert (record.pool.leases[0].outcome, record.pool.leases[0].is_dirty) == (LeaseOutcome.ENDED, True)
    assert ended(record, a_lease().id, NOON + 2 * MINUTE, is_dirty=False) is record


def test_a_lease_can_be_released_after_its_instance_was_terminated() -> None:
    terminated = advance(a_leased_member(lease=a_lease()), Status.TERMINATED, NOON, Reason.INTERRUPTED)
    record = ended(terminated, a_lease().id, NOON + MINUTE, is_dirty=False)
    assert record.status is Status.TERMINATED
    assert record.pool is not None and record.pool.leases[0].outcome is LeaseOutcome.ENDED


def test_a_lease_that_was_not_used_leaves_no_trace_in_the_reuse_group() -> None:
    record = given_back(with_new_lease(an_idle_member(), a_pool(), a_lease(), NOON), a_lease().id, NOON)
    idle, _ = free_instances([record], a_pool(), a_lease("lease-000000000002", user="cy"), NOON)
    assert [free.id for free in idle] == [record.id]
    assert given_back(record, a_lease().id, NOON) is record


def test_a_lease_is_extended_and_never_shortened() -> None:
    record = extended(a_leased_member(lease=a_lease()), a_lease().id, NOON + 40 * MINUTE, NOON)
    assert record.pool is not None and record.pool.lease is not None
    assert record.pool.lease.expires_at == NOON + 40 * MINUTE
    with pytest.raises(UsageError, match="earlier"):
        extended(record, a_lease().id, NOON + 30 * MINUTE, NOON)
    with pytest.raises(UsageError, match="over"):
        extended(record, a_lease().id, NOON + 60 * MINUTE, NOON + 40 * MINUTE)


def test_an_instance_leased_while_it_starts_is_running_as_soon_as_it_is_ready() -> None:
    starting = an_instance(status=Status.CONFIGURING, pool=Membership(pool="train"), expires_at=NOON + 15 * MINUTE)
    record = became_ready(with_new_lease(starting, a_pool(), a_lease(), NOON), NOON + MINUTE)
    assert (record.status, record.ready_at) == (Status.RUNNING, NOON + MINUTE)
    free = became_ready(starting, NOON + MINUTE)
    assert free.status is Status.READY
    assert free.pool is not None and free.pool.idle_since == NOON + MINUTE


def test_an_instance_counts_until_its_provider_has_accepted_the_termination() -> None:
    stopping = an_idle_member(status=Status.STOPPING)
    assert is_counted(stopping)
    assert not is_counted(stopping.with_fields(deleted_by_us_at=NOON))
