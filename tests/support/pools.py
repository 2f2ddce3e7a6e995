"""Pools, and instances of pools, with sensible values."""

from datetime import datetime, timedelta
from typing import Any

from support.instances import NOON, a_ready_instance, an_instance

from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.membership import Lease, Membership
from gpuctl.domain.pools.events import PoolEvent, PoolEventName
from gpuctl.domain.pools.spec import Pool, PoolOffer
from gpuctl.store.base import State

MINUTE = timedelta(minutes=1)
THREE_IDS = tuple(f"inst-00000000000{number}" for number in (1, 2, 3))


def a_pool(name: str = "train", **facts: Any) -> Pool:
    offer = PoolOffer(instance_type="g4dn.xlarge", region="us-east-1")
    values = {"user": "ana", "offer": offer, "created_at": NOON, "updated_at": NOON, "policy": "on-demand"}
    return Pool(name=name, **values | facts)


def a_lease(
    lease_id: str = "lease-000000000001", since: datetime = NOON, span: timedelta = 30 * MINUTE, **facts: Any
) -> Lease:
    values = {"user": "bo", "task": "t1", "purpose": "AI Analysis", "since": since, "expires_at": since + span}
    return Lease(id=lease_id, **values | facts)


def an_idle_member(number: int = 1, idle_since: datetime = NOON, pool: str = "train", **facts: Any) -> Instance:
    membership = facts.pop("membership", Membership(pool=pool, idle_since=idle_since))
    values = {"expires_at": NOON + 15 * MINUTE, "pool": membership}
    return a_ready_instance(f"inst-{number:012d}", **values | facts)


def a_leased_member(number: int = 1, lease: Lease | None = None, pool: str = "train", **facts: Any) -> Instance:
    lease = lease or a_lease(f"lease-{number:012d}")
    membership = Membership(pool=pool, leases=(lease,), idle_since=NOON)
    values = {"status": Status.RUNNING, "expires_at": lease.expires_at + 5 * MINUTE}
    return an_idle_member(number, membership=membership, **values | facts)


def filled(state: State) -> State:
    """The same state, with two records, one in the archive, a pool with its history, and times of the reaper."""
    first, second, third = THREE_IDS
    ended = a_ready_instance(first, status=Status.TERMINATED, terminated_at=NOON)
    state.records.add([ended, an_instance(second), an_instance(third)], lambda present: None)
    state.records.archive(NOON + timedelta(hours=1))
    state.pools.change("train", lambda present: a_pool())
    event = PoolEvent(at=NOON, event=PoolEventName.LEASED)
    state.pools.append("train", [event, event])
    state.reaper.update(lambda times: times.model_copy(update={"last_reap_at": NOON}))
    return state
