"""`gpuctl terminate` where the state can be read and takes nothing any more."""

import errno
import fcntl
import os

import pytest
from support.cli import Operator
from support.wire import refuse

from gpuctl.errors import StateLockedError
from gpuctl.files import Disk


@pytest.fixture
def full(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """The operator of one instance, `n`, whose disk is full."""

    def write(disk: Disk, descriptor: int, content: memoryview) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert operator.provision("--name", "n").code == 0
    monkeypatch.setattr(Disk, "write", write)
    return operator


def test_a_full_disk_is_a_failure_of_doctor_and_its_hint_names_the_folder(full: Operator) -> None:
    def no_probe(descriptor: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", no_probe)
        checks = full.json("doctor", "--region", "us-east-1").json["checks"]
    (state,) = [check for check in checks if check["check"] == "state"]
    assert (state["status"], "No space left on device" in state["message"]) == ("fail", True)
    assert state["hint"] == f"free some space: df -h {full.folder}"


@pytest.mark.parametrize("selected", [("n",), ("--all", "--yes")])
def test_the_termination_is_requested_although_it_cannot_be_saved(full: Operator, selected: tuple[str, ...]) -> None:
    terminated = full.run("terminate", *selected)
    assert terminated.code == 9
    assert "No space left on device" in terminated.err and "its termination was requested" in terminated.err
    assert full.active == []


def test_where_the_termination_cannot_be_requested_either_the_instance_may_be_running(full: Operator) -> None:
    full.wire.arm("TerminateInstances", *[refuse("UnauthorizedOperation", 403)] * 4)
    assert full.run("terminate", "n").code == 8
    assert len(full.active) == 1


def test_a_state_that_stays_locked_keeps_no_instance_running(operator: Operator) -> None:
    assert operator.provision("--name", "n").code == 0
    with operator.state.with_name("state.json.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        terminated = operator.run("terminate", "n")
    assert terminated.code == StateLockedError.exit_code
    assert "its termination was requested" in terminated.err
    assert operator.active == []
