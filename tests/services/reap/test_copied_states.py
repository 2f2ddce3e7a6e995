"""A state that was copied to another computer: neither copy terminates what the other one has extended."""

import shutil

import pytest
from support.cli import Operator
from support.observations import ours
from support.wire import FAILED_AFTER, LOST, refuse

from gpuctl.domain.instance import Status
from gpuctl.platform import Platform
from gpuctl.store.base import StateKind
from gpuctl.store.local.store import LocalStore


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
    assert len(operator.active) == 1
    assert operator.json("get", "n").instance["expiresAt"] == copy.json("get", "n").instance["expiresAt"]
    operator.later(minutes=30)
    assert operator.run("reap").code == 0
    assert operator.active == []


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
    assert operator.active == []


def test_an_extend_that_failed_here_does_not_deny_the_same_one_made_elsewhere(
    operator: Operator, copy: Operator
) -> None:
    operator.wire.arm("CreateTags", *[refuse("UnauthorizedOperation", 403)] * 4)
    assert operator.run("extend", "n", "--by", "30m").code == 8
    operator.wire.reset()
    assert copy.run("extend", "n", "--by", "30m").code == 0
    operator.later(minutes=61)
    assert operator.run("reap").code == 0
    assert len(operator.active) == 1


def test_an_extend_whose_reply_was_lost_and_that_could_not_be_read_back_leaves_the_old_deadline_in_force(
    operator: Operator, copy: Operator
) -> None:
    operator.wire.arm("CreateTags", *[LOST] * 4)
    operator.wire.arm("DescribeInstances", *[None, *[refuse("InternalError", 500)] * 4])  # type: ignore[list-item]
    assert operator.run("extend", "n", "--by", "30m").code == 8
    operator.wire.reset()
    operator.later(minutes=61)
    assert operator.run("reap").code == 0
    assert operator.active == []


def test_a_backup_from_before_an_extension_was_granted_does_not_shorten_it(operator: Operator) -> None:
    operator.provision("--name", "n")
    operator.wire.arm("CreateTags", *[refuse("UnauthorizedOperation", 403)] * 4)
    operator.wire.arm("DescribeInstances", *[None, *[refuse("InternalError", 500)] * 4])  # type: ignore[list-item]
    assert operator.run("extend", "n", "--by", "30m").code == 8
    operator.wire.reset()
    older = operator.state.read_bytes()
    assert operator.run("extend", "n", "--by", "30m").code == 0
    operator.state.write_bytes(older)
    assert operator.json("extend", "n", "--by", "10m").instance["expiresAt"] == "2026-11-24T13:40:00Z"


def test_while_the_tags_cannot_be_read_a_passed_deadline_is_reported_and_waited_for(
    operator: Operator, copy: Operator
) -> None:
    assert copy.run("extend", "n", "--by", "10m").code == 0
    operator.later(minutes=61)
    operator.wire.arm("DescribeInstances", *[refuse("InternalError", 500)] * 20)
    reaped = operator.run("reap")
    assert reaped.code == 8
    assert "its tags could not be read" in reaped.err
    assert len(operator.active) == 1
    operator.later(minutes=15)
    operator.wire.arm("DescribeInstances", *[refuse("InternalError", 500)] * 20)
    operator.run("reap")
    assert operator.active == []
    assert [record.status for record in operator.records] == [Status.STOPPING]


def test_an_instance_that_the_other_copy_created_for_a_failed_record_runs_to_its_deadline(
    operator: Operator,
) -> None:
    operator.wire.arm("RunInstances", *[refuse("InsufficientInstanceCapacity", 500)] * 20)
    assert operator.provision().code == 5
    (record,) = operator.records
    operator.later(minutes=20)
    operator.cloud.launch(tags=ours(record, operator.state_id))
    reaped = operator.json("reap", "--sweep")
    assert (reaped.code, len(operator.active)) == (0, 1)
    (action,) = reaped.json["actions"]
    assert action["detail"] == "created by another copy of this state; terminated at its deadline"
    operator.later(minutes=40)
    assert operator.run("reap", "--sweep").code == 0
    assert operator.active == []


def boot(operator: Operator, machine_id: str) -> None:
    """Give the operator's computer that ID."""
    (operator.folder / "system" / "etc").mkdir(parents=True, exist_ok=True)
    (operator.folder / "system" / "etc" / "machine-id").write_text(f"{machine_id}\n")


@pytest.fixture
def few_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client of the SDK for each of thirty regions takes seconds to make."""
    regions = frozenset({"us-east-1", "us-west-2"})
    monkeypatch.setattr("gpuctl.catalog.Catalog.regions", lambda catalog, provider: regions)


def test_a_state_on_another_computer_says_so_once_and_enforces_no_deadline_before_the_tags_were_read(
    operator: Operator, few_regions: None
) -> None:
    boot(operator, "a" * 32)
    assert operator.provision("--name", "n").code == 0
    assert "another computer" not in operator.run("list").err
    boot(operator, "b" * 32)
    assert "this state was written on another computer" in operator.run("list").err
    assert operator.run("list").err.count("another computer") == 0
    assert operator.store.snapshot().is_restored
    operator.later(minutes=61)
    operator.later(minutes=16)
    operator.wire.arm("DescribeInstances", *[refuse("InternalError", 500)] * 20)
    reaped = operator.run("reap")
    assert reaped.code == 8
    assert "the tags of the instance could not be read since" in reaped.err
    assert len(operator.active) == 1
    operator.wire.reset()
    assert operator.run("reap").code == 0
    assert not operator.store.snapshot().is_restored
    assert operator.active == []


def test_a_state_that_is_shared_by_two_computers_moves_to_each_of_them_once(
    operator: Operator, few_regions: None
) -> None:
    warnings = []
    for machine_id in ("a", "b", "a", "b"):
        boot(operator, machine_id * 32)
        warnings.append((operator.provision().err + operator.run("list").err).count("another computer"))
        operator.run("reap")
    assert warnings == [0, 1, 0, 0]
    assert not operator.store.snapshot().is_restored


def test_a_moved_state_that_cannot_be_written_is_read_as_restored(operator: Operator) -> None:
    boot(operator, "a" * 32)
    operator.provision("--name", "n")
    calls: list[str] = []
    store = LocalStore(operator.state, kind=StateKind.REAL, clock=operator.clock)
    store.runs_on("elsewhere", lambda: calls.append("moved"))
    operator.folder.chmod(0o500)
    operator.state.chmod(0o400)
    try:
        assert store.snapshot().is_restored
        assert store.snapshot().is_restored
    finally:
        operator.folder.chmod(0o700)
    assert calls == ["moved"]


@pytest.mark.parametrize("content", ["", "uninitialized\n", None])
def test_a_computer_without_an_id_is_never_another_one(operator: Operator, content: str | None) -> None:
    boot(operator, "a" * 32)
    assert operator.platform.computer == Platform(root=operator.folder / "system").computer
    if content is None:
        (operator.folder / "system" / "etc" / "machine-id").unlink()
    else:
        (operator.folder / "system" / "etc" / "machine-id").write_text(content)
    assert operator.platform.computer is None
