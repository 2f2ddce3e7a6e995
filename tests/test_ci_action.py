"""The GitHub action, run by Node with a `gpuctl` that takes notes: signals reach it, and the end is never skipped."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

ACTION = Path(__file__).parents[1] / "action"
NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="needs Node.js")
STARTED = {"success": True, "instance": {"id": "inst-000000000001", "publicIp": "203.0.113.7"}}
FAILED = {"success": False, "error": {"message": "no capacity", "hint": "add --region\nus-west-2"}}
GPUCTL = """#!/bin/sh
echo "$*" >>called; echo "$GPUCTL_STATE_ID" >>state-id; cat state >>state-when-called 2>/dev/null
trap 'echo INT >>signals; exit 130' INT
trap 'echo TERM >>signals; exit 143' TERM
if [ -e hang ]; then : >hanging; while :; do sleep 0.02; done; fi
cat reply; exit "$(cat code)"
"""


class Job:
    """A job on a runner, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        (folder / "bin" / "gpuctl").write_text(GPUCTL)
        (folder / "bin" / "gpuctl").chmod(0o755)
        self.answer(0, STARTED)
        self.environ = {
            "PATH": f"{folder}/bin:/usr/bin:/bin",
            "GITHUB_RUN_ID": "77",
            "GITHUB_STATE": str(folder / "state"),
            "GITHUB_OUTPUT": str(folder / "output"),
            "INPUT_TYPE": "g4dn.xlarge",
            "INPUT_REGION": "us-east-1",
            "INPUT_STATE-ID": "ci-my-repo",
            "INPUT_TTL": "60",
        }

    def answer(self, code: int, document: object) -> None:
        (self.folder / "code").write_text(str(code))
        (self.folder / "reply").write_text(json.dumps(document))

    def start(self, script: str, **environ: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [NODE or "node", str(ACTION / script)],
            cwd=self.folder,
            env=self.environ | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, script: str, **environ: str) -> tuple[int, str]:
        process = self.start(script, **environ)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def test_the_name_is_saved_before_gpuctl_is_called(job: Job) -> None:
    assert job.run("main.js") == (0, "")
    assert job.lines("called") == ["provision g4dn.xlarge --region us-east-1 --ttl 60 --name ci-77 -o json"]
    assert job.lines("state-when-called") == ["name=ci-77", "stateId=ci-my-repo"]
    assert job.lines("state-id") == ["ci-my-repo"]
    assert job.lines("output") == ["id=inst-000000000001", "name=ci-77", "public-ip=203.0.113.7"]


def test_further_options_are_words_and_never_a_shells(job: Job) -> None:
    job.run("main.js", INPUT_NAME="train", INPUT_OPTIONS="--spot\n--tag\nproject=$(touch evil) x\n")
    assert job.lines("called")[0].endswith("--name train -o json --spot --tag project=$(touch evil) x")
    assert not (job.folder / "evil").exists()


def test_a_failure_is_shown_with_its_exit_code(job: Job) -> None:
    job.answer(5, FAILED)
    assert job.run("main.js") == (5, "::error::no capacity (add --region%0Aus-west-2)\n")
    assert job.lines("output") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("script", ["main.js", "post.js"])
def test_the_runners_signal_reaches_gpuctl(job: Job, script: str, number: signal.Signals) -> None:
    (job.folder / "hang").touch()
    process = job.start(script, STATE_name="ci-77")
    while not (job.folder / "hanging").exists():
        assert process.poll() is None
        signal.sigtimedwait([], 0.02)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert (process.returncode, job.lines("signals")) == (128 + number, [number.name.removeprefix("SIG")])


def test_the_end_of_the_job_terminates_the_instance_by_its_name(job: Job) -> None:
    assert job.run("post.js", STATE_name="ci-77", STATE_stateId="ci-my-repo")[0] == 0
    assert (job.lines("called"), job.lines("state-id")) == (["terminate ci-77 --timeout 4m"], ["ci-my-repo"])


@pytest.mark.parametrize(("code", "expected"), [(8, 8), (1, 1), (3, 0)])
def test_a_termination_that_failed_is_a_warning_and_not_swallowed(job: Job, code: int, expected: int) -> None:
    job.answer(code, FAILED)
    exit_code, output = job.run("post.js", STATE_name="ci-77")
    assert (exit_code, f"::warning::gpuctl terminate ci-77 exited with {code}" in output) == (expected, expected != 0)


def test_without_a_saved_name_there_is_nothing_to_terminate(job: Job) -> None:
    assert job.run("post.js") == (0, "")
    assert job.lines("called") == []


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"RUNNER_OS": "Windows"}, "ubuntu-latest"),
        ({"INPUT_NAME": "a b\nx=y"}, "a-z0-9-"),
        ({"INPUT_STATE-ID": "short"}, "a-z0-9-"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_saved(job: Job, environ: dict[str, str], words: str) -> None:
    code, output = job.run("main.js", **environ)
    assert (code, words in output, job.lines("called"), job.lines("state")) == (2, True, [], [])


def test_a_missing_gpuctl_is_one_line(job: Job) -> None:
    os.remove(job.folder / "bin" / "gpuctl")
    code, output = job.run("main.js")
    assert (code, output) == (1, "::error::gpuctl is not installed: install it in an earlier step\n")


def test_the_action_runs_on_the_runners_of_today_and_has_no_dependencies() -> None:
    runs = yaml.safe_load((ACTION / "action.yml").read_text())["runs"]
    assert runs == {"using": "node24", "main": "main.js", "post": "post.js"}
    required = {name for path in ACTION.glob("*.js") for name in re.findall(r"require\('(.+?)'\)", path.read_text())}
    assert required == {"node:child_process", "node:fs", "./gpuctl.js"}
