"""The commands on a disk that keeps none of the promises that a local disk keeps: they work, or say what is missing."""

import errno

import pytest
from support.cli import Operator
from support.disks import WeakDisk

from gpuctl.domain.instance import Status


def test_an_instance_is_started_and_terminated_on_a_disk_without_locks_links_permissions_and_folder_sync(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    WeakDisk(
        monkeypatch,
        operator.folder,
        locks=errno.ENOLCK,
        links=errno.EPERM,
        permissions=errno.EPERM,
        folder_sync=errno.EINVAL,
    )
    run_everything(operator)


def test_an_instance_is_started_and_terminated_on_a_disk_whose_locks_are_mandatory(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    WeakDisk(monkeypatch, operator.folder, shared_reads=errno.EACCES)
    run_everything(operator)


def run_everything(operator: Operator) -> None:
    assert operator.provision("--name", "first").code == 0
    assert operator.provision("--name", "second").code == 0
    assert operator.run("list").code == 0
    assert operator.run("extend", "first", "--by", "10m").code == 0
    assert operator.run("get", "first").code == 0
    assert operator.run("terminate", "second").code == 0
    operator.later(minutes=71)
    reaped = operator.run("reap")
    assert (reaped.code, reaped.err) == (0, "")
    assert operator.active == []
    assert {record.status for record in operator.records} == {Status.STOPPING, Status.TERMINATED}


def test_doctor_names_what_the_disk_of_the_state_lacks_and_its_file_system(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.provision()
    mounts = operator.folder / "system" / "proc" / "self" / "mountinfo"
    mounts.parent.mkdir(parents=True)
    mounts.write_text("36 35 0:40 / / rw,relatime - nfs4 server:/home rw\n")
    WeakDisk(monkeypatch, operator.folder, locks=errno.ENOLCK)
    texts = [check["message"] for check in operator.json("doctor", "--region", "us-east-1").json["checks"]]
    assert "the state is on a network or foreign file system (nfs4)" in texts
    assert any("the disk of the state lacks: locks" in text for text in texts)
