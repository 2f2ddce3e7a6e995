"""docs/security.md says what is true: the files and their modes, what is sent, and the policy."""

import json
import os
import re
import stat
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from support.cli import Operator
from support.lifecycle import a_lifecycle_that_makes_every_file

DOCS = Path(__file__).parents[1] / "docs"
TEXT = (DOCS / "security.md").read_text()
# `| `name` | 0600 | what it holds |`; a folder's name ends with a slash.
MODES = {name: int(mode, 8) for name, mode in re.findall(r"^\| `([^`]+)` \| (0[0-7]{3}) \|", TEXT, re.MULTILINE)}


def rows_of(path: str) -> list[str]:
    """The rows of the table that speak of this file, or folder if it ends with a slash."""
    if path in MODES:
        return [path]
    parts = path.split("/")
    # In a sandbox's own folder are the same files as above.
    if parts[0] == "sandbox" and len(parts) > 2 and parts[2]:
        return rows_of("/".join(parts[2:]))
    return [row for row in MODES if row.count("/") == path.count("/") and fnmatchcase(path, row)]


@pytest.fixture
def made(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Every file and folder that a life and a sandbox make in the folder of the state, passing ones too: its mode."""
    home = operator.folder / "home"
    folder = home / "gpuctl"
    operator.state = folder / "state.json"
    operator.environ |= {"XDG_STATE_HOME": str(home), "GPUCTL_STATE": str(operator.state)}
    modes: dict[str, int] = {}
    really = os.replace

    def noted(source: Any, target: Any) -> None:
        if Path(source).is_relative_to(folder):
            modes[str(Path(source).relative_to(folder))] = stat.S_IMODE(Path(source).stat().st_mode)
        really(source, target)

    monkeypatch.setattr(os, "replace", noted)
    a_lifecycle_that_makes_every_file(operator)
    environ = {"PYTHONPATH": os.pathsep.join(sys.path), "XDG_STATE_HOME": str(home)}
    gpuctl = [sys.executable, "-m", "gpuctl"]
    start = ["--sandbox", "provision", "g4dn.xlarge", "--region", "us-east-1", "--check", "ssh"]
    try:
        subprocess.run([*gpuctl, *start], env=environ, capture_output=True, check=True)
        for path in folder.rglob("*"):
            name = f"{path.relative_to(folder)}{'/' if path.is_dir() else ''}"
            if name.startswith("sandbox/instances/") and name != "sandbox/instances/":
                # The disk of an instance: nobody else can enter the folder above it.
                continue
            modes[name] = stat.S_IMODE(path.stat().st_mode)
    finally:
        subprocess.run([*gpuctl, "sandbox", "stop"], env=environ, capture_output=True, check=True)
    return modes


def test_every_file_has_its_row_and_the_mode_that_stands_there(made: dict[str, int]) -> None:
    assert {path: rows_of(path) for path in made if len(rows_of(path)) != 1} == {}
    assert {path: oct(mode) for path, mode in made.items() if mode != MODES[rows_of(path)[0]]} == {}
    # The server of the sandbox is another process: nobody here sees what it renames.
    assert set(MODES) - {row for path in made for row in rows_of(path)} == {"sandbox/address.*.tmp"}


def test_every_field_and_tag_that_a_create_sends_is_named(operator: Operator) -> None:
    operator.provision("--task", "t-canary", "--purpose", "p-canary")
    (sent,) = operator.wire.calls("RunInstances")
    fields = {key.partition(".")[0] for key in sent.form} - {"Action", "Version"}
    tags = {value for key, value in sent.form.items() if key.startswith("TagSpecification") and key.endswith(".Key")}
    assert [name for name in sorted(fields | tags) if f"`{name}`" not in TEXT] == []
    assert "canary" not in str(sent.form)
    assert not fields & {"KeyName", "SecurityGroup", "NetworkInterface", "IamInstanceProfile"}


def test_every_statement_of_the_policy_is_explained_and_the_text_to_pin_is_in_it_three_times() -> None:
    policy = (DOCS / "aws-policy.json").read_text()
    statements = [load["Sid"] for load in json.loads(policy)["Statement"]]
    assert [name for name in statements if f"| `{name}` |" not in TEXT] == []
    (pinned,) = re.findall(r"replace\n`([^`]+)` in all three places", TEXT)
    assert policy.count(pinned) == 3


def test_the_policy_is_one_that_aws_takes() -> None:
    policy = json.loads((DOCS / "aws-policy.json").read_text())
    assert policy["Version"] == "2012-10-17"
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    assert len(json.dumps(policy, separators=(",", ":"))) <= 6144
    assert all(re.fullmatch("[A-Za-z0-9]+", item["Sid"]) for item in policy["Statement"])


def test_verbose_prints_what_the_page_promises(operator: Operator) -> None:
    from support.wire import refuse

    operator.wire.arm("GetCallerIdentity", refuse("ExpiredToken", message="the words of AWS"))
    ran = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1", "-v")
    (cause,) = [line for line in ran.err.splitlines() if line.startswith("caused by: ")]
    assert re.fullmatch(r"caused by: ClientError: .*the words of AWS.*", cause)
