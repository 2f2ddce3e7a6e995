"""`run`, `ssh` and readiness checks on instances of the sandbox, with real processes from end to end."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

GPUCTL = [sys.executable, "-m", "gpuctl", "--sandbox"]
AWS = ("g4dn.xlarge", "--region", "us-east-1")
AZURE = ("Standard_NC4as_T4_v3", "--region", "eastus")
GCP = ("g2-standard-4", "--region", "us-central1")


class Home:
    """A home folder with a sandbox of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "XDG_STATE_HOME": str(folder / "state"),
        }

    def start(self, *argv: str) -> "subprocess.Popen[str]":
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([*GPUCTL, *argv], env=self.environment, cwd=self.folder, text=True, **pipes)

    def run(self, *argv: str) -> tuple[int, str, str]:
        process = self.start(*argv)
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err, err
        return process.returncode, out, err

    def control(self, path: str, body: Any = None) -> Any:
        address = json.loads((self.folder / "state" / "gpuctl" / "sandbox" / "address.json").read_text())["url"]
        connection = HTTPConnection(address.removeprefix("http://"), timeout=30)
        connection.request("POST" if body is not None else "GET", f"/gpuctl-sandbox{path}", json.dumps(body or {}))
        reply = json.loads(connection.getresponse().read())
        connection.close()
        return reply


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("home"))
    yield home
    home.run("sandbox", "stop")


@pytest.mark.parametrize("instance_type", [AWS, AZURE, GCP])
def test_run_shows_the_output_and_returns_the_exit_code(home: Home, instance_type: tuple[str, ...]) -> None:
    code, out, err = home.run("run", *instance_type, "--", "nvidia-smi -L; echo problem >&2; exit 3")
    assert code == 3
    assert out.startswith("GPU 0: ") and out.count("\n") == 1
    assert "problem\n" in err and "is TERMINATED; it cost $" in err


def test_files_go_there_and_back_and_a_lost_connection_loses_nothing(home: Home) -> None:
    (home.folder / "data").mkdir()
    (home.folder / "data" / "input").write_text("from here")
    running = home.start(
        "run", *AWS, "--upload", "data:work", "--download", "work/out:out",
        "--", "cd work && for i in 1 2 3 4 5 6; do echo line $i; sleep 0.3; done; cp input out",
    )  # fmt: skip
    assert running.stdout is not None and running.stdout.readline() == "line 1\n"
    home.control("/network/cut", {})
    out, err = running.communicate(timeout=120)
    assert (running.returncode, out) == (0, "".join(f"line {number}\n" for number in range(2, 7)))
    assert "connection lost" in err
    assert (home.folder / "out").read_text() == "from here"


def test_a_spot_interruption_ends_the_run_and_what_it_started(home: Home) -> None:
    running = home.start("run", *AWS, "--spot", "--name", "spot", "--", "sleep 604 & echo up; wait")
    assert running.stdout is not None and running.stdout.readline() == "up\n"
    assert home.run("sandbox", "interrupt", "spot")[0] == 0
    _, err = running.communicate(timeout=120)
    assert running.returncode == 205
    assert "was terminated before the command finished (interrupted)" in err
    assert "sleep\0604" not in "".join(
        path.read_text() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()
    )


def test_work_that_is_interrupted_twice_finishes_in_time(home: Home) -> None:
    running = home.start(
        "run", *AWS, "--finish-by", "1h", "--work", "20m", "--market", "auto", "--name", "timed",
        "--", "echo begun; sleep 3; echo done",
    )  # fmt: skip
    assert running.stdout is not None
    for _ in range(2):
        assert running.stdout.readline() == "begun\n"
        assert home.run("sandbox", "interrupt", "timed")[0] == 0
    out, err = running.communicate(timeout=120)
    assert (running.returncode, out) == (0, "begun\ndone\n")
    assert err.count("timed was interrupted; the work continues on another instance") == 2
    listed = json.loads(home.run("list", "--all", "-o", "json")[1])["instances"]
    ended = [(each["market"], each["statusReason"]) for each in listed if each["name"] == "timed"]
    assert sorted(ended) == [("spot", "interrupted"), ("spot", "interrupted"), ("spot", "user")]
    assert {each["status"] for each in listed} == {"TERMINATED"}


def test_only_a_running_spot_instance_is_interrupted(home: Home) -> None:
    code, _, err = home.run("sandbox", "interrupt", "nobody")
    assert (code, err.splitlines()[0]) == (3, "error: Instance not found")


def test_a_check_waits_for_its_command_and_ssh_ends_with_the_instance(home: Home) -> None:
    assert home.run("provision", *AWS, "--name", "checked", "--check", "nvidia-smi")[0] == 0
    assert home.run("ssh", "checked", "--", "test", "-d", "no such folder")[0] == 1
    began = time.monotonic()
    code, _, _ = home.run("ssh", "checked", "--", "sudo shutdown -h now; sleep 600")
    assert (code, time.monotonic() - began < 60) == (255, True)
    assert home.run("get", "checked", "--refresh", "-o", "json")[1].count('"TERMINATED"') >= 1
