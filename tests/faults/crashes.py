"""Gates A1, A2 and A5: gpuctl is killed everywhere it can be."""

import random
from collections.abc import Callable, Iterator, Sequence

from faults.world import PROVISION, Scenario, Score, World
from support.wire import LOST, Phase, Sent

from gpuctl.clock import SystemClock

CONDITIONS = ("no lag", "60 s lag", "lost reply")


def _one_machine(scenario: Scenario) -> None:
    ran = scenario.run(*scenario.asking, "-o", "json")
    assert ran.code == 0, ran.out
    scenario.wire.sent.clear()


def _one_due(scenario: Scenario) -> None:
    _one_machine(scenario)
    scenario.later(minutes=61)


LIFE = ((*PROVISION, "-q"), ("terminate", "n"), ("reap",))
# What stands before, and what is run; what is asked for, each cloud has of its own.
COMMANDS: dict[str, tuple[Callable[[Scenario], None], tuple[str, ...]]] = {
    "provision": (lambda scenario: None, ()),
    "failover": (lambda scenario: scenario.fill_up(), ()),
    "terminate": (_one_machine, ("terminate", "n")),
    "extend": (_one_machine, ("extend", "n", "--by", "30m")),
    "reap": (_one_due, ("reap",)),
}


def crash_points(
    world: World,
    mutants: Sequence[str] = (),
    share: int = 1,
    commands: Sequence[str] = tuple(COMMANDS),
    conditions: Sequence[str] = CONDITIONS,
    kind: type[Scenario] = Scenario,
    at: Sequence["Point"] = (),
    start: int = 0,
) -> Score:
    """A1: every command, killed at every cloud call in every phase, and at every step of every file write.

    `share` takes every so-manieth point, from another start in each condition; or only the points `at` are taken.
    The points come in order from number `start` on, and those before it last: a broken rule shows sooner.
    """
    score = Score()
    for command in commands:
        for number, condition in enumerate(conditions):
            kill_points = list(at or points(world, command, condition, kind))
            rotated = kill_points[start:] + kill_points[:start]
            for point in rotated[number % share :: share]:
                with world.scenario(mutants, kind) as scenario:
                    score.add(f"{command}, {condition}, {point}", _killed(scenario, command, condition, point))
                if score.has_failed_as(mutants):
                    return score
    return score


def armed_timers(world: World, mutants: Sequence[str] = (), share: int = 1) -> Score:
    """A5: at every crash point of a provision, each existing instance carries its timer, as the cloud's books say."""
    score = Score()
    kill_points = [
        point for point in points(world, "provision", "no lag", Scenario) if point[1] is not Phase.SENT or point[0] > 3
    ]
    for point in kill_points[::share]:
        with world.scenario(mutants) as scenario:
            die(scenario, "provision", "no lag", point)
            for instance in scenario.ours:
                score.add(f"provision, {point}", _unarmed(scenario, instance["id"]))
    return score


def random_kills(
    world: World, count: int, mutants: Sequence[str] = (), seed: int = 1, kind: type[Scenario] = Scenario
) -> Score:
    """A2: provision, terminate and reap, each killed at a random instant of its life."""
    score, chance = Score(), random.Random(seed)
    lives = _lives(world, kind)
    for number in range(count):
        with world.scenario(mutants, kind) as scenario:
            acknowledged = []
            for argv, span in zip(LIFE, lives, strict=True):
                process = scenario.start(*argv)
                _pause(chance.uniform(0, 1.1 * span))
                process.kill()
                process.wait()
                acknowledged += [part for part in process.out.split() if argv[0] == "provision" and len(part) == 17]
                scenario.later(minutes=1)
            score.add(f"kill {number}", scenario.finish(acknowledged))
        if score.has_failed_as(mutants):
            break
    return score


def _lives(world: World, kind: type[Scenario]) -> list[float]:
    """Seconds that each command of a life takes here and now when nobody kills it."""
    clock, spans = SystemClock(), []
    with world.scenario((), kind) as scenario:
        for argv in LIFE:
            started = clock.elapsed()
            scenario.start(*argv).wait()
            spans.append((clock.elapsed() - started).total_seconds())
    return spans


Point = tuple[int, Phase | None]


def points(world: World, command: str, condition: str, kind: type[Scenario]) -> Iterator[Point]:
    """Where that command can be killed: (number of the call, phase), and (number of the step, None)."""
    with world.scenario((), kind) as scenario:
        steps = scenario.folder / "steps"
        setup, argv = COMMANDS[command]
        setup(scenario)
        _under(scenario, condition)
        scenario.start(*(argv or scenario.asked(command)), steps=steps).wait()
        # A poll that is repeated is no other point than its first and its second time.
        actions = [sent.action for sent in scenario.wire.sent]
        for call, action in enumerate(actions):
            if actions[:call].count(action) < 2:
                for phase in Phase:
                    yield call, phase
        for step in range(len(steps.read_text().split())):
            yield step + 1, None


def _killed(scenario: Scenario, command: str, condition: str, point: Point) -> list[str]:
    die(scenario, command, condition, point)
    acknowledged = (
        [] if command in ("provision", "failover") else [instance["tags"]["gpuctl-id"] for instance in scenario.ours]
    )
    return scenario.finish(acknowledged)


def die(scenario: Scenario, command: str, condition: str, point: Point) -> None:
    """Run the command and kill it at that point."""
    setup, argv = COMMANDS[command]
    argv = argv or scenario.asked(command)
    setup(scenario)
    _under(scenario, condition)
    number, phase = point
    if phase is None:
        scenario.start(*argv, die_at_step=number).wait()
        return
    calls = 0
    process = None

    def watch(now: Phase, sent: Sent) -> bool:
        nonlocal calls
        calls += now is Phase.SENT
        if process is None or now is not phase or calls != number + 1:
            return True
        process.kill()
        return False

    # The process must be known before its first call is carried.
    scenario.wire.watch = lambda now, sent: _started(lambda: process) and watch(now, sent)
    process = scenario.start(*argv)
    process.wait()


def _under(scenario: Scenario, condition: str) -> None:
    if condition == "60 s lag":
        scenario.lag(60)
    elif condition == "lost reply":
        for action in scenario.mutating:
            scenario.wire.arm(action, LOST)


def _unarmed(scenario: Scenario, cloud_id: str) -> list[str]:
    """What of the timer that instance lacks, asked of the cloud directly."""
    ec2 = scenario.cloud.client("ec2")
    import base64

    reported = ec2.describe_instance_attribute(InstanceId=cloud_id, Attribute="userData")["UserData"]
    data = base64.b64decode(reported.get("Value", "")).decode()
    behaviour = ec2.describe_instance_attribute(InstanceId=cloud_id, Attribute="instanceInitiatedShutdownBehavior")
    (vm,) = [instance for instance in scenario.ours if instance["id"] == cloud_id]
    wrong = [] if "gpuctl-guard.timer" in data else ["no guard in its user data"]
    wrong += (
        [] if behaviour["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate" else ["power-off only stops it"]
    )
    return wrong + [f"no {name}" for name in ("gpuctl-expires-at", "gpuctl-id") if name not in vm["tags"]]


def _started(process: Callable[[], object]) -> bool:
    while process() is None:
        _pause(0.001)
    return True


def _pause(seconds: float) -> None:
    """Real time: where a random instant of a real process is what is wanted."""
    from threading import Event

    Event().wait(seconds)
