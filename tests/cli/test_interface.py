"""Names, shapes and codes that scripts rely on: changing one of them breaks somebody."""

import csv
import errno
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.cli import Operator
from support.clock import FakeClock
from support.instances import NOON, a_ready_instance, an_instance
from support.wire import refuse

from gpuctl.cli.command_table import COMMANDS, OTHER_NAMES
from gpuctl.cli.context import Context
from gpuctl.cli.main import main
from gpuctl.cli.terminal.streams import Streams
from gpuctl.clock import SystemClock
from gpuctl.domain.instance import ProviderName
from gpuctl.domain.reconcile.actions import scope_of
from gpuctl.errors import Code
from gpuctl.store.reaper import ReapTimes, Sweep

INSTANCE_KEYS = [
    "id",
    "name",
    "userId",
    "taskId",
    "purpose",
    "provider",
    "account",
    "instanceType",
    "region",
    "zone",
    "market",
    "status",
    "statusReason",
    "statusMessage",
    "lastError",
    "cloudInstanceId",
    "publicIp",
    "privateIp",
    "diskSizeGB",
    "autoTerminateMinutes",
    "expiresAt",
    "costPerHour",
    "totalCost",
    "costBreakdown",
    "priceSource",
    "priceAsOf",
    "tags",
    "metadata",
    "safeguards",
    "attempts",
    "createdAt",
    "launchedAt",
    "readyAt",
    "terminatedAt",
    "updatedAt",
    "history",
]
BREAKDOWN_KEYS = ["compute", "disk", "publicIp", "total", "totalPerHour", "endIsEstimate"]
STATISTICS_KEYS = [
    "totalProvisioned",
    "currentlyRunning",
    "totalCost",
    "averageDuration",
    "averageCost",
    "providerBreakdown",
    "instanceTypeBreakdown",
    "currentlyBilling",
    "alwaysOnCost",
    "savings",
    "savingsPercent",
]
ERROR_KEYS = ["code", "message", "hint", "retryable", "exitCode"]
CODES = [
    "usage",
    "not_found",
    "credentials",
    "capacity",
    "throttled",
    "unreachable",
    "not_ready",
    "quota",
    "budget",
    "unresolved",
    "partial",
    "state_locked",
    "state_unusable",
    "interrupted",
    "cloud",
    "internal",
]
LIST_COLUMNS = [
    "id",
    "name",
    "status",
    "provider",
    "region",
    "instanceType",
    "market",
    "createdAt",
    "expiresAt",
    "publicIp",
    "costPerHour",
    "totalCost",
    "userId",
    "taskId",
]
HOSTILE = [
    "\x1b[2J",
    "\x1b]52;c;eA==\x07",
    "a\rb",
    "a\nb",
    "\u202egnp.exe",
    "\x9b31m",
    "=cmd()",
    "[red]x[/red]",
    "a\tb",
    "\ud800",
]
RAW = set(map(chr, [*range(0, 9), *range(11, 32), 127, *range(128, 160)])) | {"\u202e"}


def seeded(operator: Operator, *records: Any) -> Operator:
    operator.store.add(list(records), lambda present: None)
    return operator


def test_an_instance_has_these_keys_in_this_order(operator: Operator) -> None:
    seeded(operator, an_instance())
    shape = operator.json("get", "inst-000000000001").instance
    assert list(shape) == INSTANCE_KEYS
    assert list(shape["costBreakdown"]) == BREAKDOWN_KEYS


def test_every_answer_says_whether_it_succeeded_and_its_schema(operator: Operator) -> None:
    seeded(operator, an_instance())
    for argv in (["list"], ["get", "inst-000000000001"], ["stats"], ["types"], ["get", "nope"], ["list", "--wat"]):
        document = operator.json(*argv).json
        assert list(document)[:2] == ["success", "schemaVersion"]
        assert document["schemaVersion"] == 1


def test_statistics_have_these_keys(operator: Operator) -> None:
    assert list(operator.json("stats").json["statistics"]) == STATISTICS_KEYS


def test_an_error_has_these_keys_and_codes_are_closed(operator: Operator) -> None:
    ran = operator.json("get", "nope")
    assert list(ran.json["error"]) == ERROR_KEYS
    assert (ran.json["success"], ran.json["error"]["exitCode"]) == (False, ran.code)
    assert [code.value for code in Code] == CODES


def test_lists_are_newest_first_and_have_these_columns(operator: Operator) -> None:
    seeded(
        operator,
        a_ready_instance("inst-000000000001", name="old"),
        a_ready_instance("inst-000000000002", created_at=NOON.replace(minute=1), price=None),
    )
    rows = list(csv.reader(io.StringIO(operator.run("list", "-o", "csv").out)))
    assert rows[0] == LIST_COLUMNS
    assert [row[0] for row in rows[1:]] == ["inst-000000000002", "inst-000000000001"]
    assert rows[1][10:12] == ["", ""]
    piped = operator.run("list").out.splitlines()
    assert [line.split("\t") for line in piped] == rows[1:]
    assert operator.run("list", "-q").out == "inst-000000000002\ninst-000000000001\n"


def test_a_pipe_gets_rows_and_a_terminal_gets_a_table(operator: Operator) -> None:
    seeded(operator, a_ready_instance())
    assert operator.run("list").out.startswith("inst-000000000001\t")
    shown = operator.run("list", terminal=True, environ={"NO_COLOR": "1"})
    assert shown.out.split()[:3] == ["ID", "TYPE", "REGION"]
    assert "1 active · $0.53/h" in shown.err


def test_options_may_stand_before_and_after_the_command(operator: Operator) -> None:
    seeded(operator, an_instance())
    after, before = operator.run("list", "-o", "json"), operator.run("-o", "json", "list")
    assert after.json == before.json
    assert operator.run("--output=csv", "list", "-ojson").json == after.json


def test_verbose_shows_the_cause_of_a_failure_without_secrets(operator: Operator) -> None:
    argv = ["provision", "g4dn.xlarge", "--region", "us-east-1"]
    operator.wire.arm("GetCallerIdentity", *[refuse("ExpiredToken", 403)] * 2)
    plain, deep = operator.run(*argv), operator.run(*argv, "-v")
    assert (plain.code, deep.code) == (4, 4)
    assert "caused by" not in plain.err
    assert "caused by: ClientError: " in deep.err
    assert "a-secret-canary" not in deep.err


def test_an_error_is_one_line_and_a_hint_on_stderr(operator: Operator) -> None:
    ran = operator.run("get", "nope")
    assert (ran.out, ran.err) == ("", "error: Instance not found\nhint: gpuctl list --all\n")


@pytest.mark.parametrize(
    "argv",
    [
        ["list", "--wat"],
        ["wat"],
        ["get"],
        ["list", "--status", "x"],
        ["-o", "xml", "list"],
        ["provision", "--count", "x"],
    ],
)
def test_what_cannot_be_parsed_is_an_error_in_json_too(operator: Operator, argv: list[str]) -> None:
    ran = operator.run(*argv, "-o", "json")
    assert (ran.code, ran.json["success"], ran.json["error"]["code"]) == (2, False, "usage")


@pytest.mark.parametrize(("other", "ours"), sorted(OTHER_NAMES.items()))
def test_names_from_other_tools_lead_to_ours(operator: Operator, other: str, ours: str) -> None:
    ran = operator.run(other)
    assert (ran.code, f"gpuctl {ours}" in ran.err) == (2, True)


def test_gpuctl_alone_is_help_and_so_is_h_everywhere(operator: Operator) -> None:
    alone = operator.run()
    assert alone.code == 0
    assert "Examples:" in alone.out
    for command in COMMANDS:
        ran = operator.run(command, "-h")
        assert ran.code == 0
        assert "Global options:" in ran.out
        assert (
            max(len(line) for line in ran.out.splitlines() if not line.startswith("  gpuctl") and "* *" not in line)
            <= 80
        )
    assert operator.run("-V").out.startswith("gpuctl ")


def test_the_reapers_help_has_a_crontab_line_that_works_from_anywhere(operator: Operator) -> None:
    (line,) = [line for line in operator.run("reap", "-h").out.splitlines() if "* * * * *" in line]
    _, binary, command, flag, state = line.strip().removeprefix("* * * *").split()
    assert (binary[0], command, flag, state[0]) == ("/", "reap", "--state", "/")
    assert line.strip() in Path(__file__).parents[2].joinpath("README.md").read_text()


WRONG = [
    "",
    " ",
    "-1",
    "nan",
    "inf",
    "1e309",
    "9" * 400,
    "٣",
    "a\x00b",
    "a\nb",
    "\x1b[2J",
    "../../x",
    "--",
    "💥",
    "1_0",
]
FLAGS = [
    *[
        ["provision", "g4dn.xlarge", "--region", "us-east-1", flag]
        for flag in ("--ttl", "--disk-size", "--count", "--timeout")
    ],
    ["provision", "g4dn.xlarge", "--region"],
    ["provision", "g4dn.xlarge", "--region", "us-east-1", "--provider"],
    ["provision", "g4dn.xlarge", "--region", "us-east-1", "--tag"],
    ["provision", "--region", "us-east-1"],
    *[["list", flag] for flag in ("--status", "--older-than", "--tag", "--provider")],
    ["stats", "--since"],
    *[["types", flag] for flag in ("--max-price", "--min-gpu-memory", "--provider", "--region", "--gpu")],
    ["terminate", "--tag"],
    ["terminate", "--timeout"],
    *[["reap", flag] for flag in ("--interval", "--max-orphans")],
    *[["extend", "inst-000000000001", flag] for flag in ("--by", "--ttl")],
    ["completion"],
    ["sandbox"],
    ["-o"],
    ["--color"],
]


@pytest.mark.parametrize("flag", FLAGS, ids=" ".join)
def test_a_value_that_is_invalid_is_one_line_exit_2_and_no_call(operator: Operator, flag: list[str]) -> None:
    seeded(operator, a_ready_instance())
    before = operator.state.read_bytes()
    for value in WRONG:
        ran = operator.run(*flag, value)
        lines = ran.err.splitlines()
        assert ran.code == 2, (value, ran)
        assert lines[0].startswith("error: ")
        assert len(lines) <= 2
        assert not RAW & set(ran.err)
    assert operator.wire.sent == []
    assert operator.state.read_bytes() == before


@pytest.mark.parametrize("flag", ["--user", "--task", "--purpose", "--image", "--subnet"])
@pytest.mark.parametrize("value", ["", " ", "a\x00b", "a\nb", "\x1b[2J", "x" * 5000])
def test_free_text_that_is_invalid_makes_nothing(operator: Operator, flag: str, value: str) -> None:
    ran = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1", flag, value)
    assert ran.code == 2
    assert len(ran.err.splitlines()) <= 3
    assert operator.wire.calls("RunInstances") == []


def test_unknown_names_are_answered_with_the_nearest(operator: Operator) -> None:
    assert "g4dn.xlarge" in operator.run("provision", "g4dn.xlrge", "--region", "us-east-1").err
    assert "us-east-1" in operator.run("provision", "g4dn.xlarge", "--region", "us-esat-1").err
    assert "--older-than" in operator.run("list", "--oldr-than", "5m").err
    assert operator.run("provision", "g4dn.xlarge", "--provider", "gcp", "--region", "us-east-1").code == 2
    assert "Instance type is required" in operator.run("provision", "--provider", "gcp").err
    assert "not of `aws`" in operator.run("provision", "Standard_NC6", "--provider", "aws", "--region", "eastus").err


@pytest.mark.parametrize("form", ["table", "tsv", "csv", "json"])
@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_text_never_reaches_the_terminal_raw(operator: Operator, text: str, form: str) -> None:
    seeded(
        operator,
        a_ready_instance(
            user=text,
            task=text,
            purpose=text,
            tags={text: text},
            last_error=text,
            public_ip=text,
        ),
    )
    for argv in (["list"], ["list", "--all"], ["get", "inst-000000000001"], ["stats"]):
        ran = operator.run(*argv, "-o", form, terminal=form == "table")
        printed = ran.out + ran.err
        assert not (RAW - ({"\x1b"} if form == "table" else set())) & set(printed.replace("\r\x1b[K", ""))
        assert text not in printed or text.isprintable()


def test_a_cell_that_a_spreadsheet_would_run_is_marked_as_text(operator: Operator) -> None:
    seeded(operator, a_ready_instance(user="=cmd()", task="@x"))
    (row,) = list(csv.DictReader(io.StringIO(operator.run("list", "-o", "csv").out)))
    assert (row["userId"], row["taskId"]) == ("'=cmd()", "'@x")


def test_a_name_or_four_characters_of_an_id_are_enough(operator: Operator) -> None:
    seeded(
        operator,
        a_ready_instance("inst-4k2m9qz07xwa", name="train-7"),
        a_ready_instance("inst-4k2mzzzzzzzz"),
        a_ready_instance("inst-zzzz00000000", status="TERMINATED"),
    )
    for text in ("train-7", "4k2m9", "inst-4k2m9", "inst-4k2m9qz07xwa"):
        assert operator.json("get", text).instance["id"] == "inst-4k2m9qz07xwa"
    ambiguous = operator.json("get", "4k2m")
    assert ambiguous.code == 2
    assert "inst-4k2mzzzzzzzz" in ambiguous.json["error"]["hint"]
    assert operator.json("get", "4k2").code == 3
    assert operator.json("get", "zzzz").instance["status"] == "TERMINATED"


def test_fields_are_printed_bare(operator: Operator) -> None:
    seeded(operator, a_ready_instance())
    assert operator.run("get", "0000", "--field", "costPerHour").out == "0.526\n"
    assert operator.run("get", "0000", "--field", "id", "--field", "publicIp").out == "inst-000000000001\t\n"
    assert "`publicIp`" in operator.run("get", "0000", "--field", "publicip").err


def test_terminate_asks_for_confirmation_on_a_terminal_and_no_stops_it(operator: Operator) -> None:
    instance = operator.provision().instance
    refused = operator.run("terminate", instance["id"][5:9], terminal=True, typed="n\n")
    assert (refused.code, len(operator.active)) == (2, 1)
    assert "Terminate it? [y/N]" in refused.err
    assert operator.run("terminate", instance["id"][5:9], terminal=True, typed="y\n").code == 0
    assert operator.active == []


@pytest.mark.parametrize("quieted", [["--no-input"], []])
def test_there_is_no_prompt_without_a_terminal(operator: Operator, quieted: list[str]) -> None:
    instance = operator.provision().instance
    environ = {} if quieted else {"CI": "true"}
    assert operator.run("terminate", instance["id"], *quieted, terminal=True, environ=environ).code == 0
    assert operator.active == []


def test_an_expensive_instance_is_asked_about_on_a_terminal_only(operator: Operator) -> None:
    dear = ["provision", "g4dn.metal", "--region", "us-east-1", "--ttl", "120"]
    assert operator.run(*dear, terminal=True, typed="n\n").code == 2
    assert operator.active == []
    assert operator.run(*dear, terminal=True, typed="y\n").code == 0
    assert operator.run(*dear, "--yes", terminal=True).code == 0
    assert operator.run(*dear).code == 0
    assert len(operator.active) == 3


def test_settings_come_from_the_flag_then_the_environment_then_the_file(operator: Operator) -> None:
    folder = operator.folder / "gpuctl"
    folder.mkdir()
    (folder / "config.toml").write_text('user = "file"\nmax_ttl = "180m"\n[aws]\nregion = "us-west-2"\n')
    by_file = operator.json("provision", "g4dn.xlarge", "--ttl", "180").instance
    assert (by_file["userId"], by_file["region"]) == ("file", "us-west-2")
    operator.environ |= {"GPUCTL_USER": "env", "GPUCTL_AWS_REGION": "us-east-2"}
    by_environment = operator.json("provision", "g4dn.xlarge").instance
    assert (by_environment["userId"], by_environment["region"]) == ("env", "us-east-2")
    by_flag = operator.provision("--user", "flag").instance
    assert (by_flag["userId"], by_flag["region"]) == ("flag", "us-east-1")


def test_the_clouds_own_region_is_the_last_resort_and_the_plan_names_its_source(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    ran = operator.run("provision", "g4dn.xlarge", "--dry-run")
    assert ran.code == 0
    assert "eu-west-1 (AWS_REGION)" in ran.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('usr = "x"', "did you mean `user`?"),
        ("[aws]\nregoin = 'x'", "did you mean `region`?"),
        ("user = 5", "must be a text"),
        ("max_ttl = '8d'", "max_ttl must be 5m to 7d"),
        ("confirm_above_usd = 'x'", "must be a number"),
        ("reap_state_ids = ['X']", "not a valid state ID"),
        ("user = ", "is not valid TOML"),
    ],
)
def test_a_config_that_is_wrong_is_one_line(operator: Operator, text: str, message: str) -> None:
    path = operator.folder / "my.toml"
    path.write_text(text)
    ran = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1", "--config", str(path))
    assert (ran.code, message in ran.err) == (2, True)
    assert len(ran.err.splitlines()) <= 2


def test_a_bug_is_shown_once_and_answered_in_json(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpuctl.cli.commands.stats import command as stats
    from gpuctl.cli.main import main
    from gpuctl.cli.terminal.streams import Streams

    def buggy(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(stats, "report", buggy)
    streams = Streams(io.StringIO(), io.StringIO(), io.StringIO())
    code = main(["stats", "-o", "json"], clock=operator.clock, environ=operator.environ, streams=streams)
    assert code == 1
    assert streams.err.getvalue().count("ZeroDivisionError: a bug") == 1  # type: ignore[attr-defined]
    assert '"code": "internal"' in streams.out.getvalue()  # type: ignore[attr-defined]


# as real processes


def gpuctl(*argv: str, environ: dict[str, str] | None = None, **how: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "gpuctl", *argv],
        env={"PYTHONPATH": os.pathsep.join(sys.path), **(environ or {})},
        check=False,
        timeout=60,
        **({"capture_output": True} | how),
    )


def test_list_loads_no_sdk_opens_no_socket_and_draws_nothing_it_need_not(operator: Operator) -> None:
    # A real process has the real time.
    now = SystemClock().now()
    record = a_ready_instance(created_at=now)
    seeded(operator, record)
    swept = Sweep(scope=scope_of(record), at=now, ours=1)
    operator.reaper_memory.update(lambda times: ReapTimes(sweeps=(swept,)))
    script = (
        "import socket, sys\n"
        "def no(*_, **__): raise AssertionError('a socket')\n"
        "socket.socket.connect = no\n"
        "from gpuctl.cli.main import main\n"
        "code = main(sys.argv[1:])\n"
        "loaded = sorted({name.split('.')[0] for name in sys.modules} & "
        "{'boto3', 'botocore', 'moto', 'azure', 'rich', 'werkzeug', 'requests', 'urllib3'})\n"
        "print(code, loaded, file=sys.stderr)\n"
    )
    for command in ("list", "stats", "reap"):
        done = subprocess.run(
            [sys.executable, "-c", script, command, "-o", "json", "--state", str(operator.state)],
            env={"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(operator.folder)},
            capture_output=True,
            check=False,
        )
        assert done.stderr.decode().splitlines()[-1] == "0 []", done.stderr


def test_it_works_without_a_home_a_path_a_language_or_a_terminal(tmp_path: Path) -> None:
    state = str(tmp_path / "state.json")
    for argv in (["list"], ["stats"], ["types"], ["-h"], ["get", "nope"], ["list", "-o", "table"]):
        done = gpuctl(*argv, "--state", state, environ={"LANG": "C"})
        assert b"Traceback" not in done.stderr
        assert done.returncode in (0, 3)


class Unwritable(io.StringIO):
    """A stream on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["list"], 1),
        (["estimate", "g4dn.xlarge", "--region", "us-east-1"], 1),
        (["terminate", "list"], 0),
        (["extend", "stats", "--by", "5m"], 0),
    ],
)
def test_only_a_command_that_reads_fails_when_its_output_cannot_be_written(
    operator: Operator, argv: list[str], code: int
) -> None:
    operator.provision("--name", "list")
    operator.provision("--name", "stats")
    streams = Streams(io.StringIO(), Unwritable(), io.StringIO())
    assert main(argv, clock=operator.clock, environ=operator.environ, streams=streams) == code


def test_disk_and_address_prices_are_looked_up_in_one_object() -> None:
    context = Context(Streams(io.StringIO(), io.StringIO(), io.StringIO()), FakeClock(), {"GPUCTL_STATE": "/nowhere"})
    wiring = context.wiring
    assert "extras" not in vars(wiring)
    actual = wiring.runtime.extras_of(ProviderName.AWS, "us-east-1", 100)
    assert actual == vars(wiring)["extras"].of(ProviderName.AWS, "us-east-1", 100)
    assert wiring.extras is wiring.extras


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_or_closed_stdout_is_no_traceback(operator: Operator) -> None:
    seeded(operator, *(a_ready_instance(f"inst-{number:012d}") for number in range(50)))
    argv = ["list", "--state", str(operator.state)]
    with open("/dev/full", "w") as full:
        done = gpuctl(*argv, stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    line = f"{sys.executable} -m gpuctl {' '.join(argv)}"
    for redirected in (f"{line} | head -c1", f"{line} >&-"):
        shell = subprocess.run(
            ["/bin/sh", "-c", redirected],
            env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=False,
        )
        assert shell.stderr == b""


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--ttl", "60"),
        ("--ttl", "60m"),
        ("--disk-size", "100"),
        ("--max-price", "1.20"),
        ("--count", "2"),
        ("--ssh-from", "203.0.113.7/32"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_number_with_a_line_break_behind_it_is_refused_in_one_line_that_shows_it(
    operator: Operator, option: str, value: str, end: str
) -> None:
    ran = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1", option, f"{value}{end}")
    first = ran.err.splitlines()[0]
    assert (ran.code, first.startswith(f"error: {option} ")) == (2, True)
    assert repr(end)[1:-1].replace("\\n", "\\x0a").replace("\\r", "\\x0d") in first
    assert operator.wire.sent == []


def test_a_budget_with_a_line_break_behind_it_is_refused_in_one_line(operator: Operator) -> None:
    ran = operator.run("config", environ={"GPUCTL_BUDGET_DAILY_USD": "50\n"})
    assert (ran.code, ran.err.splitlines()[0]) == (
        2,
        r"error: GPUCTL_BUDGET_DAILY_USD must be dollars, such as `10` or `2.50`, not `50\x0a`",
    )


def test_a_denial_is_complete_in_json_and_readable_for_a_person(operator: Operator) -> None:
    denied = "User: arn:aws:sts::123456789012:assumed-role/x is not authorized to perform: ec2:RunInstances"
    message = f"{denied} with an explicit deny in a service control policy. Message: {'A1b2' * 250} end"
    operator.wire.arm("RunInstances", refuse("UnauthorizedOperation", 403, message))
    failed = operator.provision()
    assert (failed.code, message in failed.json["error"]["message"]) == (4, True)
    assert message in failed.instance["lastError"]
    operator.wire.arm("RunInstances", refuse("UnauthorizedOperation", 403, message))
    first = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1").err.split("error: ")[-1].splitlines()[0]
    assert f"{denied} with an explicit deny in a service control policy." in first
    assert "end" in first[-6:] and len(first) < 500


@pytest.mark.parametrize("action", ["DescribeInstances", "RunInstances"])
def test_a_denial_names_the_permissions_and_not_the_login(operator: Operator, action: str) -> None:
    operator.provision("--name", "train-7")
    operator.wire.arm(action, *[refuse("UnauthorizedOperation", 403)] * 4)
    ran = operator.json("list", "--refresh") if action == "DescribeInstances" else operator.provision()
    document = str(ran.json)
    assert "docs/aws-policy.json" in document and "get-caller-identity" not in document
