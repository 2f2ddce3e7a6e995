"""The plan of a tick."""

from datetime import datetime, timedelta

import pytest
from support.instances import NOON, an_instance
from support.pools import MINUTE, a_lease, a_leased_member, a_pool, an_idle_member

from gpuctl.domain.instance import Instance, Reason, Status
from gpuctl.domain.membership import Membership, Origin
from gpuctl.domain.pools.leasing import drained
from gpuctl.domain.pools.load import Demand, QueueReading, demand_of, unknown_demand
from gpuctl.domain.pools.plan import Outlook, PoolAction, PoolActionKind, counts_of, plan_pool
from gpuctl.domain.pools.spec import Pool, PoolStatus

NONE = Demand(0, 0, 0)
KEEP = Outlook(idle_limit=10 * MINUTE)


def a_starting_member(number: int = 9, **facts: object) -> Instance:
    values = {"pool": Membership(pool="train"), "expires_at": NOON + 15 * MINUTE, "status": Status.CONFIGURING}
    cloud_id = f"i-{number:017d}"
    return an_instance(f"inst-{number:012d}", cloud_id=cloud_id, **values | facts)  # type: ignore[arg-type]


def planned(
    pool: Pool,
    *records: Instance,
    demand: Demand = NONE,
    outlook: Outlook = KEEP,
    now: datetime = NOON,
) -> list[tuple[str, str | None]]:
    actions = plan_pool(pool, records, demand, outlook, now)
    return [(action.kind.value, action.record.id[-1] if action.record else None) for action in actions]


def demanded(instances: int) -> Demand:
    return Demand(instances, 0, instances)


def test_a_pool_without_demand_launches_nothing() -> None:
    assert planned(a_pool()) == []


def test_demand_launches_any_number_at_once_minus_what_starts_and_never_more_than_the_maximum() -> None:
    assert planned(a_pool(max=8), a_starting_member(), demand=demanded(5)) == [("launch", None)] * 4
    assert len(planned(a_pool(max=3), demand=demanded(5))) == 3


def test_instances_that_are_being_terminated_count_until_the_provider_has_accepted_it() -> None:
    stopping = an_idle_member(1, status=Status.STOPPING)
    assert planned(a_pool(max=2), stopping, demand=demanded(2)) == [("launch", None)]
    accepted = stopping.with_fields(deleted_by_us_at=NOON)
    assert planned(a_pool(max=2), accepted, demand=demanded(2)) == [("launch", None)] * 2


def test_the_minimum_and_spares_are_launched_without_demand() -> None:
    assert planned(a_pool(min=2)) == [("launch", None)] * 2
    actions = plan_pool(a_pool(min=1), (), NONE, Outlook(spares=3), NOON)
    assert [(action.origin, action.reason) for action in actions] == [
        (Origin.DEMAND, "at least 1"),
        (Origin.SPARE, "spare"),
        (Origin.SPARE, "spare"),
    ]


def test_a_fixed_number_holds_whatever_the_demand_is() -> None:
    fixed = Outlook(fixed=2, idle_limit=None)
    assert planned(a_pool(), demand=demanded(5), outlook=fixed) == [("launch", None)] * 2


def test_only_idle_instances_are_terminated_the_oldest_idle_first_after_the_quiet_time() -> None:
    records = [
        an_idle_member(1, NOON - 12 * MINUTE),
        an_idle_member(2, NOON - 30 * MINUTE),
        an_idle_member(3, NOON - 5 * MINUTE),
        a_leased_member(4),
        a_starting_member(5),
    ]
    demand = Demand(0, 1, 1)
    assert planned(a_pool(), *records, demand=demand) == [("end", "2"), ("end", "1")]
    assert planned(a_pool(min=4), *records, demand=demand) == [("end", "2")]


def test_an_instance_of_no_demand_is_terminated_at_once_without_an_idle_limit() -> None:
    assert planned(a_pool(), an_idle_member(1), outlook=Outlook()) == [("end", "1")]


def test_an_unknown_demand_holds_and_lets_deadlines_drain_the_pool() -> None:
    unknown = unknown_demand(1, "the queue could not be read: no answer")
    late = an_idle_member(1, NOON - 60 * MINUTE, expires_at=NOON + MINUTE)
    actions = plan_pool(a_pool(min=5), [late, a_leased_member(2)], unknown, KEEP, NOON)
    assert [(action.kind, action.reason, action.unresolved) for action in actions] == [
        (PoolActionKind.HOLD, "the queue could not be read: no answer", True)
    ]


def test_an_expired_lease_terminates_its_instance_whatever_the_demand_is() -> None:
    record = a_leased_member(1, a_lease(span=5 * MINUTE))
    for demand in (Demand(0, 1, 1), unknown_demand(1, "no")):
        (action, *_) = plan_pool(a_pool(), [record], demand, KEEP, NOON + 5 * MINUTE)
        assert (action.kind, action.because) == (PoolActionKind.END, Reason.EXPIRED)
    assert planned(a_pool(), record, demand=Demand(0, 1, 1), now=NOON + 4 * MINUTE) == []


def test_a_draining_pool_terminates_what_is_idle_and_drains_what_is_leased() -> None:
    pool = a_pool(status=PoolStatus.DRAINING, min=2)
    records = [an_idle_member(1), a_leased_member(2), a_starting_member(3)]
    assert planned(pool, *records, demand=Demand(0, 1, 1)) == [("end", "1"), ("end", "3"), ("drain", "2")]
    assert planned(pool, drained(a_leased_member(2), NOON)) == []


def test_a_paused_pool_launches_nothing_and_terminates_what_was_idle_long_enough() -> None:
    pool = a_pool(status=PoolStatus.PAUSED, min=2)
    assert planned(pool, demand=demanded(3)) == []
    assert planned(pool, an_idle_member(1, NOON - 11 * MINUTE)) == [("end", "1")]


def test_an_instance_at_its_highest_age_is_terminated_when_idle_and_drained_when_leased() -> None:
    born = NOON - timedelta(hours=11, minutes=56)
    idle = an_idle_member(1, created_at=born)
    leased = a_leased_member(2, a_lease(span=2 * MINUTE), created_at=born)
    assert planned(a_pool(), idle, leased, demand=Demand(0, 1, 1)) == [("end", "1"), ("drain", "2")]


def test_a_task_without_a_lease_keeps_its_instance() -> None:
    busy = an_idle_member(1, NOON - 60 * MINUTE, status=Status.RUNNING, expires_at=NOON + MINUTE)
    assert planned(a_pool(), busy) == []


@pytest.mark.parametrize(
    ("minutes_left", "outlook", "renewed_to"),
    [
        (7.4, KEEP, 15),
        (7.6, KEEP, None),
        (4.9, Outlook(idle_limit=5 * MINUTE), 10),
        (5.1, Outlook(idle_limit=5 * MINUTE), None),
        (2.4, Outlook(), 5),
        (7.4, Outlook(idle_limit=None), 15),
        # Returned with the deadline of its lease: nearer.
        (60.0, KEEP, 15),
    ],
)
def test_the_deadline_of_an_idle_instance_is_short_and_renewed_when_less_than_half_is_left(
    minutes_left: float, outlook: Outlook, renewed_to: float | None
) -> None:
    record = an_idle_member(1, expires_at=NOON + minutes_left * MINUTE)
    actions = plan_pool(a_pool(min=1), [record], NONE, outlook, NOON)
    expected = [] if renewed_to is None else [NOON + renewed_to * MINUTE]
    assert [action.deadline for action in actions] == expected


def test_a_renewed_deadline_never_exceeds_the_highest_age() -> None:
    record = an_idle_member(1, created_at=NOON - timedelta(hours=11, minutes=50), expires_at=NOON + MINUTE)
    (action,) = plan_pool(a_pool(min=1), [record], NONE, KEEP, NOON)
    assert action.deadline == NOON + 10 * MINUTE


def test_the_deadline_of_a_leased_instance_is_five_minutes_after_its_lease() -> None:
    short = a_leased_member(1, expires_at=NOON + 10 * MINUTE)
    marked = a_leased_member(2, unconfirmed_deadlines=(NOON,))
    actions = plan_pool(a_pool(), [short, marked, a_leased_member(3)], Demand(0, 3, 3), KEEP, NOON)
    assert [(action.record and action.record.id[-1], action.deadline) for action in actions] == [
        ("1", NOON + 35 * MINUTE),
        ("2", NOON + 35 * MINUTE),
    ]


def test_an_instance_that_does_not_become_ready_is_not_renewed_for_ever() -> None:
    late = a_starting_member(1, expires_at=NOON + MINUTE, created_at=NOON - 20 * MINUTE)
    assert planned(a_pool(min=1), late) == [("renew", "1")]
    assert planned(a_pool(min=1), late.with_fields(created_at=NOON - 30 * MINUTE)) == []


def test_instances_are_counted_once_each() -> None:
    records = [
        an_idle_member(1),
        a_leased_member(2),
        a_starting_member(3),
        drained(a_leased_member(4), NOON),
        an_idle_member(5, status=Status.STOPPING),
        an_idle_member(6, pool="other"),
    ]
    counts = counts_of(records, "train")
    assert (counts.starting, counts.idle, counts.leased, counts.draining) == (1, 1, 1, 2)


@pytest.mark.parametrize(
    ("reading", "leased", "per_instance", "expected"),
    [
        (None, 2, 1, (0, 2, 2)),
        (QueueReading(5), 2, 1, (5, 2, 7)),
        (QueueReading(5), 0, 4, (5, 0, 2)),
        (QueueReading(5, 3), 2, 1, (5, 3, 8)),
        (QueueReading(0, 0), 2, 1, (0, 2, 2)),
        # Azure counts messages that are being processed, too.
        (QueueReading(5, includes_running=True), 2, 1, (3, 2, 5)),
        (QueueReading(1, includes_running=True), 2, 1, (0, 2, 2)),
    ],
)
def test_demand_is_what_waits_and_what_runs(
    reading: QueueReading | None, leased: int, per_instance: int, expected: tuple[int, int, int]
) -> None:
    demand = demand_of(reading, leased, per_instance)
    assert (demand.waiting, demand.running, demand.instances) == expected


def test_terminations_come_before_launches() -> None:
    records = [a_leased_member(1, a_lease(span=-MINUTE)), an_idle_member(2, expires_at=NOON + MINUTE)]
    actions: list[PoolAction] = plan_pool(a_pool(), records, demanded(4), KEEP, NOON)
    assert [action.kind.value for action in actions] == ["end", "renew", "launch", "launch", "launch"]
