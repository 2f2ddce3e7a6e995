"""`gpuctl run --pool` against a real OpenSSH server: the lease is released even if the command fails."""

import signal
from pathlib import Path

import pytest
from support.cli import Operator
from support.reachable import Reachable
from support.runner import Runner
from support.wire import LOST, NEVER_ARRIVED

POOL = ("--pool", "train")


def create(operator: Operator, *argv: str) -> None:
    ran = operator.json("pool", "create", "train", "g4dn.xlarge", "--region", "us-east-1", "--max", "1", *argv)
    assert ran.code == 0, ran.out


@pytest.fixture(name="runner")
def runner_fixture(reachable: Reachable) -> Runner:
    return Runner(reachable)


def leases(operator: Operator) -> list[tuple[str | None, bool]]:
    """What became of each lease, and whether it was dirty."""
    every = [lease for record in operator.records if record.pool for lease in record.pool.leases]
    return [(lease.outcome and lease.outcome.value, lease.is_dirty) for lease in every]


def test_a_command_runs_on_a_leased_instance_which_is_cleaned_and_leased_again(runner: Runner) -> None:
    create(runner.operator, "--reuse", "any", "--on-release", "echo cleaned >>cleaned")
    assert runner.run("--task", "t1", instance=POOL, remote_command=["echo out"]) == 0
    assert runner.out == "out\n"
    assert (runner.document["exitCode"], runner.document["instance"]["status"]) == (0, "READY")
    assert runner.run("--task", "t2", instance=POOL, remote_command=["cat cleaned"]) == 0
    assert runner.out == "cleaned\n"
    (record,) = runner.operator.records
    assert record.pool is not None
    assert [lease.task for lease in record.pool.leases] == ["t1", "t2"]
    assert leases(runner.operator) == [("returned", False), ("returned", False)]
    assert len(runner.operator.active) == 1


def test_an_instance_that_is_used_once_is_terminated_after_the_command(runner: Runner) -> None:
    create(runner.operator)
    assert runner.run("--work", "12", "--unit", "docs", instance=POOL) == 0
    (record,) = runner.operator.records
    assert record.pool is not None
    assert [(lease.work, lease.unit) for lease in record.pool.leases] == [(12, "docs")]
    assert (leases(runner.operator), runner.operator.active) == ([("ended", False)], [])


def test_a_command_that_fails_gives_its_code_and_its_lease_is_released_clean(runner: Runner) -> None:
    create(runner.operator, "--reuse", "any", "--yes")
    assert runner.run("--work", "12", "--unit", "docs", instance=POOL, remote_command=["exit 7"]) == 7
    (record,) = runner.operator.records
    assert record.pool is not None
    assert (leases(runner.operator), record.pool.leases[0].work) == ([("returned", False)], None)


def test_a_clean_up_that_fails_terminates_the_instance_and_keeps_the_code_of_the_command(runner: Runner) -> None:
    create(runner.operator, "--reuse", "any", "--on-release", "exit 9")
    assert runner.run(instance=POOL) == 0
    assert "`exit 9` exited with 9" in runner.err
    assert (leases(runner.operator), runner.operator.active) == ([("ended", True)], [])


def test_a_failure_of_gpuctl_makes_the_instance_dirty(runner: Runner) -> None:
    create(runner.operator, "--reuse", "any", "--yes")
    assert runner.run("--download", f"nothing:{runner.operator.folder}/x", instance=POOL) == 201
    assert (leases(runner.operator), runner.operator.active) == ([("ended", True)], [])


def test_a_full_pool_is_205_when_the_time_is_out_and_nothing_is_run(runner: Runner) -> None:
    create(runner.operator)
    runner.operator.json("lease", "train", "--no-wait")
    assert runner.run("--timeout", "30s", instance=POOL, remote_command=["touch begun"]) == 205
    assert runner.document["error"]["code"] == "not_ready"
    assert "pool `train` is full" in runner.err
    assert not (runner.sshd.home / "begun").exists()
    assert len(runner.operator.active) == 1


def test_a_lost_reply_to_the_create_runs_on_one_instance(runner: Runner) -> None:
    create(runner.operator)
    runner.operator.wire.arm("RunInstances", LOST)
    assert runner.run(instance=POOL, remote_command=["echo ran"]) == 0
    assert (runner.out, len(runner.operator.cloud.instances()), runner.operator.active) == ("ran\n", 1, [])


def test_a_lease_whose_instance_may_not_exist_is_released(runner: Runner) -> None:
    create(runner.operator)
    runner.operator.wire.arm("RunInstances", *[NEVER_ARRIVED] * 500)
    assert runner.run(instance=POOL, remote_command=["touch begun"]) == 208
    assert leases(runner.operator) == [("ended", False)]
    assert not (runner.sshd.home / "begun").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_command_and_terminates_the_dirty_instance(
    reachable: Reachable, number: signal.Signals
) -> None:
    operator = reachable.operator
    create(operator, "--reuse", "any", "--yes")
    remote_command = "trap 'touch stopped; exit 1' TERM; echo begun; while :; do sleep 0.1; done"
    process = reachable.process("run", *POOL, "--", remote_command)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, b"Traceback" in err) == (128 + number, False), err
    assert (leases(operator), operator.active) == ([("ended", True)], [])


@pytest.mark.parametrize(
    "argv",
    [
        ("g5.xlarge", *POOL),
        (*POOL, "--region", "us-east-1"),
        (*POOL, "--spot"),
        (*POOL, "--keep"),
        (*POOL, "--on", "n"),
        (*POOL, "--unit", "docs"),
        (*POOL, "--work", "2h"),
        (*POOL, "--ttl", "115m"),
    ],
    ids=" ".join,
)
def test_options_that_a_pool_cannot_follow_are_refused_before_anything_is_leased(
    operator: Operator, argv: tuple[str, ...]
) -> None:
    create(operator, "--max-age", "1h")
    assert operator.run("run", *argv, "--", "true").code == 202
    assert (operator.records, operator.wire.sent) == ((), [])


def test_an_unknown_pool_is_203(operator: Operator, tmp_path: Path) -> None:
    assert operator.run("run", *POOL, "--", "true").code == 203
