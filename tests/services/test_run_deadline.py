"""When a running task is cut short by the deadline of its instance."""

from datetime import timedelta

import pytest

from gpuctl.domain.instance import Instance
from gpuctl.remote.line import SshConnection
from gpuctl.services.run import _InstanceTerminated, _Run
from services.test_without_files import MINUTE, Team


def look(team: Team, record: Instance) -> None:
    """What a running task does every few seconds."""
    _Run(team.runtime, SshConnection.__new__(SshConnection), record)._keep_on()


def test_a_task_goes_on_after_another_copy_of_the_state_has_extended_its_instance() -> None:
    team = Team()
    record = team.provision(5 * MINUTE)
    later = record.expires_at + timedelta(hours=1)
    (machine,) = team.cloud.alive
    team.cloud.set_deadline(record.region, machine.cloud_id, later)
    team.clock.move(6 * MINUTE)
    look(team, record)
    assert team.state.records.snapshot().records[0].expires_at == later


def test_a_task_is_cut_short_at_the_deadline() -> None:
    team = Team()
    record = team.provision(5 * MINUTE)
    team.clock.move(6 * MINUTE)
    with pytest.raises(_InstanceTerminated, match="passed before the command finished"):
        look(team, record)
