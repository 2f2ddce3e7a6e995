"""Gates B2, C1, C2, E1 and E2: clouds that lie, fail and lag, clocks that are wrong, instances that look like ours."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import product

from faults.processes import Process
from faults.world import PROVISION, Scenario, Score, World, empty
from support.wire import FAILED_AFTER, GARBLED, HANGING, LOST, NEVER_ARRIVED, TRUNCATED, Answer, Fault, Sent, refuse

from gpuctl.domain.instance import Status
from gpuctl.domain.tags import deadline_tag

FAULTS: dict[str, Fault] = {
    "refused": refuse("UnauthorizedOperation", 403),
    "throttled": refuse("RequestLimitExceeded", 503),
    "failed with a code": refuse("InternalError", 500),
    "reply lost": LOST,
    "never arrived": NEVER_ARRIVED,
    "503 after effect": FAILED_AFTER,
    "no XML": GARBLED,
    "truncated": TRUNCATED,
    "empty body": Fault(True, lambda _: (200, {"Content-Type": "text/xml"}, b"")),
    "capacity": refuse("InsufficientInstanceCapacity", 500),
}
ACTIONS = (
    "GetCallerIdentity", "GetParameter", "DescribeImages", "RunInstances", "DescribeInstances",
    "DescribeInstanceStatus", "DescribeInstanceAttribute", "GetConsoleOutput", "CreateTags", "TerminateInstances",
)  # fmt: skip
SEVERAL = ("provision", "g4dn.xlarge", "--region", "us-east-1,us-west-2,eu-west-1", "--name", "n")
# Lost, then refused: what a tool that believes the last answer calls a refusal.
LOST_THEN_REFUSED = (LOST, refuse("VcpuLimitExceeded"))


def cloud_faults(world: World, mutants: Sequence[str] = (), share: int = 1) -> Score:
    """E1: every kind of trouble with every call, once and for as long as the SDK tries, through a whole life."""
    score = every_fault(world, Scenario, FAULTS, ACTIONS, mutants, share)
    if score.has_failed_as(mutants):
        return score
    for action in Scenario.mutating[:: 1 if share == 1 else 3]:
        with world.scenario(mutants) as scenario:
            scenario.wire.arm(action, HANGING)
            score.add(f"{action} performed, and the reply hangs", life(scenario))
    with world.scenario(mutants) as scenario:
        scenario.wire.arm("RunInstances", *LOST_THEN_REFUSED)
        score.add("RunInstances lost, then refused", life(scenario))
    with world.scenario(mutants) as scenario:
        scenario.wire.arm("RunInstances", FAULTS["capacity"], *LOST_THEN_REFUSED)
        score.add("RunInstances full, then lost, then refused, in several regions", life(scenario, SEVERAL))
    with world.scenario(mutants) as scenario:
        scenario.lag(299)
        scenario.wire.arm("RunInstances", *[LOST] * 4)
        score.add("RunInstances lost four times, 299 s lag", life(scenario))
    return score


def look_alikes(world: World, count: int, mutants: Sequence[str] = ()) -> Score:
    """C1: instances of others, look-alikes and forged ones stand among ours; none of them may be changed."""
    score = Score()
    with world.scenario(mutants) as scenario:
        scenario.run(*PROVISION)
        others = [scenario.cloud.launch(tags=_forged(scenario, number)) for number in range(count)]
        scenario.foreign += others
        scenario.later(minutes=20)
        scenario.run("terminate", "--all", "--yes")
        wrong = [text for text in scenario.finish() if "never closed" not in text]
        score.cases, score.violations = len(others), wrong
    return score


def missing_answers(world: World, mutants: Sequence[str] = ()) -> Score:
    """C2: another account, another region, empty and partial lists: no record is closed that has a living instance."""
    score = Score()
    for case, prepare in {
        "another account": _another_account,
        "empty listings": _empty_listings,
        "nothing is known by its id either": _nothing_known,
        "one page of many fails": _one_page_fails,
    }.items():
        with world.scenario(mutants) as scenario:
            for number in range(3):
                scenario.run(*PROVISION[:-1], f"n{number}")
            prepare(scenario)
            for minutes in (0, 1, 3):
                scenario.later(minutes=minutes)
                scenario.run("reap", "--sweep")
                scenario.look_for_lies()
            score.add(case, scenario.faults)
    return score


def extend_against_reap(
    world: World, count: int, mutants: Sequence[str] = (), kind: type[Scenario] = Scenario
) -> Score:
    """B2: a real extend and a real reap at the deadline; an instance that was extended must be kept."""
    score = Score()
    for number in range(count):
        with world.scenario(mutants, kind) as scenario:
            scenario.run(*scenario.asking, "--ttl", str(scenario.race_ttl))
            scenario.later(minutes=scenario.race_ttl - 1, seconds=59)
            extending, reaping = (_paused if number % 2 else _at_once)(scenario)
            code = extending.wait()
            reaping.wait()
            (record,) = [record for record in scenario.records if record.name]
            is_alive = any(instance["state"] == "running" for instance in scenario.ours)
            wrong = []
            if code == 0 and (not is_alive or record.status is Status.STOPPING):
                wrong = ["ended though it was extended"]
            if "Traceback" in extending.err + reaping.err:
                wrong.append("traceback")
            score.add(f"race {number}, extend {code}", wrong)
        if score.has_failed_as(mutants):
            break
    return score


SKEWS = {
    "10 y ahead": 3650,
    "10 y behind": -3650,
    "a day ahead": 1,
    "a day behind": -1,
    "3 h ahead": 0.125,
    "3 h behind": -0.125,
}
ZONES = ("UTC", "Pacific/Kiritimati", "America/St_Johns", "Europe/Berlin")


def wrong_clocks(world: World, mutants: Sequence[str] = (), zones: Sequence[str] = ZONES, share: int = 1) -> Score:
    """E2: the laptop's clock is off, jumps, or cannot be compared, in several time zones; nothing ends too early.

    `share` takes every so-manieth case.
    """
    score = Score()
    for zone, (name, days), is_jump in [*product(zones, SKEWS.items(), (False, True))][::share]:
        with world.scenario(mutants) as scenario:
            when = "by a jump" if is_jump else "from the start"
            score.add(f"{name} {when}, {zone}", _skewed(scenario, days, zone, is_jump=is_jump))
        if score.has_failed_as(mutants):
            break
    return score


def _skewed(scenario: Scenario, days: float, zone: str, *, is_jump: bool) -> list[str]:
    scenario.environ["TZ"] = zone
    skew = timedelta(days=days)

    def jump() -> None:
        scenario.clock.jump(skew)
        scenario.skew = skew

    if not is_jump:
        jump()
    scenario.start(*PROVISION).wait()
    if is_jump:
        jump()
    scenario.later(minutes=30)
    scenario.start("reap", "--sweep").wait()
    wrong = (
        []
        if len([instance for instance in scenario.ours if instance["state"] == "running"]) == 1
        else ["ended too early"]
    )
    scenario.later(minutes=31)
    scenario.start("reap", "--sweep").wait()
    wrong += ["not ended when due"] if any(instance["state"] == "running" for instance in scenario.ours) else []
    return [*wrong, *scenario.finish()]


def life(scenario: Scenario, provision: Sequence[str] | None = None) -> list[str]:
    """Provision, extend, get and terminate in real processes, whatever each of them prints; returns the violations."""
    acknowledged: list[str] = []
    for argv in (
        (*(provision or scenario.asking), "-q"),
        ("extend", "n", "--by", "5m"),
        ("get", "n", "--refresh"),
        ("terminate", "n"),
    ):
        process = scenario.start(*argv)
        code = process.wait()
        acknowledged += [part for part in process.out.split() if argv[0] == "provision" and part.startswith("inst-")]
        if code not in (0, 1, 2, 3, 4, 5, 6, 8):
            scenario.faults.append(f"{argv[0]} exited with {code}")
        billed = [item for item in scenario.ours if item.get("bills", item["state"] in ("pending", "running"))]
        if argv[0] == "provision" and code not in (0, 8) and billed:
            scenario.faults.append(f"provision exited with {code}, and an instance is still billed")
    return scenario.finish(acknowledged)


def every_fault(
    world: World,
    kind: type[Scenario],
    faults: Mapping[str, Fault],
    actions: Sequence[str],
    mutants: Sequence[str],
    share: int,
) -> Score:
    """A life of one instance for each fault of each call, once and on every send."""
    score = Score()
    cases = [(action, name, times) for action in actions for name in faults for times in (1, 4)]
    for action, name, times in cases[::share]:
        with world.scenario(mutants, kind) as scenario:
            scenario.wire.arm(action, *[faults[name]] * times)
            score.add(f"{action} {name} x{times}", life(scenario))
        if score.has_failed_as(mutants):
            break
    return score


def _forged(scenario: Scenario, number: int) -> dict[str, str]:
    """Tags that are nobody's, another's, or ours in part."""
    past = deadline_tag(scenario.clock.now() - timedelta(hours=1))
    mine, other = scenario.state_id, "another-state"
    kinds: list[dict[str, str]] = [
        {},
        {"Name": "gpuctl", "project": "x"},
        {"gpuctl-id": f"inst-{number:012d}", "gpuctl-state": other, "gpuctl-expires-at": past},
        {"gpuctl-id": scenario.records[0].id, "gpuctl-state": other, "gpuctl-expires-at": past},
        {"gpuctl-state": mine, "gpuctl-expires-at": past},
        {"gpuctl-id": "INST-000000000000", "gpuctl-state": mine, "gpuctl-expires-at": past},
        {"gpuctl-id": f"inst-{number:012d}", "gpuctl-state": mine, "gpuctl-expires-at": "yesterday"},
        {"gpuctl-id": f"inst-{number:012d}", "gpuctl-state": mine},
        {"gpuctl-id": f"inst-{number:012d}", "gpuctl-state": mine.upper(), "gpuctl-expires-at": past},
        {"GPUCTL-ID": f"inst-{number:012d}", "gpuctl-state": f"{mine}x", "gpuctl-expires-at": past},
    ]
    return kinds[number % len(kinds)]


def _another_account(scenario: Scenario) -> None:
    body = (
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        "<Arn>arn:aws:iam::999999999999:user/x</Arn><UserId>X</UserId><Account>999999999999</Account>"
        "</GetCallerIdentityResult></GetCallerIdentityResponse>"
    )

    def instead(sent: Sent) -> Answer | None:
        if sent.action == "GetCallerIdentity":
            return 200, {"Content-Type": "text/xml"}, body.encode()
        return _empty_list() if sent.action == "DescribeInstances" else None

    scenario.wire.instead = instead


def _empty_listings(scenario: Scenario) -> None:
    scenario.wire.instead = lambda sent: (
        _empty_list() if sent.action == "DescribeInstances" and "Filter.1.Name" in sent.form else None
    )


def _nothing_known(scenario: Scenario) -> None:
    """Minutes after the launch nothing of it is shown, not even when it is asked for by its id."""

    def instead(sent: Sent) -> Answer | None:
        if sent.action != "DescribeInstances":
            return None
        if "Filter.1.Name" in sent.form:
            return _empty_list()
        return refuse("InvalidInstanceID.NotFound").answer(None)

    scenario.wire.instead = instead


def _one_page_fails(scenario: Scenario) -> None:
    scenario.wire.arm("DescribeInstances", *[refuse("InternalError", 500)] * 12)


def _empty_list() -> Answer:
    return empty("DescribeInstances", "reservationSet")


def _at_once(scenario: Scenario) -> tuple[Process, Process]:
    """Both are at work while the deadline passes."""
    extending = scenario.start("extend", "n", "--by", f"{scenario.race_by}m")
    reaping = scenario.start("reap", "--sweep")
    scenario.later(seconds=1.2)
    return extending, reaping


def _paused(scenario: Scenario) -> tuple[Process, Process]:
    """The reaper has read its records, and is held in a question while the extend is made and the deadline passes."""
    extending: list[Process] = []

    def instead(sent: Sent) -> Answer | None:
        requested = None if extending else scenario.looks_for(sent)
        if requested is None:
            return None
        if requested == "all":
            # Missing from the listing, it is asked for by its id: after the records were read, before it is decided.
            return scenario.nothing_listed
        extending.append(scenario.start("extend", "n", "--by", f"{scenario.race_by}m"))
        extending[0].wait()
        # Clouds tell whole seconds: with less than a few of them the deadline may not have passed for the reaper.
        scenario.later(seconds=5)
        return None

    scenario.wire.instead = instead
    reaping = scenario.start("reap", "--sweep")
    reaping.wait()
    return extending[0], reaping
