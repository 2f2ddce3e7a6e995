"""gpuctl in a container: a user ID without a name, no home directory, a root file system that cannot be written."""

from datetime import timedelta

import pytest
from support.cli import Operator
from support.containers import NAMELESS, VOLUME, contained, missing_privilege
from support.processes import PROVISION, environment

STATE = ("--state", f"{VOLUME}/state.json")
MISSING = missing_privilege()
pytestmark = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")


@pytest.fixture
def environ(operator: Operator) -> dict[str, str]:
    """The environment of a container that names neither a user nor a home."""
    operator.cloud.now = timedelta(0)
    left_out = ("HOME", "LOGNAME", "USER", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "GPUCTL_STATE")
    return {name: value for name, value in environment(operator).items() if name not in left_out}


def test_a_user_id_without_a_name_starts_and_terminates_an_instance_without_a_key_and_shows_why(
    operator: Operator, environ: dict[str, str]
) -> None:
    commands = [
        ["list"],
        [*STATE, *PROVISION, "--name", "n", "-o", "json"],
        [*STATE, "list", "-q"],
        [*STATE, "schedule", "status"],
        [*STATE, "doctor", "--region", "us-east-1"],
        [*STATE, "reap"],
        [*STATE, "ssh", "n"],
        [*STATE, "terminate", "n", "--no-wait"],
    ]
    nowhere, started, listed, *others, unreached, ended = contained(
        commands, environ, is_nameless=True, is_read_only=False
    )
    assert (nowhere.code, "add `--state FILE`, or set HOME" in nowhere.err) == (2, True)
    assert started.code == 0, started.err
    assert started.instance["userId"] == f"uid-{NAMELESS}"
    assert f"no SSH key is installed: the user ID {NAMELESS} has no name" in started.err
    assert listed.out == f"{started.instance['id']}\n"
    assert [ran.code for ran in others][-1] == 0
    assert [ran.err for ran in others if "Traceback" in ran.err or ran.code not in (0, 1)] == []
    assert (unreached.code, f"No user exists for uid {NAMELESS}" in unreached.err) == (2, True)
    assert f"echo 'gpuctl:x:{NAMELESS}:0::/tmp:/bin/sh' >>/etc/passwd" in unreached.err
    assert ended.code == 0
    assert operator.active == []


def test_on_a_root_that_cannot_be_written_a_volume_for_the_state_is_enough(
    operator: Operator, environ: dict[str, str]
) -> None:
    commands = [
        ["reap"],
        ["list"],
        PROVISION,
        [*STATE, *PROVISION, "--name", "n"],
        [*STATE, "extend", "n", "--by", "10m"],
        [*STATE, "reap"],
        [*STATE, "terminate", "n", "--no-wait"],
    ]
    environ["HOME"] = "/root"
    reaped, listed, refused, *others = contained(commands, environ, is_nameless=False, is_read_only=True)
    assert (reaped.code, reaped.err) == (0, "")
    assert (listed.code, listed.out) == (0, "")
    assert (refused.code, "Read-only file system" in refused.err) == (9, True)
    assert [(ran.code, ran.err) for ran in others if ran.code != 0] == []
    assert operator.active == []
