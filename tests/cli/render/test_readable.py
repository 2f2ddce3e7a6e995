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
