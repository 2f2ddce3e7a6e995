"""gpuctl in the shells, pipes and cron jobs it meets: what was done stays written down, and nobody sees a traceback."""

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from support.cli import Operator
from support.instances import a_ready_instance
from support.wire import HANGING, Fault

from gpuctl.domain.instance import Instance, Reason, Status

GPUCTL = [sys.executable, "-m", "gpuctl"]
START = ["provision", "g4dn.xlarge", "--region", "us-east-1", "--name", "n"]
OF_THE_SDK = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED")
NOT_YET = (
    b'<DescribeInstanceStatusResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><instanceStatusSet/>'
    b"</DescribeInstanceStatusResponse>"
)
STARTING = Fault(False, lambda _: (200, {"Content-Type": "text/xml"}, NOT_YET))
STILL_THERE = Fault(False, lambda _: (200, {"Content-Type": "text/xml"}, b"<TerminateInstancesResponse/>"))


@pytest.fixture
def real_time(operator: Operator) -> Operator:
    """The operator with the cloud on the real time, as real processes have it."""
    operator.cloud.now = timedelta(0)
    return operator


@pytest.fixture
def many(real_time: Operator) -> Operator:
    """More records than a pipe holds."""
    real_time.store.add([a_ready_instance(f"inst-{number:012d}") for number in range(900)], lambda present: None)
    return real_time


def bare(operator: Operator, **more: str) -> dict[str, str]:
    """The environment of `env -i`: nothing but the way to Python's modules, the login, and which state is meant."""
    login = {name: os.environ[name] for name in OF_THE_SDK}
    return {"PYTHONPATH": os.pathsep.join(sys.path), "GPUCTL_STATE": str(operator.state), **login, **more}


def started(operator: Operator, *argv: str, environ: dict[str, str] | None = None, **how: Any) -> subprocess.Popen[Any]:
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*GPUCTL, *argv], env=environ or bare(operator), **{**streams, **how})


def ended(process: subprocess.Popen[Any]) -> tuple[int, str, str]:
    """Its exit code, stdout and stderr, each empty where nobody listened."""
    out, err = process.communicate(timeout=60)
    stderr = (err or b"").decode(errors="replace")
    assert "Traceback" not in stderr, stderr
    return process.returncode, (out or b"").decode(errors="replace"), stderr


def in_shell(operator: Operator, line: str, **more: Any) -> tuple[int, str, str]:
    """Run a line in which `gpuctl` stands for the real thing."""
    script = f'gpuctl() {{ {" ".join(GPUCTL)} "$@"; }}; {line}'
    environ = bare(operator, PATH="/usr/bin:/bin")
    return ended(subprocess.Popen(["bash", "-c", script], env=environ, stdout=-1, stderr=-1, **more))


def the_record(operator: Operator) -> Instance:
    (record,) = operator.records
    return record


def is_done(operator: Operator) -> bool:
    """Whether the one instance is up and its record says so."""
    record = the_record(operator)
    return record.status is Status.READY and [record.cloud_id] == operator.active


# nobody reads what is written


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_reader_that_stops_reading_is_no_failure(many: Operator, form: str) -> None:
    line = f"gpuctl list -o {form} | head -c1; echo :${{PIPESTATUS[0]}}"
    code, out, err = in_shell(many, line)
    assert (code, out[1:], err) == (0, ":0\n", "")


@pytest.mark.parametrize("more", [["-q"], ["-o", "json"], []], ids=" ".join)
@pytest.mark.parametrize("missing", ["pipe", "full", "closed"])
def test_an_instance_is_started_and_written_down_though_nobody_takes_the_output(
    real_time: Operator, missing: str, more: list[str]
) -> None:
    line = {
        "pipe": "gpuctl {} | true; exit ${{PIPESTATUS[0]}}",
        "full": "gpuctl {} >/dev/full",
        "closed": "gpuctl {} >&-",
    }
    code, _, _ = in_shell(real_time, line[missing].format(" ".join([*START, *more])))
    assert code == 0
    assert is_done(real_time)


@pytest.mark.parametrize("more", [["-q"], []], ids=" ".join)
@pytest.mark.parametrize("redirected", ["2>/dev/full", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-"])
def test_an_instance_is_started_and_written_down_without_one_stream_or_another(
    real_time: Operator, redirected: str, more: list[str]
) -> None:
    code, _, _ = in_shell(real_time, f"gpuctl {' '.join([*START, *more])} {redirected}")
    assert code == 0
    assert is_done(real_time)


@pytest.mark.parametrize("redirected", ["2>/dev/full", "2>&-", "<&-", "<&- 2>&-"])
def test_data_is_printed_without_the_other_streams(real_time: Operator, redirected: str) -> None:
    real_time.store.add([a_ready_instance()], lambda present: None)
    code, out, _ = in_shell(real_time, f"gpuctl list --all -o json {redirected}")
    assert (code, json.loads(out)["count"]) == (0, 1)
    assert in_shell(real_time, f"gpuctl get nobody {redirected}")[0] == 3


def test_a_closed_stdin_names_no_instance_and_none_is_terminated(real_time: Operator) -> None:
    real_time.provision()
    code, _, err = in_shell(real_time, "gpuctl terminate - <&-")
    assert code == 0, err
    assert is_done(real_time)


@pytest.mark.parametrize("redirected", [">/dev/full", ">&-", "2>&-", "2>/dev/full"])
def test_an_instance_is_terminated_though_nobody_takes_the_output(real_time: Operator, redirected: str) -> None:
    real_time.provision("--name", "n")
    assert in_shell(real_time, f"gpuctl terminate n {redirected}")[0] == 0
    assert (the_record(real_time).status, real_time.active) == (Status.TERMINATED, [])


# no environment, no language, no folder


def test_an_instance_is_started_and_terminated_with_nothing_in_the_environment(real_time: Operator) -> None:
    code, _, err = ended(started(real_time, *START))
    assert code == 0, err
    assert is_done(real_time)
    assert the_record(real_time).user
    assert ended(started(real_time, "terminate", "n"))[0] == 0
    assert real_time.active == []


LANGUAGES = [
    {"LANG": "C"},
    {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "tr_TR.UTF-8"},
    {"LC_ALL": "no_SUCH.language"},
]


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda item: " ".join(f"{k}={v}" for k, v in item.items()))
def test_names_of_any_script_are_kept_and_shown_in_any_language(real_time: Operator, language: dict[str, str]) -> None:
    environ = bare(real_time, **language)
    text = ["--user", "Žofie", "--task", "ÇİĞ-ıi", "--purpose", "数据 – 🚀"]
    code, _, err = ended(started(real_time, *START, *text, environ=environ))
    assert code == 0, err
    assert is_done(real_time)
    commands = (["list"], ["get", "n"], ["list", "--status", "ready"], ["stats"], ["types", "--gpu", "t4"])
    # Each command in one form: what a language can break is in the commands or in the forms, and processes are slow.
    for argv, form in zip(commands, cycle(("table", "tsv", "csv", "json")), strict=False):
        code, out, err = ended(started(real_time, *argv, "-o", form, environ=environ))
        assert code == 0, err
        assert out
    code, out, _ = ended(started(real_time, "get", "n", "-o", "json", environ=environ))
    assert json.loads(out)["instance"]["status"] == "READY"


def test_a_name_that_python_is_set_not_to_read_is_refused_before_anything_is_done(real_time: Operator) -> None:
    environ = bare(real_time, LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    code, _, err = ended(started(real_time, *START, "--user", "Žofie", environ=environ))
    assert (code, len(err.splitlines())) == (2, 1)
    assert real_time.active == []


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_bytes_that_are_no_text_name_no_instance(real_time: Operator, encoding: str) -> None:
    real_time.provision("--name", "n")
    environ = bare(real_time, PYTHONIOENCODING=encoding)
    process = started(real_time, "terminate", "-", environ=environ, stdin=subprocess.PIPE)
    out, err = process.communicate(b"\xff\xfe\n\xc5\n", timeout=60)
    assert (process.returncode, out) == (3, b"")
    assert b"Traceback" not in err
    assert is_done(real_time)


def test_what_was_written_in_one_language_is_shown_in_another(real_time: Operator) -> None:
    real_time.store.add([a_ready_instance(user="Žofie", task="数据", name="n")], lambda present: None)
    environ = bare(real_time, LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    for form in ("table", "tsv", "csv"):
        code, out, err = ended(started(real_time, "list", "--all", "-o", form, environ=environ))
        assert (code, "inst-000000000001" in out or "READY" in out) == (0, True), err


@pytest.mark.parametrize("argv", [["list", "--all"], START], ids=lambda argv: argv[0])
def test_a_folder_that_was_deleted_under_it_is_no_matter(real_time: Operator, tmp_path: Path, argv: list[str]) -> None:
    missing = tmp_path / "gone"
    missing.mkdir()
    line = f"cd {missing} && rmdir {missing} && gpuctl {' '.join(argv)}"
    code, _, err = in_shell(real_time, line)
    assert code == 0, err
    assert argv[0] == "list" or is_done(real_time)


@pytest.mark.parametrize(
    ("argv", "option"),
    [(["list"], "--state"), (START, "--state"), (START, "--config")],
    ids=["list --state", "provision --state", "provision --config"],
)
def test_a_file_that_is_named_from_a_folder_that_was_deleted_is_wrong_usage(
    real_time: Operator, tmp_path: Path, argv: list[str], option: str
) -> None:
    missing = tmp_path / "gone"
    missing.mkdir()
    code, _, err = in_shell(real_time, f"cd {missing} && rmdir {missing} && gpuctl {' '.join(argv)} {option} my.file")
    assert (code, len(err.splitlines())) == (2, 2)
    assert "was deleted" in err
    assert real_time.active == []


@pytest.mark.parametrize("option", ["--state", "--config"])
def test_a_file_in_the_home_of_nobody_is_wrong_usage(real_time: Operator, option: str) -> None:
    code, _, err = in_shell(real_time, f"gpuctl {' '.join(START)} {option} '~nobody-has-this-name/my.file'")
    assert (code, len(err.splitlines())) == (2, 2)
    assert real_time.active == []


# signals


def when_asked(operator: Operator, action: str, process: subprocess.Popen[Any]) -> None:
    """Return when the process has asked that of the cloud."""
    while not operator.wire.calls(action):
        assert process.poll() is None
        signal.sigtimedwait([], 0.02)


ENDINGS = [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]


@pytest.mark.parametrize(("number", "code"), ENDINGS)
def test_a_signal_ends_what_only_looks(real_time: Operator, number: signal.Signals, code: int) -> None:
    real_time.provision("--name", "n")
    real_time.wire.sent.clear()
    real_time.wire.arm("DescribeInstances", *[HANGING] * 9)
    process = started(real_time, "list", "--refresh", "-o", "json")
    when_asked(real_time, "DescribeInstances", process)
    process.send_signal(number)
    ended_with, out, _ = ended(process)
    assert (ended_with, json.loads(out)["error"]["code"]) == (code, "interrupted")
    assert is_done(real_time)


@pytest.mark.parametrize(("number", "code"), ENDINGS)
def test_a_signal_while_an_end_is_waited_for_takes_nothing_back(
    real_time: Operator, number: signal.Signals, code: int
) -> None:
    real_time.provision("--name", "n")
    real_time.wire.arm("TerminateInstances", *[STILL_THERE] * 99)
    process = started(real_time, "terminate", "n")
    when_asked(real_time, "TerminateInstances", process)
    process.send_signal(number)
    assert ended(process)[0] == code
    record = the_record(real_time)
    assert (record.status, record.reason) == (Status.STOPPING, Reason.USER)


def test_a_signal_ends_the_watching_reaper(real_time: Operator) -> None:
    real_time.provision("--name", "n")
    real_time.wire.sent.clear()
    process = started(real_time, "reap", "--sweep", "--watch", "--interval", "1h")
    when_asked(real_time, "DescribeInstances", process)
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 143
    assert is_done(real_time)


def test_nohup_outlives_the_terminal(real_time: Operator) -> None:
    real_time.wire.arm("DescribeInstanceStatus", STARTING)
    process = started(real_time, *START, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    when_asked(real_time, "DescribeInstanceStatus", process)
    process.send_signal(signal.SIGHUP)
    assert ended(process)[0] == 0
    assert is_done(real_time)
