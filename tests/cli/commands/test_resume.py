"""Work goes on after its `gpuctl run` was killed: the next reap continues it, once."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest
from support.reachable import Reachable
from support.runner import Runner

from gpuctl.domain.instance import Instance, Market, Reason, Status
from gpuctl.domain.work import TimedWork
from gpuctl.wiring.work import is_gone

WORK = ("g4dn.xlarge", "--region", "us-east-1", "--finish-by", "6h", "--work", "30m")
# Waits until it may end, and counts how often it was run.
COUNTING = 'echo run >>runs; touch begun; while [ ! -e go ]; do sleep 0.1; done; echo "done"'


@pytest.fixture
def runner(reachable: Reachable) -> Runner:
    return Runner(reachable)


class KilledRun:
    """A real `gpuctl run --finish-by` that was killed while its command ran; `record` is its instance."""

    def __init__(self, reachable: Reachable) -> None:
        self.operator, self.home = reachable.operator, reachable.sshd.home
        self.set_clock()
        process = reachable.process("run", *WORK, "--", COUNTING)
        until(lambda: (self.home / "begun").exists() or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        (self.record,) = self.operator.records

    def set_clock(self) -> None:
        """Commands in the process of the test follow commands in real time."""
        self.operator.clock.jump(datetime.now(UTC) - self.operator.clock.now())

    def interrupt(self) -> None:
        """The provider takes the instance back; nothing of it is left."""
        (self.home / "go").touch()
        self.operator.cloud.interrupt(str(self.record.cloud_id))

    @property
    def runs(self) -> int:
        return (self.home / "runs").read_text().count("run")

    @property
    def newest(self) -> Instance:
        return max(self.operator.records, key=lambda record: record.created_at)


def until(holds: Callable[[], bool]) -> None:
    pause = Event()
    for _ in range(600):
        if holds():
            return
        pause.wait(0.1)  # another process in real time
    raise AssertionError("it did not happen within a minute")


def work_of(record: Instance) -> TimedWork:
    assert record.timed_work is not None
    return record.timed_work


def test_the_next_reap_continues_interrupted_work_whose_run_was_killed(reachable: Reachable) -> None:
    killed = KilledRun(reachable)
    killed.interrupt()
    assert "continuing the work of" in reachable.operator.run("reap", "--sweep").err
    until(lambda: work_of(killed.newest).is_over)
    first, second = sorted(reachable.operator.records, key=lambda record: record.created_at)
    assert (first.reason, second.reason) == (Reason.INTERRUPTED, Reason.USER)
    assert (work_of(second).exit_code, work_of(second).losses, killed.runs) == (0, 1, 2)
    assert second.created_at + work_of(second).left <= work_of(second).finish_by
    (output,) = (reachable.operator.folder / "states").rglob("*.out")
    assert output.read_text() == "done\n"
    assert [entry.detail for entry in second.history if entry.event == "finished"] == ["the command exited with 0"]
    # It is over: nothing more is started.
    assert "continuing" not in reachable.operator.run("reap").err
    assert (len(reachable.operator.records), reachable.operator.active) == (2, [])


def test_work_whose_instance_still_exists_is_followed_and_not_started_again(reachable: Reachable) -> None:
    killed = KilledRun(reachable)
    process = reachable.process("resume")
    holder = f"process {process.pid}"
    until(lambda: holder in str(work_of(killed.newest).driver))
    busy = reachable.operator.run("resume", killed.record.id)
    assert (busy.code, "does the work of" in busy.err) == (205, True)
    # A signal leaves the command to the next process.
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert (process.returncode, killed.newest.status) == (143, Status.RUNNING)
    (killed.home / "go").touch()
    killed.set_clock()
    ran = reachable.operator.run("resume")
    assert (ran.code, ran.out, killed.runs) == (0, "done\n", 1)
    (record,) = reachable.operator.records
    assert (record.reason, work_of(record).exit_code) == (Reason.USER, 0)
    again = reachable.operator.run("resume")
    assert (again.code, "no work to continue" in again.err) == (203, True)


def test_a_reap_says_once_why_its_computer_cannot_continue_the_work(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("7")
    operator = runner.operator
    code = runner.run("--finish-by", "6h", "--work", "30m", "--upload", f"{tmp_path}/in:in", remote_command=["true"])
    assert code == 0
    (record,) = operator.records
    work = work_of(record)
    assert work.plan is not None
    away = work.model_copy(update={"is_over": False, "plan": work.plan.model_copy(update={"host": "laptop"})})
    lost = {"timed_work": away, "reason": Reason.INTERRUPTED, "market": Market.SPOT}
    operator.store.update(record.id, lambda fresh: fresh.with_fields(**lost))
    said = operator.run("reap").err
    assert "cannot continue the work: its files are on `laptop`" in said
    assert "cannot continue" not in operator.run("reap").err
    refused = operator.run("resume", record.id)
    assert (refused.code, "its files are on `laptop`" in refused.err) == (202, True)


def test_the_next_instance_of_the_work_is_within_the_budget_or_is_not_started(runner: Runner) -> None:
    operator = runner.operator
    assert runner.run("--finish-by", "6h", "--work", "30m", remote_command=["true"]) == 0
    (record,) = operator.records
    unfinished = work_of(record).model_copy(update={"is_over": False})
    lost = {"timed_work": unfinished, "reason": Reason.INTERRUPTED, "market": Market.SPOT}
    operator.store.update(record.id, lambda fresh: fresh.with_fields(**lost))
    operator.environ["GPUCTL_BUDGET_DAILY_USD"] = "0.01"
    refused = operator.run("resume", record.id)
    assert (refused.code, len(operator.records)) == (207, 1), refused.err
    # Nobody repeats that within 5 minutes.
    assert "continuing" not in operator.run("reap").err


def test_work_that_its_run_has_ended_is_over_and_a_command_with_a_secret_is_not_stored(runner: Runner) -> None:
    secret = "hf_" + "a1" * 12
    assert runner.run("--finish-by", "6h", "--work", "30m", remote_command=[f"echo {secret}; exit 3"]) == 3
    (record,) = runner.operator.records
    assert (work_of(record).is_over, work_of(record).exit_code) == (True, 3)
    assert "continuing" not in runner.operator.run("reap").err
    plan = work_of(record).plan
    assert plan is not None and plan.command == () and "appears to contain" in str(plan.obstacle)
    assert secret not in json.dumps(record.model_dump(mode="json"))


def test_a_process_of_this_computer_that_ended_is_known_to_be_gone() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = os.uname().nodename
    assert is_gone(f"{host} process {ended.pid}")
    assert not is_gone(f"{host} process {os.getpid()}")
    assert not is_gone(f"another-host process {ended.pid}")
    assert not is_gone("")
