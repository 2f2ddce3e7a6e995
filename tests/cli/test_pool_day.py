"""A day of a pool with real processes: create, lease from twenty at once, release, drain, delete."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from support.cli import Operator, Ran
from support.processes import environment, run_commands, started

WORKERS, MOST = 20, 8
LEASE = ("lease", "train", "--no-wait", "--for", "10m", "-o", "json")


def at_once(operator: Operator, commands: Sequence[Sequence[str]]) -> list[Ran]:
    """What each of the commands left, all of them started before the first is waited for."""
    processes = [started(operator, *argv) for argv in commands]
    ends = [(process.communicate(timeout=300), process.returncode) for process in processes]
    return [Ran(code, out.decode(), err.decode()) for (out, err), code in ends]


def in_turn(operator: Operator, *commands: Sequence[str]) -> list[Ran]:
    """What each of the commands left, one after the other."""
    return run_commands([[*argv, "-o", "json"] for argv in commands], environment(operator))


def instances_of(leases: Sequence[Ran]) -> set[str]:
    """The instances on lease: as many as there are leases, or two leases share one."""
    names = {ran.json["lease"]["instanceId"] for ran in leases}
    assert len(names) == len(leases)
    return names


def pool_counts(ran: Ran) -> dict[str, Any]:
    shape: dict[str, Any] = ran.json["pool"]["machines"]
    return shape


def test_twenty_processes_share_a_pool_from_its_creation_to_its_deletion(operator: Operator) -> None:
    operator.cloud.now = timedelta(0)
    create = ("pool", "create", "train", "g4dn.xlarge", "--region", "us-east-1", "--max", str(MOST))
    assert in_turn(operator, (*create, "--reuse", "any", "--yes"))[0].code == 0

    morning = at_once(operator, [(*LEASE, "--task", f"t{number}") for number in range(WORKERS)])
    assert sorted(ran.code for ran in morning) == [0] * MOST + [5] * (WORKERS - MOST), [ran.err for ran in morning]
    granted = [ran for ran in morning if ran.code == 0]
    leased = instances_of(granted)
    assert len(operator.active) == MOST

    ready = in_turn(operator, *(("wait", name) for name in sorted(leased)))
    assert {ran.code for ran in ready} == {0}
    half = [ran.json["lease"]["id"] for ran in granted[: MOST // 2]]
    released = in_turn(operator, *(("release", lease) for lease in half))
    assert [ran.json["lease"]["outcome"] for ran in released] == ["returned"] * len(half)
    free = {ran.json["lease"]["instanceId"] for ran in released}
    noon = at_once(operator, [LEASE for _ in half])
    assert instances_of(noon) == free
    assert len(operator.cloud.instances()) == MOST

    drained, show, refused = in_turn(
        operator, ("pool", "drain", "train"), ("pool", "show", "train"), ("lease", "train", "--no-wait")
    )
    assert (drained.code, pool_counts(show)["leased"] + pool_counts(show)["draining"], refused.code) == (0, MOST, 5)
    open_leases = [ran.json["lease"]["id"] for ran in (*granted[MOST // 2 :], *noon)]
    evening = in_turn(operator, *(("release", lease) for lease in open_leases))
    assert [ran.json["lease"]["outcome"] for ran in evening] == ["ended"] * MOST
    deleted, pools = in_turn(operator, ("pool", "delete", "train", "--yes"), ("pool", "list"))
    assert (deleted.code, pools.json["count"], operator.active) == (0, 0, [])
