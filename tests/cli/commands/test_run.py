"""`gpuctl run` against a real OpenSSH server: whatever comes of the command, the instance is ended."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from support.canaries import canary_hits
from support.cli import Operator
from support.processes import rest_of
from support.reachable import GPUCTL, Reachable
from support.runner import NEW, Runner
from support.sshd import Cable, Sshd
from support.wire import LOST, NEVER_ARRIVED, refuse

from gpuctl.domain.instance import Reason, Status


@pytest.fixture
def runner(reachable: Reachable) -> Runner:
    return Runner(reachable)


def test_a_command_that_succeeds_has_its_output_and_nothing_else_on_stdout(runner: Runner) -> None:
    assert runner.run(remote_command=["echo out; echo err >&2"]) == 0
    assert runner.out == "out\n"
    assert "err\n" in runner.err
    assert runner.operator.active == []
    document = runner.document
    assert (document["success"], document["exitCode"], document["commandExitCode"]) == (True, 0, 0)
    assert (document["instance"]["status"], document["instance"]["name"]) == ("TERMINATED", "n")
    events = [item["event"] for item in document["instance"]["history"]]
    assert [event for event in events if event in ("ready", "running", "stopping", "terminated")] == [
        "ready", "running", "stopping", "terminated",
    ]  # fmt: skip


@pytest.mark.parametrize("code", [1, 7, 137])
def test_a_command_that_fails_gives_its_code_and_its_instance_is_terminated(runner: Runner, code: int) -> None:
    assert runner.run(remote_command=["bash", "-c", f"exit {code}"]) == code
    assert (runner.document["commandExitCode"], runner.operator.active) == (code, [])


def test_files_go_there_and_come_back_even_when_the_command_fails(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("6 7")
    transfers = ("--upload", f"{tmp_path}/in:work/in", "--download", f"work/out:{tmp_path}/back")
    remote_command = ["cd work && read -r a b <in; echo $((a * b)) >out; exit 4"]
    assert runner.run(*transfers, remote_command=remote_command) == 4
    assert (tmp_path / "back").read_text() == "42\n"
    assert runner.operator.active == []


def test_a_result_that_is_not_there_is_a_failure_of_ours(runner: Runner) -> None:
    assert runner.run("--download", f"nothing:{runner.operator.folder}/x") == 201
    assert "was not downloaded" in runner.err
    assert (runner.document["commandExitCode"], runner.operator.active) == (0, [])


def test_keep_leaves_the_instance_ready_whatever_the_code(runner: Runner) -> None:
    assert runner.run("--keep", remote_command=["exit 3"]) == 3
    assert [record.status for record in runner.operator.records] == [Status.READY]
    assert runner.run("--keep", instance=("--on", "n"), remote_command=["exit 0"]) == 0
    assert len(runner.operator.active) == 1
    assert runner.run(instance=("--on", "n"), remote_command=["exit 0"]) == 0
    assert runner.operator.active == []


def test_two_commands_do_not_run_on_one_instance(runner: Runner) -> None:
    runner.run("--keep")
    store, (record,) = runner.operator.store, runner.operator.records
    store.update(record.id, lambda record: record.with_fields(status=Status.RUNNING))
    assert runner.run(instance=("--on", "n")) == 202
    assert "is already running on n" in runner.err
    assert len(runner.operator.active) == 1


def test_a_broken_connection_loses_and_repeats_nothing(runner: Runner, cable: Cable) -> None:
    cable.cut_after, cable.cuts = 120_000, 3
    assert runner.run(remote_command=["seq 1 60000; exit 5"]) == 5
    assert runner.out == "".join(f"{number}\n" for number in range(1, 60_001))
    assert (cable.cuts, runner.operator.active) == (0, [])
    assert "connection lost" in runner.err


def test_a_connection_cut_for_good_ends_at_the_deadline_with_the_instance(runner: Runner, cable: Cable) -> None:
    with once_there_is(runner.sshd.home / "begun", lambda: cable.cut(for_good=True)):
        code = runner.run(remote_command=["touch begun; sleep 600"])
    assert code == 201
    assert "the deadline of n passed before" in runner.err
    assert (runner.operator.active, runner.operator.records[0].reason) == ([], Reason.EXPIRED)


@pytest.mark.parametrize("options", [(), ("--keep",)])
def test_an_interrupted_spot_instance_is_worth_another_try(
    runner: Runner, cable: Cable, options: tuple[str, ...]
) -> None:
    def take_back() -> None:
        runner.operator.cloud.interrupt(runner.operator.active[0])
        cable.cut(for_good=True)

    with once_there_is(runner.sshd.home / "begun", take_back):
        code = runner.run(*options, remote_command=["touch begun; sleep 600"])
    assert (code, runner.document["error"]["code"], runner.operator.active) == (205, "capacity", [])
    assert "may still be running" not in runner.err


def test_an_instance_that_ssh_never_gets_onto_is_terminated_and_nothing_was_run(runner: Runner, cable: Cable) -> None:
    cable.cut(for_good=True)
    assert runner.run("--timeout", "1m") == 205
    assert runner.document["error"]["code"] == "not_ready"
    assert runner.operator.active == []
    assert runner.operator.records[0].ready_at is None
    assert not (runner.sshd.home / ".gpuctl").exists()


def test_a_success_without_confirmed_termination_is_208(runner: Runner) -> None:
    runner.operator.wire.arm("TerminateInstances", *[NEVER_ARRIVED] * 500)
    assert runner.run() == 208
    assert runner.document["commandExitCode"] == 0
    assert runner.operator.records[0].status is Status.STOPPING


@pytest.mark.parametrize(
    ("argv", "remote_command", "code"),
    [
        (("--env", "TOKEN_A=hunter2"), ["true"], 202),
        (("--env", "no such name"), ["true"], 202),
        (("--env", "NOT_SET_ANYWHERE"), ["true"], 202),
        (("--upload", "missing:x"), ["true"], 202),
        (("--download", "x"), ["true"], 202),
        (("--disk-size", "1"), ["true"], 202),
        (("--no-such-flag",), ["true"], 202),
        ((), [], 202),
        (("--result", "/no/such/folder/x"), ["true"], 202),
    ],
)
def test_invalid_values_are_refused_before_anything_is_started(
    operator: Operator, argv: tuple[str, ...], remote_command: list[str], code: int
) -> None:
    words = ["--", *remote_command] if remote_command else []
    ran = operator.run("run", "-o", "json", *NEW, *argv, *words)
    assert (ran.code, ran.out, operator.records) == (code, "", ())
    assert ran.err.startswith("error: ")
    assert "hunter2" not in ran.err


def test_what_fails_before_the_command_is_200_and_its_own_code(operator: Operator) -> None:
    operator.wire.arm("RunInstances", *[refuse("VcpuLimitExceeded")] * 9)
    assert operator.run("run", *NEW, "--", "true").code == 206
    operator.wire.arm("GetCallerIdentity", refuse("ExpiredToken"))
    assert operator.run("run", *NEW, "--", "true").code == 204
    assert operator.active == []


def test_a_lost_reply_to_the_create_still_runs_and_terminates_one_instance(runner: Runner) -> None:
    runner.operator.wire.arm("RunInstances", LOST)
    assert runner.run(remote_command=["echo ran"]) == 0
    assert (runner.out, len(runner.operator.cloud.instances()), runner.operator.active) == ("ran\n", 1, [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_terminates_the_instance(reachable: Reachable, number: signal.Signals) -> None:
    process = reachable.process("run", *NEW, "--", "echo begun; sleep 600")
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + number, b"")
    assert b"n is STOPPING" in err or b"n is TERMINATED" in err
    assert b"Traceback" not in err
    assert reachable.operator.active == []


# As a shell does it: the process leads a session of its own, whose terminal this is.
_LEADING = """\
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_ctrl_c_at_a_terminal_terminates_the_instance(reachable: Reachable) -> None:
    screen, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _LEADING, *GPUCTL, "run", *NEW, "--", "echo begun; sleep 600"],
        env=reachable.environment, stdin=terminal, stdout=terminal, stderr=terminal,
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    while b"begun" not in shown:
        shown += os.read(screen, 4096)
    os.write(screen, b"\x03")
    shown += rest_of(screen)
    assert process.wait(timeout=60) == 130
    assert b"Traceback" not in shown
    assert reachable.operator.active == []


def test_a_variable_reaches_the_command_and_is_nowhere_else(reachable: Reachable, sshd: Sshd) -> None:
    canary = "canary-token-of-a-task/4Jx+"
    reachable.operator.environ["TASK_TOKEN"] = canary
    remote_command = (
        'test "$TASK_TOKEN" && touch begun && until [ -e go ]; do sleep 0.1; done; test ${#TASK_TOKEN} = 27'
    )
    process = reachable.process("run", *NEW, "-v", "--env", "TASK_TOKEN", "--", remote_command)
    wait_for(sshd.home / "begun", process)
    body = {f"the command line of {pid}": line for pid, line in command_lines()}
    (sshd.home / "go").touch()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    body |= {"stdout": out.decode(), "stderr": err.decode(), "the log of sshd": sshd.log}
    assert any("gpu-inst-" in line for line in body.values())
    assert (
        canary_hits(
            {"the token": canary}, body=body, folder=reachable.operator.folder, sent=reachable.operator.wire.sent
        )
        == []
    )


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--tag", "key=AKIAIOSFODNN7EXAMPLE"),
        ("--tag", "token=ghp_0123456789abcdefghij0123456789abcdef"),
        ("--tag", "hf_0123456789abcdefghijABCDEFGHIJ=x"),
        ("--purpose", "run with sk-proj-0123456789abcdefghij"),
        ("--task", "https://ana:hunter2@example.com/repo"),
        ("--purpose", "-----BEGIN OPENSSH PRIVATE KEY----- b3BlbnNzaC1rZXk"),
    ],
)
def test_what_looks_like_a_key_is_refused_and_not_repeated(operator: Operator, flag: str, value: str) -> None:
    ran = operator.provision(flag, value)
    assert (ran.code, operator.records, operator.wire.sent) == (2, (), [])
    assert value not in ran.out + ran.err and "--env" in ran.json["error"]["hint"]


def test_ready_waits_for_the_check_that_was_requested(runner: Runner) -> None:
    operator = runner.operator
    ran = operator.provision("--name", "up", "--check", "test -e works || { touch works; false; }")
    assert (ran.code, ran.instance["status"]) == (0, "READY")
    cut = operator.provision("--name", "down", "--check", "false", "--timeout", "1m")
    assert (cut.code, cut.json["error"]["code"]) == (5, "not_ready")
    assert "`false` fails on down with code 1" in cut.err
    assert len(operator.active) == 1


def test_without_waiting_whoever_waits_makes_the_check(runner: Runner) -> None:
    operator = runner.operator
    operator.provision("--name", "n", "--check", "ssh", "--no-wait")
    assert operator.json("get", "n", "--refresh").instance["status"] == "CONFIGURING"
    assert operator.json("wait", "n").instance["status"] == "READY"


def wait_for(path: Path, process: "subprocess.Popen[bytes]") -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()
        signal.sigtimedwait([], 0.02)


@contextmanager
def once_there_is(path: Path, then: Callable[[], None]) -> Iterator[None]:
    """Do that beside what happens here, when the file is there."""

    def waiting() -> None:
        while not path.exists():
            signal.sigtimedwait([], 0.02)
        then()

    beside = Thread(target=waiting)
    beside.start()
    yield
    beside.join()


def command_lines() -> list[tuple[str, str]]:
    problems = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            problems.append((path.parent.name, path.read_bytes().replace(b"\0", b" ").decode(errors="replace")))
        except OSError:
            continue
    return problems
