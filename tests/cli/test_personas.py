"""The days of the three who use gpuctl, over real processes: an operator at a terminal, cron, and a script in CI."""

import fcntl
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.cli import Operator
from support.programs import CRONTAB, with_programs

from gpuctl.domain.instance import Status
from gpuctl.domain.tags import EXPIRES_AT, ID, STATE, deadline_tag

GPUCTL = [sys.executable, "-m", "gpuctl"]


@pytest.fixture
def real_time(operator: Operator) -> Operator:
    """The operator with the cloud on the real time, as real processes have it."""
    operator.cloud.now = timedelta(0)
    return operator


def environment(operator: Operator, **more: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    paths = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": "/usr/bin:/bin", "TERM": "xterm"}
    return {**own, **operator.environ, **paths, **more}


class Screen:
    """A terminal with a program at it: what it shows, and somebody who types."""

    def __init__(self, descriptor: int, process: "subprocess.Popen[bytes]") -> None:
        self._descriptor = descriptor
        self.process = process
        self.shown = ""

    def wait_for(self, text: str) -> None:
        """Read until that is shown."""
        while text not in self.shown:
            read = self._read()
            assert read, f"`{text}` was never shown, but: {self.shown}"

    def type(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def end(self) -> int:
        """Read to the end, and return the exit code."""
        while self._read():
            pass
        return self.process.wait(timeout=60)

    def _read(self) -> str:
        try:
            read = os.read(self._descriptor, 65_536).decode(errors="replace")
        except OSError:  # the last writer has left
            return ""
        self.shown += read
        return read


@contextmanager
def at_a_terminal(operator: Operator, *argv: str) -> Iterator[Screen]:
    """gpuctl at a terminal of its own, where Ctrl-C is a key."""
    screen, terminal = pty.openpty()
    process = subprocess.Popen(
        [*GPUCTL, *argv],
        env=environment(operator),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(terminal)
    try:
        yield Screen(screen, process)
    finally:
        process.kill()
        process.wait()
        os.close(screen)


def test_an_operator_starts_watches_and_terminates_instances_and_is_asked(real_time: Operator) -> None:
    start = ("provision", "g4dn.xlarge", "--region", "us-east-1", "--count", "2", "--name", "train")
    with at_a_terminal(real_time, *start) as screen:
        screen.wait_for("Start 2? [y/N]")
        assert real_time.active == []
        screen.type("y\n")
        assert screen.end() == 0
    assert "train-2" in screen.shown
    assert len(real_time.active) == 2

    with at_a_terminal(real_time, "list", "--watch") as screen:
        screen.wait_for("train-1")
        screen.type("\x03")
        assert screen.end() == 0
    assert "Traceback" not in screen.shown

    with at_a_terminal(real_time, "terminate", "--all") as screen:
        screen.wait_for("[y/N]")
        screen.type("n\n")
        assert screen.end() == 2
    assert len(real_time.active) == 2

    with at_a_terminal(real_time, "terminate", "--all") as screen:
        screen.wait_for("[y/N]")
        screen.type("y\n")
        assert screen.end() == 0
    assert real_time.active == []


def as_cron_does(line: str) -> "subprocess.CompletedProcess[str]":
    """Run a crontab's line: no variable but cron's own, its percent signs unescaped, by /bin/sh."""
    command = line.split(" ", 5)[5].replace("\\%", "%")
    return subprocess.run(
        ["/usr/bin/env", "-i", "SHELL=/bin/sh", "PATH=/usr/bin:/bin", "/bin/sh", "-c", command],
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_cron_reaps_from_a_bare_environment_by_the_very_line(operator: Operator) -> None:
    with_programs(operator, crontab=CRONTAB)
    credentials = operator.folder / "credentials"
    credentials.write_text("[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = x\n")
    carried = {"AWS_SHARED_CREDENTIALS_FILE": str(credentials), "AWS_ENDPOINT_URL": operator.wire.url}
    operator.clock.jump(datetime.now(UTC) - timedelta(hours=2) - operator.clock.now())
    assert operator.provision("--ttl", "60").code == 0
    operator.cloud.now = timedelta(0)
    assert operator.run("schedule", "install", environ=carried).code == 0
    line, ticks = (operator.folder / "tab").read_text().splitlines()

    ran = as_cron_does(line)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert operator.active == []
    (record,) = operator.records
    assert record.status in (Status.STOPPING, Status.TERMINATED)
    log = operator.own_folder / "reap.log"
    assert record.id in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600
    assert operator.json("schedule", "status").json["schedule"]["lastReapExitCode"] == 0
    assert "close\texpired" in as_cron_does(line).stdout
    for idle in (line, ticks):
        again = as_cron_does(idle)
        assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


SCRIPT = r"""
set -euo pipefail
gpuctl() { "$PYTHON" -m gpuctl "$@"; }
of() { "$PYTHON" -c 'import json, sys; print(eval("one" + sys.argv[1], {"one": json.load(sys.stdin)}))' "$1"; }
name="ci-$RUN"
trap 'gpuctl terminate "$name" -o json >last.json' EXIT

gpuctl provision g4dn.xlarge --region us-east-1 --name "$name" --task "$TASK" -o json >first.json
gpuctl provision g4dn.xlarge --region us-east-1 --name "$name" --task "$TASK" -o json >again.json
[ "$(of '["created"]' <again.json)" = False ]
id=$(of '["instance"]["id"]' <first.json)
[ "$(gpuctl list -q --task "$TASK")" = "$id" ]
[ -n "$(gpuctl get "$id" --field publicIp)" ]

code=0
gpuctl get nope -o json >failed.json || code=$?
[ "$code" = 3 ] && [ "$(of '["error"]["code"]' <failed.json)" = not_found ]

gpuctl list -q --task "$TASK" | gpuctl terminate - -o json >ended.json
[ "$(of '["instances"][0]["status"]' <ended.json)" = TERMINATED ]
gpuctl list -q --task "$TASK" | gpuctl terminate - -o json >nothing.json
[ "$(of '["count"]' <nothing.json)" = 0 ]
echo done
"""


def test_a_script_in_ci_parses_every_answer_and_ends_what_it_started(real_time: Operator, tmp_path: Path) -> None:
    more = {"CI": "true", "GPUCTL_STATE_ID": "ci-my-repo", "PYTHON": sys.executable, "RUN": "4711", "TASK": "nightly"}
    done = subprocess.run(
        ["bash", "-c", SCRIPT],
        cwd=tmp_path,
        env=environment(real_time, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    assert "Traceback" not in done.stderr
    assert real_time.state_id == "ci-my-repo"
    assert len(real_time.cloud.instances()) == 1
    assert real_time.active == []


def test_what_a_killed_job_left_behind_is_terminated_by_a_reaper_that_never_saw_its_state(operator: Operator) -> None:
    now = operator.clock.now()
    tags = {ID: "inst-000000000009", STATE: "ci-my-repo"}
    operator.cloud.now = now - timedelta(hours=1)
    overdue = operator.cloud.launch(tags=tags | {EXPIRES_AT: deadline_tag(now - timedelta(minutes=16))})
    in_grace = operator.cloud.launch(tags=tags | {EXPIRES_AT: deadline_tag(now - timedelta(minutes=10))})
    operator.cloud.now = operator.clock.now
    del operator.environ["GPUCTL_STATE"]
    reaper = {"GPUCTL_REAP_STATE_IDS": "ci-my-repo", "GPUCTL_AWS_SWEEP_REGIONS": "us-east-1"}
    ran = operator.run("reap", "--sweep", environ=reaper)
    assert (ran.code, operator.active) == (0, [in_grace])
    assert "terminate\torphan" in ran.out and overdue not in operator.active
