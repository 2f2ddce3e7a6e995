"""Groups of sub-commands: each has options of its own, and every place for a global option means the same."""

import pytest
from support.cli import Operator

from gpuctl.cli.command_table import COMMANDS

GROUPS = [name for name, entry in COMMANDS.items() if entry.commands]


@pytest.mark.parametrize(("bare", "default"), [(["prices"], "show"), (["config"], "show")])
def test_a_group_with_a_default_runs_it_if_no_subcommand_is_named(
    operator: Operator, bare: list[str], default: str
) -> None:
    assert operator.json(*bare).json == operator.json(*bare, default).json
    aws = ["--region", "us-east-1"] if bare == ["prices"] else []
    assert operator.json(*bare, *aws).json == operator.json(*bare, default, *aws).json


@pytest.mark.parametrize("group", [name for name in GROUPS if COMMANDS[name].default is None])
def test_a_group_without_a_default_needs_a_subcommand(operator: Operator, group: str) -> None:
    ran = operator.run(group)
    assert (ran.code, ran.out, ran.err) == (2, "", f"error: missing command\nhint: gpuctl {group} --help\n")


@pytest.mark.parametrize(
    "argv",
    [
        ["prices", "--accept", "g4dn.xlarge"],
        ["prices", "show", "--accept", "g4dn.xlarge"],
        ["prices", "--region", "us-east-1", "refresh"],
        ["schedule", "--every", "5m", "install"],
        ["schedule", "status", "--cron"],
        ["schedule", "uninstall", "--every", "5m"],
        ["sandbox", "start", "stop"],
    ],
    ids=" ".join,
)
def test_an_option_of_another_subcommand_is_rejected(operator: Operator, argv: list[str]) -> None:
    ran = operator.json(*argv)
    assert (ran.code, ran.json["error"]["code"]) == (2, "usage")
    assert operator.wire.sent == []


@pytest.mark.parametrize("group", GROUPS)
def test_an_unknown_subcommand_is_answered_with_the_nearest(operator: Operator, group: str) -> None:
    name = next(iter(COMMANDS[group].commands))
    ran = operator.run(group, f"{name}x")
    expected = f"error: unknown command `{group} {name}x`\nhint: did you mean `gpuctl {group} {name}`?\n"
    assert (ran.code, ran.err) == (2, expected)


def test_global_options_are_accepted_before_between_and_after_the_names(operator: Operator) -> None:
    written = [["-o", "json", "config", "path"], ["config", "-o", "json", "path"], ["config", "path", "-o", "json"]]
    first, *others = [operator.run(*argv) for argv in written]
    assert first.code == 0
    assert [ran.json for ran in others] == [first.json, first.json]


@pytest.mark.parametrize("group", GROUPS)
def test_a_subcommand_has_a_help_of_its_own_within_80_columns(operator: Operator, group: str) -> None:
    for name, entry in COMMANDS[group].commands.items():
        shown = operator.run(group, name, "--help").out
        assert shown.startswith(f"Usage: gpuctl {group} {name} [OPTIONS]")
        assert shown == operator.run("help", group, name).out
        assert max(len(line) for line in shown.splitlines()) <= 80
        assert (f"  {name} " in operator.run(group, "--help").out) is not entry.is_hidden
