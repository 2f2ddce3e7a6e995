"""Eight instances on Azure, each killed at a random call of its making, in one state: nothing of them stays."""

import random

from faults.azure import AzureScenario
from faults.processes import Process
from faults.world import World, world
from support.wire import Phase, Sent


def test_eight_instances_killed_at_random_steps_leave_no_part_behind() -> None:
    chance = random.Random(7)
    with world() as workspace, workspace.scenario((), AzureScenario) as scenario:
        for number in range(8):
            _killed(workspace, scenario, f"n{number}", chance.randrange(1, 28), chance.choice(list(Phase)))
            scenario.later(seconds=10)
        assert len(scenario.records) >= 4
        assert scenario.finish() == []


def _killed(workspace: World, scenario: AzureScenario | object, name: str, at: int, phase: Phase) -> None:
    assert isinstance(scenario, AzureScenario)
    started: list[Process] = []
    calls = 0

    def watch(now: Phase, sent: Sent) -> bool:
        nonlocal calls
        calls += now is Phase.SENT
        if not started or now is not phase or calls < at:
            return True
        started[0].kill()
        return False

    workspace.wire.watch = watch
    started.append(scenario.start(*scenario.asking[:-1], name))
    started[0].wait()
    workspace.wire.watch = lambda now, sent: True
