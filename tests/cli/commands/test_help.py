"""`gpuctl help`: topics and commands, from the tables that the program itself uses."""

import re

import pytest
from support.cli import Operator

from gpuctl import errors
from gpuctl.cli.commands.help.topics import TOPICS
from gpuctl.errors import Code, GpuctlError


@pytest.mark.parametrize("topic", list(TOPICS))
def test_a_topic_fits_80_columns(operator: Operator, monkeypatch: pytest.MonkeyPatch, topic: str) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ran = operator.run("help", topic)
    assert (ran.code, ran.err) == (0, "")
    assert max(len(line) for line in ran.out.splitlines()) <= 80


def test_exit_codes_lists_every_code(operator: Operator) -> None:
    output = operator.run("help", "exit-codes").out
    every = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, GpuctlError)]
    assert [item.exit_code for item in every if not re.search(rf"^  {item.exit_code} ", output, re.MULTILINE)] == []
    assert [code for code in Code if code.value not in output] == []


def test_environment_lists_every_setting(operator: Operator) -> None:
    from gpuctl.config.schema import KEYS

    output = operator.run("help", "environment").out
    assert [key.variable for key in KEYS.values() if key.variable and key.variable not in output] == []


def test_a_command_s_help_is_its_own(operator: Operator) -> None:
    assert operator.run("help", "reap").out == operator.run("reap", "--help").out
    assert operator.run("help").out == operator.run().out


def test_an_unknown_topic_names_the_nearest(operator: Operator) -> None:
    ran = operator.run("help", "exit-code")
    assert (ran.code, "gpuctl help exit-codes" in ran.err) == (2, True)
