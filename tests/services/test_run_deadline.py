"""When a running task is cut short by the deadline of its instance, and what becomes of one that cannot be reached."""

from datetime import timedelta
from pathlib import Path

import pytest

from gpuctl.domain.instance import Instance, Reason, Status
from gpuctl.errors import UsageError
from gpuctl.remote.access import Access
from gpuctl.services.run import Task, _InstanceTerminated, _Run, run_task
from services.test_without_files import MINUTE, Team


def unreachable(folder: Path) -> Access:
    """Access of which every connection fails before it is made."""

    def no_route(address: str, key: str) -> tuple[str, ...]:
        raise UsageError("no route")

    return Access(folder / "keys", lambda: folder, route=no_route)


def look(team: Team, record: Instance) -> None:
    """What a running task does every few seconds."""
    _Run(team.runtime, unreachable(Path("nowhere")), record, lambda record: None)._keep_on()


def test_a_task_goes_on_after_another_copy_of_the_state_has_extended_its_instance() -> None:
    team = Team()
    record = team.provision(5 * MINUTE)
    later = record.expires_at + timedelta(hours=1)
    (instance,) = team.cloud.active
    team.cloud.set_deadline(record.region, instance.cloud_id, later)
    team.clock.move(6 * MINUTE)
    look(team, record)
    assert team.state.records.snapshot().records[0].expires_at == later


def test_a_task_is_cut_short_at_the_deadline() -> None:
    team = Team()
    record = team.provision(5 * MINUTE)
    team.clock.move(6 * MINUTE)
    with pytest.raises(_InstanceTerminated, match="passed before the command finished"):
        look(team, record)


def test_an_instance_that_cannot_be_reached_from_here_is_terminated(tmp_path: Path) -> None:
    team = Team()
    record = team.provision(60 * MINUTE)
    result = run_task(team.runtime, unreachable(tmp_path), record, Task(["true"]), lambda *_: None, keep=False)
    assert (result.code, result.error is None, team.cloud.active) == (None, False, [])
    assert (result.record.status, result.record.reason) == (Status.TERMINATED, Reason.CANCELLED)
