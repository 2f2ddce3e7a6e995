"""What TAB offers: commands, options and values, without a message and without a request."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import Operator
from support.instances import NOON, a_ready_instance

from gpuctl.domain.instance import Status
from gpuctl.providers.registry import SUPPORTED

COMPLETIONS = Path(__file__).parents[3] / "completions"
ONE, TWO = "inst-000000000001", "inst-000000000002"


def offered(operator: Operator, *words: str, **how: object) -> list[str]:
    """The completions of the last word, without their descriptions."""
    ran = operator.run("complete", "--", *words, **how)  # type: ignore[arg-type]
    assert (ran.code, ran.err) == (0, "")
    return [line.partition("\t")[0] or line for line in ran.out.splitlines()]


def test_commands_are_offered_with_their_summaries(operator: Operator) -> None:
    assert operator.run("complete", "--", "prov").out == "provision\tStart a GPU instance and wait until it is ready\n"
    assert offered(operator, "sandbox", "st") == ["start", "status", "stop"]
    assert offered(operator, "prices", "")[:2] == ["show", "refresh"]
    assert "complete" not in offered(operator, "")
    assert "prove" not in offered(operator, "schedule", "")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("list --st", ["--status", "--state"]),
        ("terminate --no-w", ["--no-wait"]),
        ("prices --re", ["--region"]),
        ("prices refresh --acc", ["--accept"]),
        ("schedule install --ev", ["--every"]),
        ("schedule status --ev", []),
        ("-o json list --status RE", ["READY"]),
        ("list --output=c", ["--output=csv"]),
        ("list --output = c", ["csv"]),
        ("wait --for ", ["ready", "terminated"]),
        ("stats --by reg", ["region"]),
        ("provision --provider ", [*SUPPORTED]),
        ("completion z", ["zsh"]),
        ("help exit", ["exit-codes"]),
        ("archive --to ", ["\tfile"]),
        ("--state ", ["\tfile"]),
        ("provision --name ", []),
        ("list --wax", []),
    ],
)
def test_options_and_values_follow_from_the_types_of_the_parameters(
    operator: Operator, line: str, expected: list[str]
) -> None:
    assert offered(operator, *line.split(" ")) == expected


def test_instances_are_offered_by_name_and_id_and_ended_ones_only_to_show_them(operator: Operator) -> None:
    ended = a_ready_instance(TWO, name="old", status=Status.TERMINATED, terminated_at=NOON)
    operator.store.add([a_ready_instance(ONE, name="train-7"), ended], lambda present: None)
    assert offered(operator, "terminate", "") == ["train-7", ONE]
    assert offered(operator, "terminate", "train-7", "inst") == [ONE]
    assert offered(operator, "get", "") == ["train-7", "old", ONE, TWO]
    other = str(operator.state.with_name("other.json"))
    assert offered(operator, "terminate", "--state", other, "") == []
    assert offered(operator, "--state", other, "terminate", "") == []


def test_types_that_can_be_started_and_the_regions_of_the_one_that_was_chosen(operator: Operator) -> None:
    types = offered(operator, "provision", "")
    assert {"g4dn.xlarge", "Standard_NC4as_T4_v3"} <= set(types)
    assert "p3.2xlarge" not in types
    aws = offered(operator, "provision", "g4dn.xlarge", "--region", "")
    assert ("us-east-1" in aws, "eastus" in aws) == (True, False)
    assert "eastus" not in offered(operator, "list", "--provider", "aws", "--region", "")
    assert {"us-east-1", "eastus"} <= set(offered(operator, "list", "--region", ""))


def test_an_error_prints_nothing(operator: Operator) -> None:
    operator.state.parent.mkdir(exist_ok=True)
    operator.state.write_text("{")
    assert offered(operator, "get", "") == []
    assert offered(operator, "list", "-o", "xml", "--user", "") == []
    assert operator.wire.sent == []


def in_shell(shell: str, script: str) -> list[str]:
    program = f'gpuctl() {{ {sys.executable} -m gpuctl "$@"; }}\n'
    done = subprocess.run([shell, "-c", program + script], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_bash_completes_commands_values_and_files(tmp_path: Path) -> None:
    (tmp_path / "my file.json").touch()
    lines = in_shell(
        "bash",
        f"""
        source {COMPLETIONS}/gpuctl.bash
        complete_it() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gpuctl; (IFS=,; echo "${{COMPREPLY[*]}}"); }}
        complete_it gpuctl sandbox st
        complete_it gpuctl -o json list --status RE
        complete_it gpuctl --state {tmp_path}/my
        complete -p gpuctl
        """,
    )
    assert lines == ["start,status,stop", "READY", f"{tmp_path}/my file.json", "complete -F _gpuctl gpuctl"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
def test_zsh_loads_the_script_with_source_and_from_a_folder_of_fpath(tmp_path: Path) -> None:
    """With `source`, the script only defines the function: called outside of a completion, it fails."""
    shutil.copy(COMPLETIONS / "_gpuctl", tmp_path / "_gpuctl")
    ready = "autoload -Uz compinit; compinit -u -D;"
    sourced = in_shell("zsh", f"{ready} source {COMPLETIONS}/_gpuctl; echo $_comps[gpuctl]")
    assert sourced == ["_gpuctl"]
    loaded = in_shell("zsh", f"fpath=({tmp_path} $fpath); {ready} echo $_comps[gpuctl]")
    assert loaded == ["_gpuctl"]


def test_no_help_lists_the_command_of_the_completion_scripts(operator: Operator) -> None:
    assert "\n  complete " not in operator.run("--help").out


def test_ci_with_a_random_state_is_warned_once(operator: Operator) -> None:
    first = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1", environ={"CI": "true"})
    again = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1", environ={"CI": "true"})
    assert ("without GPUCTL_STATE_ID" in first.err, "without GPUCTL_STATE_ID" in again.err) == (True, False)


def test_ci_with_a_state_of_a_known_id_is_not_warned(operator: Operator) -> None:
    known = {"CI": "true", "GPUCTL_STATE_ID": "ci-my-repo"}
    ran = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1", environ=known)
    assert "GPUCTL_STATE_ID" not in ran.err
