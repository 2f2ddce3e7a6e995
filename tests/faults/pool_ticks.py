"""Gate H2: a tick of a pool that launches, renews and terminates is killed at each of its steps."""

import json
from collections.abc import Sequence
from typing import Any

from faults.crashes import COMMANDS, crash_points
from faults.world import Scenario, Score, World

from gpuctl.domain.tags import parse_deadline

LEAST, MOST = 2, 3
_TYPE = ("g4dn.xlarge", "--region", "us-east-1")
_CREATE = ("pool", "create", "train", *_TYPE, "--min", str(LEAST), "--max", str(MOST))


def ticks_killed(world: World, mutants: Sequence[str] = (), share: int = 1, **size: Any) -> Score:
    """H2: the tick is killed at every cloud call in every phase, and at every step of every file write."""
    return crash_points(world, mutants, share, ("tick",), **size, kind=PoolScenario)


def two_instances_to_care_for(scenario: Scenario) -> None:
    """One idle instance whose deadline has to be renewed, and one whose lease has expired: another takes its place."""
    _done(scenario, *_CREATE, "--reuse", "any", "--yes", "--policy", "keep:10m")
    _done(scenario, "lease", "train", "--for", "5m")
    to_return = _done(scenario, "lease", "train", "--for", "20m")["lease"]["id"]
    _done(scenario, "release", to_return)
    scenario.later(minutes=8)
    scenario.wire.sent.clear()


# Beside the commands of A1, which go on without pools.
COMMANDS["tick"] = (two_instances_to_care_for, ("pool", "scale"))


class PoolScenario(Scenario):
    """After the kill the next tick is on time, and somebody leases an instance for half an hour."""

    def finish(self, acknowledged: Sequence[str] = ()) -> list[str]:
        self.wire.watch = lambda phase, sent: True
        for _ in range(2):
            self._count_instances()
            self.later(minutes=1)
            # In this order the reaper does nothing that the tick itself has to notice.
            self.run("pool", "scale")
            self.run("reap")
        self._count_instances()
        leased = self.run("lease", "train", "--for", "30m", "-o", "json")
        if leased.code != 0:
            self.faults.append(f"no instance is leased: {leased.out}")
        else:
            self._check_deadline(leased.json["instance"]["cloudInstanceId"], leased.json["lease"]["expiresAt"])
        return super().finish(acknowledged)

    def _count_instances(self) -> None:
        active = [instance for instance in self.ours if instance["state"] not in ("terminated", "shutting-down")]
        if len(active) > MOST:
            self.faults.append(f"{len(active)} instances of at most {MOST}")
        if len(self.ours) > LEAST + 1:
            self.faults.append(f"{len(self.ours) - LEAST} instances in the place of one")

    def _check_deadline(self, cloud_id: str, end: str) -> None:
        (tags,) = [instance["tags"] for instance in self.ours if instance["id"] == cloud_id]
        deadline = parse_deadline(tags["gpuctl-expires-at"])
        if deadline is None or deadline.isoformat() <= end:
            self.faults.append(f"a lease until {end} is cut short at {deadline}")


def _done(scenario: Scenario, *argv: str) -> dict[str, Any]:
    ran = scenario.run(*argv, "-o", "json")
    assert ran.code == 0, ran.out
    document: dict[str, Any] = json.loads(ran.out)
    return document
