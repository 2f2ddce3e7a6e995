"""A process that is killed between the failure of an instance and its next attempt leaves nothing that runs."""

import pytest
from faults.processes import Process
from faults.world import world
from support.wire import Phase, Sent

WHY = {"code": "Server.InsufficientInstanceCapacity", "message": "Insufficient capacity to satisfy instance request"}


@pytest.mark.parametrize("phase", [Phase.SENT, Phase.DONE])
def test_a_kill_at_the_second_create_leaves_nothing(phase: Phase) -> None:
    with world() as workspace, workspace.scenario() as scenario:
        started: list[Process] = []
        creates = 0

        def watch(now: Phase, sent: Sent) -> bool:
            nonlocal creates
            creates += now is Phase.SENT and sent.action == "RunInstances"
            if now is phase and sent.action == "RunInstances" and creates == 2:
                started[0].kill()
                return False
            return True

        workspace.wire.watch = watch
        workspace.cloud.set_up(launchFailures=[WHY])
        started.append(scenario.start(*scenario.asking_wider))
        started[0].wait()
        assert creates == 2
        before = [attempt.outcome.value for attempt in scenario.records[0].attempts]
        # The failed instance and the second one have the same record, and the first of them is gone already.
        wrong = [fault for fault in scenario.finish() if not fault.startswith("duplicate")]
        assert (before, wrong) == (["ended", "pending"], [])
