"""Pools, and instances of pools, with sensible values."""

from datetime import datetime, timedelta
from typing import Any

from support.instances import NOON, a_ready_instance

from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.membership import Lease, Membership
from gpuctl.domain.pools.spec import Pool, PoolOffer

MINUTE = timedelta(minutes=1)


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
