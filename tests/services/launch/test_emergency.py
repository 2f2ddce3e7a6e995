"""The state fails after the record and before the instance's id was written: nothing is lost, nothing bills."""

import json
from pathlib import Path

import pytest
from support.cli import Operator
from support.wire import LOST, refuse

from gpuctl.domain.instance import Status
from gpuctl.errors import StateUnusableError
from gpuctl.files import Disk
from gpuctl.home.rescue import RescueFolder


class Room:
    """How many more times the disk takes a new state."""

    left = 1


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def filling(operator: Operator, room: Room, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """The disk takes the record, and then nothing more in the state's own place."""
    real = Disk.replace

    def replace(self: Disk, source: Path, target: Path) -> None:
        if target.name == "state.json":
            room.left -= 1
            if room.left < 0:
                raise OSError(28, "No space left on device")
        real(self, source, target)

    monkeypatch.setattr(Disk, "replace", replace)
    return operator


@pytest.fixture
def full(filling: Operator, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """The same, and nothing can be written beside the state either."""

    def save(self: RescueFolder, record: object) -> str:
        raise StateUnusableError("no space left on device")

    monkeypatch.setattr(RescueFolder, "save", save)
    return filling


def test_the_record_is_kept_beside_the_state_and_the_instance_is_terminated(filling: Operator) -> None:
    ran = filling.provision()
    assert (ran.code, ran.json["error"]["code"]) == (9, "state_unusable")
    assert len(filling.cloud.instances()) == 1
    assert filling.active == []
    (remaining,) = (filling.own_folder / "rescue").iterdir()
    assert remaining.stat().st_mode & 0o777 == 0o600
    assert json.loads(remaining.read_text())["cloud_id"] == filling.cloud.instances()[0]["id"]
    assert str(remaining) in ran.json["error"]["message"]


def test_the_reaper_takes_the_record_in_when_the_disk_has_room_again(filling: Operator, room: Room) -> None:
    filling.provision()
    room.left = 9
    filling.later(minutes=1)
    assert filling.run("reap").code == 0
    (record,) = filling.records
    assert (record.status, record.cloud_id) == (Status.TERMINATED, filling.cloud.instances()[0]["id"])
    assert list((filling.own_folder / "rescue").iterdir()) == []


def test_where_nothing_can_be_kept_the_record_is_json_on_stderr(full: Operator) -> None:
    ran = full.provision()
    assert ran.code == 9
    lines = next(line for line in ran.err.splitlines() if "could not be saved" in line)
    assert json.loads(lines[lines.index("{") :])["cloud_id"] == full.cloud.instances()[0]["id"]
    assert full.active == []


def test_what_could_not_be_ended_either_is_unresolved(full: Operator) -> None:
    full.wire.arm("TerminateInstances", *[refuse("UnauthorizedOperation", 403)] * 9)
    ran = full.provision()
    assert (ran.code, ran.json["error"]["code"]) == (8, "unresolved")
    assert full.active[0] in ran.json["error"]["message"]


def test_what_may_have_been_made_is_unresolved(filling: Operator) -> None:
    filling.wire.arm("RunInstances", *[LOST] * 4)
    ran = filling.provision()
    assert (ran.code, ran.json["error"]["code"]) == (8, "unresolved")
    assert "may have been created" in ran.json["error"]["message"]


def test_a_refused_create_leaves_nothing_to_rescue(filling: Operator) -> None:
    filling.wire.arm("RunInstances", refuse("InsufficientInstanceCapacity", 500))
    assert filling.provision().code == 9
    assert not (filling.own_folder / "rescue").exists()
    assert filling.active == []


def test_before_the_create_nothing_is_made_at_all(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    def sync(self: Disk, descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Disk, "sync", sync)
    ran = operator.provision()
    assert (ran.code, ran.json["error"]["code"]) == (9, "state_unusable")
    assert operator.wire.calls("RunInstances") == []


def test_a_disk_that_fills_while_provision_waits_still_terminates_the_instance(filling: Operator, room: Room) -> None:
    room.left = 2
    assert filling.provision().code == 9
    assert filling.active == []
