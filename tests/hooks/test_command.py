"""A command gets the event on its standard input and nowhere else, and cannot keep anybody waiting."""

import json
import os
import select
from datetime import timedelta
from pathlib import Path

import pytest

from gpuctl.hooks import open_hook
from gpuctl.hooks.base import HookMessage

EVENT = HookMessage("instance:ready", "inst-000000000001", 4, json.dumps({"detail": "$(touch pwned)`touch pwned`; x"}))
LONG = timedelta(seconds=20)
SHORT = timedelta(milliseconds=300)
PATH = {"PATH": "/usr/bin:/bin"}


def is_gone(pid: int) -> bool:
    """Whether that process ends, at once or in a moment."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(descriptor) as process:
        return bool(select.select([process], [], [], 5)[0])


def tell(command: str, patience: timedelta = LONG) -> str | None:
    return open_hook(command, PATH).send(EVENT, patience)


def test_the_event_is_its_standard_input_and_its_name_is_in_the_environment(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    assert tell(f'{{ cat; echo "$GPUCTL_EVENT $GPUCTL_INSTANCE_ID $GPUCTL_EVENT_NUMBER"; }} >{heard}') is None
    document, names = heard.read_text().splitlines()
    assert json.loads(document) == json.loads(EVENT.document)
    assert names == "instance:ready inst-000000000001 4"
    assert not (tmp_path / "pwned").exists() and not Path("pwned").exists()


def test_what_fails_says_its_code_and_its_last_words() -> None:
    assert tell("echo one >&2; echo two >&2; echo; exit 3") == "exited with 3: two"
    assert tell("exit 1") == "exited with 1"
    assert tell("no-such-program") is not None
    assert tell("kill -9 $$") == "was stopped by signal 9"
    assert tell("printf '\\377\\n' >&2; exit 1") == "exited with 1: \ufffd"


def test_what_it_prints_goes_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    assert tell("echo out; echo err >&2") is None
    assert capfd.readouterr() == ("", "")


def test_one_that_hangs_is_killed_with_everything_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    assert tell(f"sleep 600 & echo $! $$ >{pids}; wait", SHORT) == "timed out after 0s"
    assert all(is_gone(int(pid)) for pid in pids.read_text().split())


def test_what_it_leaves_in_the_background_keeps_nobody_waiting() -> None:
    assert tell("sleep 5 & exit 0", timedelta(seconds=4)) is None


def test_one_that_reads_nothing_takes_an_event_of_any_size() -> None:
    large = HookMessage("instance:ready", "inst-000000000001", 1, "x" * 1_000_000)
    assert open_hook("exit 0", PATH).send(large, LONG) is None


def test_a_gpuctl_run_by_a_hook_has_a_variable_that_marks_it() -> None:
    assert tell('test "$GPUCTL_IN_HOOK" = 1') is None
    assert "GPUCTL_IN_HOOK" not in os.environ
