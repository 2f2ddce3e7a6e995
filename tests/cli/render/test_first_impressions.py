"""What a new user meets first: a broken config file, a healthy state to recover, the sandbox's own hints."""

import pytest
from support.cli import Operator

from gpuctl.cli.context import with_sandbox


@pytest.mark.parametrize("argv", [("list",), ("stats",), ("types",), ("events",)], ids=lambda argv: argv[0])
def test_a_command_that_only_reads_warns_of_a_config_file_that_others_reject(
    operator: Operator, argv: tuple[str, ...]
) -> None:
    config = operator.folder / "config.toml"
    config.write_text("regoin = 'x'\n")
    ran = operator.run(*argv, environ={"GPUCTL_CONFIG": str(config)})
    assert ran.code == 0
    assert ran.err.count("warning: ") == 1
    assert f"`regoin` in {config}" in ran.err or "regoin" in ran.err


def test_nothing_is_recovered_from_a_healthy_state_and_that_is_no_failure(operator: Operator) -> None:
    operator.provision()
    sent = len(operator.wire.sent)
    ran = operator.json("recover", "--dry-run")
    assert (ran.code, ran.json["count"], len(operator.wire.sent)) == (0, 0, sent)
    assert "nothing to recover: the state" in ran.err
    assert operator.run("recover", "--yes").code == 2


@pytest.mark.parametrize(
    ("text", "fitted"),
    [
        ("update it with: gpuctl prices refresh", "update it with: gpuctl --sandbox prices refresh"),
        ("2 instances with gpuctl tags", "2 instances with gpuctl tags"),
        ("run: gpuctl schedule status", "run: gpuctl --sandbox schedule status"),
    ],
)
def test_messages_in_the_sandbox_name_commands_that_act_on_it(text: str, fitted: str) -> None:
    assert with_sandbox(text) == fitted
