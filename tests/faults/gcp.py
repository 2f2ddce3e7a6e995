"""Gates A9, A10, B5, C4 and E4: the same attacks on Google Cloud, where an insert is decided in an operation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from faults.crashes import crash_points, die, points
from faults.lost_replies import every_fault, extend_against_reap
from faults.world import Scenario, Score, World
from support.google import LoopbackGoogle
from support.wire import FAILED_AFTER, LOST, NEVER_ARRIVED, TRUNCATED, Answer, Fault, Phase, Sent, refuse_google

from gpuctl.domain.tags import deadline_tag

FAULTS: dict[str, Fault] = {
    "refused": refuse_google("forbidden"),
    "throttled": refuse_google("rateLimitExceeded"),
    "failed with a reason": refuse_google("internalError", 500),
    "reply lost": LOST,
    "never arrived": NEVER_ARRIVED,
    "503 after effect": FAILED_AFTER,
    "truncated": TRUNCATED,
    "no JSON": Fault(True, lambda _: (200, {"Content-Type": "application/json"}, b"<html>not what you asked for")),
    "not ready": refuse_google("resourceNotReady", 400),
    "quota": refuse_google("quotaExceeded"),
}
ACTIONS = (
    "GET project", "GET machineTypes", "GET firewalls", "POST firewalls", "GET operations", "POST instances",
    "GET instances", "GET instances/serialPort", "POST instances/setMetadata", "POST instances/setLabels",
    "DELETE instances",
)  # fmt: skip
CONDITIONS = ("no lag", "lost reply")


class GcpScenario(Scenario):
    """The same on Google Cloud: every disk that an instance leaves behind is a leak."""

    asking: ClassVar[tuple[str, ...]] = ("provision", "g2-standard-4", "--region", "us-central1", "--name", "n")
    asking_wider: ClassVar[tuple[str, ...]] = (*asking[:3], "us-central1,us-east1", *asking[4:])
    mutating: ClassVar[tuple[str, ...]] = ("POST instances", "DELETE instances")
    # All before Google's own limit, 2 h after the start, which would hide what the reaper does not end.
    passes: ClassVar[tuple[int, ...]] = (0, 16, 80, 2, 2)

    @classmethod
    def login(cls, url: str) -> dict[str, str]:
        project = LoopbackGoogle.project
        return {**super().login(url), "GPUCTL_GCP_ENDPOINT": url, "GOOGLE_CLOUD_PROJECT": project}

    def __init__(self, folder: Path, workspace: World, mutants: tuple[str, ...]) -> None:
        super().__init__(folder, workspace, mutants)
        self.google = LoopbackGoogle(workspace.cloud)
        theirs = {"gpuctl-id": "inst-zzzzzzzzzzzz", "gpuctl-state": "another-state"}
        labels = {**theirs, "gpuctl-expires-at": "20261124t120500z"}
        self.foreign += [self.google.launch("theirs"), self.google.launch("inst-zzzzzzzzzzzz", labels=labels)]

    def fill_up(self) -> None:
        # Google accepts the insert; its operation fails for lack of capacity.
        zones = ("us-central1-a", "us-central1-b", "us-central1-c", "us-central1-f")
        self.google.set(sold_out={zone: ["g2-standard-4"] for zone in zones})

    def looks_for(self, sent: Sent) -> str | None:
        if sent.action != "GET instances":
            return None
        return "all" if "/aggregated/" in sent.path else "one"

    @property
    def nothing_listed(self) -> Answer:
        return 200, {"Content-Type": "application/json"}, b'{"items": {}}'

    @property
    def ours(self) -> list[dict[str, Any]]:
        return [instance for instance in super().ours if instance["cloud"] == "gcp"]

    def finish(self, acknowledged: Sequence[str] = ()) -> list[str]:
        wrong = super().finish(acknowledged)
        names = {text.partition("/")[2] for text in self.foreign}
        left = [item["id"] for item in self.google.resources("disk") if item["id"].rpartition("/")[2] not in names]
        return wrong + [f"left behind: {item}" for item in left]


def gcp_crash_points(world: World, mutants: Sequence[str] = (), share: int = 1, **size: Any) -> Score:
    """A9: every command on Google Cloud, killed at every call in every phase, and at every step of a file's write."""
    return crash_points(world, mutants, share, **({"conditions": CONDITIONS} | size), kind=GcpScenario)


def gcp_timers(world: World, mutants: Sequence[str] = (), share: int = 1) -> Score:
    """A10: wherever a provision is killed, an instance that exists has its guard, its deadline and Google's limit."""
    score = Score()
    with world.scenario((), GcpScenario) as scenario:
        scenario.run(*scenario.asking)
        insert = [sent.action for sent in scenario.wire.sent].index("POST instances")
    kill_points = points(world, "provision", "no lag", GcpScenario)
    after_insert = [(call, phase) for call, phase in kill_points if phase and (call, phase) != (insert, Phase.SENT)]
    for point in [point for point in after_insert if point[0] >= insert][::share]:
        with world.scenario(mutants, GcpScenario) as scenario:
            assert isinstance(scenario, GcpScenario)
            die(scenario, "provision", "no lag", point)
            for instance in scenario.ours:
                score.add(f"provision, {point}", _unarmed(scenario, instance))
        if score.has_failed_as(mutants):
            break
    return score


def gcp_races(world: World, count: int, mutants: Sequence[str] = ()) -> Score:
    """B5: extend against reap on Google Cloud, half of them with the reaper held between reading and deciding."""
    return extend_against_reap(world, count, mutants, GcpScenario)


def gcp_look_alikes(world: World, count: int, mutants: Sequence[str] = ()) -> Score:
    """C4: instances of others, forged ones and copies of ours, and lists without a zone; none may change anything."""
    score = Score()
    with world.scenario(mutants, GcpScenario) as scenario:
        assert isinstance(scenario, GcpScenario)
        scenario.run(*scenario.asking)
        mine, past = scenario.state_id, deadline_tag(scenario.clock.now())
        for number in range(count):
            name = f"inst-{number:012d}" if number % 2 else f"forged-{number}"
            scenario.foreign.append(scenario.google.launch(name, labels=_forged(mine, past, number)))
        for how in ("warning", "unreachables", "error"):
            scenario.google.set(zones_out={"us-central1-a": how})
            scenario.later(minutes=2)
            scenario.reap()
        scenario.google.set(zones_out={})
        scenario.later(minutes=20)
        score.cases, score.violations = count + 3, scenario.finish()
    return score


def gcp_faults(world: World, mutants: Sequence[str] = (), share: int = 1, actions: Sequence[str] = ACTIONS) -> Score:
    """E4: every kind of fault of every call of Google's, once and on every send, from provision to terminate."""
    return every_fault(world, GcpScenario, FAULTS, actions, mutants, share)


def _unarmed(scenario: GcpScenario, instance: dict[str, Any]) -> list[str]:
    """What the instance lacks of both timers, as Google shows it."""
    shown = scenario.google.get(instance["id"])
    entries = {item["key"]: item["value"] for item in shown["metadata"]["items"]}
    wrong = [] if "gpuctl-guard.timer" in entries.get("startup-script", "") else ["no guard in its startup script"]
    wrong += [] if "gpuctl-expires-at" in entries else ["no deadline in its metadata"]
    scheduling = shown["scheduling"]
    has_limit = "maxRunDuration" in scheduling and scheduling.get("instanceTerminationAction") == "DELETE"
    return wrong if has_limit else [*wrong, "no run limit that deletes it"]


def _forged(mine: str, past: str, number: int) -> dict[str, str]:
    """Labels that are nobody's, another's, ours in part, or a copy of ours on an instance of another name."""
    whole = {"gpuctl-id": f"inst-{number:012d}", "gpuctl-state": mine, "gpuctl-expires-at": past}
    kinds: list[dict[str, str]] = [
        {},
        whole | {"gpuctl-state": "another-state"},
        {"gpuctl-state": mine, "gpuctl-expires-at": past},
        whole | {"gpuctl-expires-at": "yesterday"},
        # Whole, and on an instance whose name no create of ours gives.
        whole,
        whole | {"gpuctl-id": "inst_000000000000"},
    ]
    return kinds[number % len(kinds)]
