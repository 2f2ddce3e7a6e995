"""A state that was copied to another computer: neither copy terminates what the other one has extended."""

import shutil

import pytest
from support.cli import Operator
from support.wire import FAILED_AFTER, LOST, refuse

from gpuctl.domain.instance import Status


@pytest.fixture
def copy(operator: Operator) -> Operator:
    """The same operator at another computer, with a copy of a state that has one instance."""
    assert operator.provision("--name", "n").code == 0
    folder = operator.folder / "copy"
    folder.mkdir()
    for path in operator.folder.glob("state.json*"):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, folder / path.name)
    return Operator(folder, operator.cloud, operator.wire, operator.clock)


def test_an_instance_that_was_extended_elsewhere_is_terminated_at_its_new_deadline(
    operator: Operator, copy: Operator
) -> None:
    assert copy.run("extend", "n", "--by", "30m").code == 0
    operator.later(minutes=61)
    assert operator.run("reap").code == 0
    assert len(operator.alive) == 1
    assert operator.json("get", "n").instance["expiresAt"] == copy.json("get", "n").instance["expiresAt"]
    operator.later(minutes=30)
    assert operator.run("reap").code == 0
    assert operator.alive == []


def test_an_extension_counts_from_the_deadline_that_was_extended_elsewhere(operator: Operator, copy: Operator) -> None:
    assert copy.run("extend", "n", "--by", "30m").code == 0
    operator.later(minutes=61)
    assert operator.json("extend", "n", "--by", "10m").instance["expiresAt"] == "2026-11-24T13:40:00Z"
    shorter = operator.json("extend", "n", "--ttl", "5m")
    assert (shorter.code, shorter.json["error"]["code"]) == (2, "usage")


@pytest.mark.parametrize(
    "fault", [LOST, FAILED_AFTER, refuse("UnauthorizedOperation", 403)], ids=["lost", "failed", "refused"]
)
def test_after_an_extend_that_failed_the_old_deadline_is_in_force_on_both(
    operator: Operator, copy: Operator, fault: object
) -> None:
    operator.wire.arm("CreateTags", *[fault] * 4)  # type: ignore[list-item]
    assert operator.run("extend", "n", "--by", "30m").code == 8
    operator.later(minutes=61)
    assert copy.run("reap").code == 0
    assert operator.alive == []


def test_an_extend_that_failed_here_does_not_deny_the_same_one_made_elsewhere(
    operator: Operator, copy: Operator
) -> None:
    operator.wire.arm("CreateTags", *[refuse("UnauthorizedOperation", 403)] * 4)
    assert operator.run("extend", "n", "--by", "30m").code == 8
    operator.wire.reset()
    assert copy.run("extend", "n", "--by", "30m").code == 0
    operator.later(minutes=61)
    assert operator.run("reap").code == 0
    assert len(operator.alive) == 1


def test_an_extend_whose_reply_was_lost_and_that_could_not_be_read_back_leaves_the_old_deadline_in_force(
    operator: Operator, copy: Operator
) -> None:
    operator.wire.arm("CreateTags", *[LOST] * 4)
    operator.wire.arm("DescribeInstances", *[None, *[refuse("InternalError", 500)] * 4])  # type: ignore[list-item]
    assert operator.run("extend", "n", "--by", "30m").code == 8
    operator.wire.reset()
    operator.later(minutes=61)
    assert operator.run("reap").code == 0
    assert operator.alive == []


def test_while_the_tags_cannot_be_read_a_passed_deadline_is_reported_and_waited_for(
    operator: Operator, copy: Operator
) -> None:
    assert copy.run("extend", "n", "--by", "10m").code == 0
    operator.later(minutes=61)
    operator.wire.arm("DescribeInstances", *[refuse("InternalError", 500)] * 20)
    reaped = operator.run("reap")
    assert reaped.code == 8
    assert "its tags could not be read" in reaped.err
    assert len(operator.alive) == 1
    operator.later(minutes=15)
    operator.wire.arm("DescribeInstances", *[refuse("InternalError", 500)] * 20)
    operator.run("reap")
    assert operator.alive == []
    assert [record.status for record in operator.records] == [Status.STOPPING]
