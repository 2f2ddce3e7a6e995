"""What a new user reads: tables that fit, hints that help."""

import pytest
from support.cli import Operator

from gpuctl.cli.render.hints import fitted


@pytest.mark.parametrize("width", ["60", "80", "120"])
def test_types_never_cut_the_price(operator: Operator, width: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", width)
    lines = operator.run("types", terminal=True, environ={"NO_COLOR": "1"}).out.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= int(width)
    assert "$/H" in lines[0] and "0.…" not in "\n".join(lines)
    assert any("0.526" in line for line in lines)


def test_retired_types_cannot_be_allowed_without_naming_one(operator: Operator) -> None:
    ran = operator.run("provision", "--gpu", "V100", "--region", "us-east-1", "--allow-retired")
    assert (ran.code, ran.err.splitlines()[0]) == (2, "error: `--allow-retired` requires an instance type")


def test_if_only_the_price_is_too_high_the_hint_names_the_lowest(operator: Operator) -> None:
    ran = operator.run("provision", "--gpu", "T4", "--provider", "aws", "--region", "us-east-1", "--max-price", "0.1")
    assert (ran.code, "hint: the cheapest costs $0.526/h: raise `--max-price`" in ran.err) == (2, True)


def test_an_option_without_its_value_leads_to_the_help_of_the_command(operator: Operator) -> None:
    assert operator.run("types", "--gpu").err.splitlines()[-1] == "hint: gpuctl types --help"


@pytest.mark.parametrize(
    ("hint", "shown"),
    [
        ("gpuctl list --all", "gpuctl --sandbox list --all"),
        ("gpuctl sandbox start", "gpuctl sandbox start"),
        ("gpuctl --help", "gpuctl --help"),
        ("az vm list-usage --location eastus", None),
        ("at a terminal: aws sts get-caller-identity", None),
        ("gpuctl prices refresh --provider aws", None),
        (None, None),
    ],
)
def test_a_hint_in_the_sandbox_acts_on_the_sandbox(hint: str | None, shown: str | None) -> None:
    assert fitted(hint, in_sandbox=True) == shown
    assert fitted(hint, in_sandbox=False) == hint


@pytest.mark.parametrize(
    ("hint", "shown"),
    [
        ("gpuctl list --all", "gpuctl --state 'a b.json' list --all"),
        (
            "use another `--name`, or gpuctl terminate w1",
            "use another `--name`, or gpuctl --state 'a b.json' terminate w1",
        ),
        ("gpuctl recover --state-id ci-1", "gpuctl --state 'a b.json' recover --state-id ci-1"),
        ("gpuctl --state FILE list", "gpuctl --state FILE list"),
        ("gpuctl --help", "gpuctl --help"),
        ("install a newer gpuctl; the newest backups: x", "install a newer gpuctl; the newest backups: x"),
    ],
)
def test_a_hint_acts_on_the_state_of_the_command_line(hint: str, shown: str) -> None:
    assert fitted(hint, in_sandbox=False, state="a b.json") == shown
    assert fitted("gpuctl reap", in_sandbox=True, state="s") == "gpuctl --sandbox --state s reap"


def test_a_state_of_the_command_line_is_in_the_hint_and_one_of_the_environment_is_not(operator: Operator) -> None:
    path = str(operator.state)
    assert f"hint: gpuctl --state {path} list" in operator.run("get", "nobody", "--state", path).err
    assert "--state" not in operator.run("get", "nobody").err


@pytest.mark.parametrize("word", ["y", "enabled", "2"])
def test_an_unknown_word_for_the_sandbox_never_means_the_real_account(operator: Operator, word: str) -> None:
    ran = operator.run("list", "-o", "json", environ={"GPUCTL_SANDBOX": word})
    assert (ran.code, ran.json["error"]["message"]) == (
        2,
        f"GPUCTL_SANDBOX must be 1, true, yes or on, or else 0, false, no, off or empty, not `{word}`",
    )
    assert operator.run("list", "--sandbox", environ={"GPUCTL_SANDBOX": word}).code == 0


@pytest.mark.parametrize(
    ("word", "is_sandbox"), [("on", True), ("TRUE", True), ("", False), ("Off", False), ("0", False)]
)
def test_the_words_for_the_sandbox_select_it_or_not(operator: Operator, word: str, is_sandbox: bool) -> None:
    ran = operator.run("list", "-o", "json", environ={"GPUCTL_SANDBOX": word})
    assert (ran.code, "sandbox" in ran.json) == (0, is_sandbox)


def test_the_rate_of_several_is_that_of_all_and_of_each(operator: Operator) -> None:
    argv = ("provision", "g4dn.xlarge", "--region", "us-east-1", "--dry-run")
    assert (
        "$1.626/h for 3 ($0.542/h each) with disk and public IP; $1.63 until" in operator.run(*argv, "--count", "3").err
    )
    assert "$0.542/h with disk and public IP; $0.54 until" in operator.run(*argv).err


def test_a_selection_that_matches_nothing_leads_to_all_instances(operator: Operator) -> None:
    assert "no instances\nhint: gpuctl provision" in operator.run("list", "--user", "nobody", "-o", "table").err
    assert operator.provision().code == 0
    assert operator.run("list", "--user", "nobody", "-o", "table").err.splitlines()[-2:] == [
        "no instance matches",
        "hint: gpuctl list --all",
    ]


def test_if_only_the_ttl_is_longer_the_hint_extends_the_instance(operator: Operator) -> None:
    assert operator.provision("--name", "w1").code == 0
    hint = operator.provision("--name", "w1", "--ttl", "90").json["error"]["hint"]
    assert hint == "gpuctl extend w1 --ttl 1h30m, use another `--name`, or gpuctl terminate w1"
    assert "extend" not in operator.provision("--name", "w1", "--ttl", "30").json["error"]["hint"]


def test_types_take_any_region_as_provision_does(operator: Operator) -> None:
    assert operator.json("types", "--region", "any").json["types"] == operator.json("types").json["types"]
