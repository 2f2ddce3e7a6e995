"""Gates A6, A7, C3 and E3: the same attacks on Azure, where an instance is made of parts in several calls."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from faults.crashes import crash_points, die, points
from faults.lost_replies import every_fault, extend_against_reap
from faults.world import Scenario, Score, World
from support.azure import LoopbackAzure
from support.wire import FAILED_AFTER, LOST, NEVER_ARRIVED, TRUNCATED, Answer, Fault, Phase, Sent, refuse_arm

from gpuctl.domain.tags import deadline_tag

FAULTS: dict[str, Fault] = {
    "refused": refuse_arm("AuthorizationFailed", 403),
    "throttled": refuse_arm("TooManyRequests", 429),
    "failed with a code": refuse_arm("InternalServerError", 500),
    "reply lost": LOST,
    "never arrived": NEVER_ARRIVED,
    "503 after effect": FAILED_AFTER,
    "truncated": TRUNCATED,
    "no JSON": Fault(True, lambda _: (200, {"Content-Type": "application/json"}, b"<html>not what you asked for")),
    "capacity": refuse_arm("SkuNotAvailable"),
    "quota": refuse_arm("QuotaExceeded"),
}
ACTIONS = (
    "GET subscriptions", "GET providers", "GET skus", "GET versions", "GET resourceGroups", "PUT resourceGroups",
    "PUT networkSecurityGroups", "PUT virtualNetworks", "PUT virtualMachines", "PUT schedules", "GET schedules",
    "GET virtualMachines", "GET networkInterfaces", "GET resources", "PATCH resourceGroups", "DELETE resourceGroups",
)  # fmt: skip
CONDITIONS = ("no lag", "lost reply")


class AzureScenario(Scenario):
    """The same on Azure: every part that an instance leaves behind is a leak."""

    asking: ClassVar[tuple[str, ...]] = ("provision", "Standard_NC4as_T4_v3", "--region", "eastus", "--name", "n")
    # Azure takes no change of a timer in its last half hour: a late extend needs a timer that serves as it stands.
    race_ttl: ClassVar[int] = 10
    race_by: ClassVar[int] = 20
    asking_wider: ClassVar[tuple[str, ...]] = (*asking[:3], "eastus,westus2", *asking[4:])
    mutating: ClassVar[tuple[str, ...]] = ("PUT resourceGroups", "PUT virtualMachines", "DELETE resourceGroups")
    # Another process than the one that asked for an end knows it by absence: two looks, a minute apart.
    passes: ClassVar[tuple[int, ...]] = (0, 16, 165, 2, 2)

    @classmethod
    def login(cls, url: str) -> dict[str, str]:
        return {**super().login(url), "GPUCTL_AZURE_ENDPOINT": url}

    def __init__(self, folder: Path, workspace: World, mutants: tuple[str, ...]) -> None:
        super().__init__(folder, workspace, mutants)
        self.arm = LoopbackAzure(workspace.cloud)
        theirs = {"gpuctl-id": "inst-zzzzzzzzzzzz", "gpuctl-state": "another-state"}
        self.arm.group("theirs")
        self.foreign.append(self.arm.launch("vm", "others", tags={**theirs, "gpuctl-expires-at": "20261124t120500z"}))
        self.before = self.parts_of_others()

    def fill_up(self) -> None:
        # Azure accepts the instance and finds no place for it: what was made by then has to be ended.
        self.arm.break_next("AllocationFailed", type="Microsoft.Compute/virtualMachines", method="PUT")

    def looks_for(self, sent: Sent) -> str | None:
        if sent.action != "GET resourceGroups":
            return None
        return "all" if "filter=" in sent.path else "one"

    @property
    def nothing_listed(self) -> Answer:
        return 200, {"Content-Type": "application/json"}, b'{"value": []}'

    @property
    def ours(self) -> list[dict[str, Any]]:
        # One that found no place was never an instance, and billed nothing.
        return [
            instance
            for instance in super().ours
            if instance["cloud"] == "azure" and (instance["billed_s"] or instance["state"] != "terminated")
        ]

    def parts_of_others(self) -> set[str]:
        """Everything that is not in a group of ours, by the cloud's books."""
        return {resource["id"] for resource in self.arm.resources() if "/gpuctl-inst-" not in resource["id"]}

    def finish(self, acknowledged: Sequence[str] = ()) -> list[str]:
        wrong = super().finish(acknowledged)
        left = [resource["id"] for resource in self.arm.resources() if resource["id"] not in self.before]
        wrong += [f"left behind: {item}" for item in left]
        wrong += [
            f"foreign thing gone: {parts_of_other}" for parts_of_other in sorted(self.before - self.parts_of_others())
        ]
        self.arm.close()
        return wrong


def azure_crash_points(world: World, mutants: Sequence[str] = (), share: int = 1, **size: Any) -> Score:
    """A6: every command on Azure, killed at every cloud call in every phase, and at every step of every file write."""
    return crash_points(world, mutants, share, **({"conditions": CONDITIONS} | size), kind=AzureScenario)


def azure_races(world: World, count: int, mutants: Sequence[str] = ()) -> Score:
    """B3: extend against reap on Azure, half of them with the reaper held between reading and deciding."""
    return extend_against_reap(world, count, mutants, AzureScenario)


def azure_timers(world: World, mutants: Sequence[str] = (), share: int = 1) -> Score:
    """A7: whatever a kill left without its timer has one after the next reap, long before its deadline."""
    score = Score()
    kill_points = [point for point in points(world, "provision", "no lag", AzureScenario) if point[1] is not Phase.SENT]
    for point in kill_points[::share]:
        with world.scenario(mutants, AzureScenario) as scenario:
            assert isinstance(scenario, AzureScenario)
            die(scenario, "provision", "no lag", point)
            scenario.later(minutes=1)
            scenario.run("reap", "--sweep")
            for instance in scenario.ours:
                score.add(f"provision, {point}", _unarmed(scenario, instance))
            scenario.arm.close()
        if score.has_failed_as(mutants):
            break
    return score


def azure_look_alikes(world: World, count: int, mutants: Sequence[str] = ()) -> Score:
    """C3: groups of others and forged ones, and things of others in our own groups; none of them may be changed."""
    score = Score()
    with world.scenario(mutants, AzureScenario) as scenario:
        assert isinstance(scenario, AzureScenario)
        scenario.run(*scenario.asking)
        mine, past = scenario.state_id, deadline_tag(scenario.clock.now())
        for number in range(count):
            scenario.arm.group(f"forged-{number}", tags=_forged(mine, past, number))
        (instance,) = scenario.ours
        scenario.arm.disk("precious", group=instance["id"].split("/")[4])
        scenario.before = scenario.parts_of_others()
        scenario.later(minutes=20)
        scenario.run("terminate", "--all", "--yes", "--timeout", "1s")
        for minutes in scenario.passes:
            scenario.later(minutes=minutes)
            scenario.run("reap", "--sweep", "--max-orphans", "99")
        remaining = [resource for resource in scenario.arm.resources() if resource["id"].endswith("/precious")]
        wrong = [
            f"changed: {parts_of_other}" for parts_of_other in sorted(scenario.before - scenario.parts_of_others())
        ]
        score.cases, score.violations = (
            count + 1,
            wrong + ([] if remaining else ["a disk of others in our group is gone"]),
        )
        scenario.arm.close()
    return score


def azure_faults(
    world: World,
    mutants: Sequence[str] = (),
    share: int = 1,
    actions: Sequence[str] = ACTIONS,
    faults: Sequence[str] = tuple(FAULTS),
) -> Score:
    """E3: every kind of fault of every ARM call, once and on every send, from provision to terminate."""
    return every_fault(world, AzureScenario, {name: FAULTS[name] for name in faults}, actions, mutants, share)


def _unarmed(scenario: AzureScenario, instance: dict[str, Any]) -> list[str]:
    group = instance["id"].split("/")[4].lower()
    armed = [
        resource["id"] for resource in scenario.arm.resources("schedules") if f"/{group}/" in resource["id"].lower()
    ]
    return [] if armed else ["no shutdown schedule"]


def _forged(mine: str, past: str, number: int) -> dict[str, str]:
    """Tags that are nobody's, another's, or ours in part."""
    kinds: list[dict[str, str]] = [
        {},
        {"gpuctl-id": f"inst-{number:012d}", "gpuctl-state": "another-state", "gpuctl-expires-at": past},
        {"gpuctl-state": mine, "gpuctl-expires-at": past},
        {"gpuctl-id": "INST-000000000000", "gpuctl-state": mine, "gpuctl-expires-at": past},
        {"gpuctl-id": f"inst-{number:012d}", "gpuctl-state": mine, "gpuctl-expires-at": "yesterday"},
        # Whole, and in a group whose name is not of ours: only its name tells that no create of ours made it.
        {
            "gpuctl-id": f"inst-{number:012d}",
            "gpuctl-state": mine,
            "gpuctl-expires-at": past,
            "gpuctl-created-at": past,
        },
    ]
    return kinds[number % len(kinds)]
