"""`gpuctl list --watch`: a table that stays current on a terminal, a line per change for scripts."""

import json
from datetime import timedelta

import pytest
from support.cli import Operator
from support.clock import StepClock
from support.instances import a_ready_instance
from support.wire import refuse


def steps(operator: Operator, *what: object) -> None:
    operator.clock = StepClock(operator.clock.now(), what)  # type: ignore[arg-type]


def test_the_table_counts_down_on_the_other_screen_and_ctrl_c_gives_the_screen_back(operator: Operator) -> None:
    operator.provision("--name", "n")
    steps(operator, None, None)
    ran = operator.run("list", "--watch", "--interval", "1s", terminal=True, environ={"TERM": "xterm"})
    assert ran.code == 0
    assert "\x1b[?1049h" in ran.out
    live, _, after = ran.out.partition("\x1b[?1049l")
    assert [left in live for left in ("60:00", "1:00:00", "59:59", "59:58")] == [False, True, True, True]
    assert "/h ·" in live
    assert "Ctrl-C" in live and "Ctrl-C" not in after
    assert "READY" in after
    assert live.count("\x1b[?25l") == live.count("\x1b[?25h")


def test_an_instance_that_is_terminated_meanwhile_stays_in_the_list(operator: Operator) -> None:
    operator.provision("--name", "n")
    steps(operator, lambda: operator.run("terminate", "n"))
    assert "TERMINATED" in operator.run("list", "--watch", terminal=True).out.partition("\x1b[?1049l")[2]


def test_more_instances_than_the_terminal_has_lines_are_counted(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINES", "10")
    monkeypatch.setenv("COLUMNS", "80")
    operator.store.add([a_ready_instance(f"inst-{number:012}") for number in range(12)], lambda present: None)
    steps(operator)
    live = operator.run("list", "--watch", terminal=True).out.partition("\x1b[?1049l")[0]
    assert (shown := live.count("g4dn.xlarge")) < 12
    assert f"… and {12 - shown} more" in live
    assert "12 active" in live
    assert "Ctrl-C stops" in live


@pytest.mark.parametrize(
    ("argv", "how"),
    [
        (["--watch"], {}),
        (["--watch", "-o", "csv"], {"terminal": True}),
        (["--watch", "-q"], {"terminal": True}),
        (["--watch"], {"terminal": True, "environ": {"TERM": "dumb"}}),
        (["--interval", "5s"], {"terminal": True}),
        (["--watch", "--interval", "10"], {"terminal": True}),
        (["--watch", "--interval", "0s"], {"terminal": True}),
    ],
)
def test_what_cannot_be_redrawn_is_refused(operator: Operator, argv: list[str], how: dict[str, object]) -> None:
    ran = operator.run("list", *argv, **how)  # type: ignore[arg-type]
    assert ran.code == 2
    assert "\x1b" not in ran.out
    assert "hint:" in ran.err or "--interval" in ran.err


def test_as_json_it_is_one_document_a_change(operator: Operator) -> None:
    operator.provision("--name", "a")
    steps(operator, None, lambda: operator.provision("--name", "b"), None, lambda: operator.run("terminate", "a"), None)
    ran = operator.json("list", "--watch", "--interval", "1s")
    documents = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 0
    assert [[instance["name"] for instance in each["instances"]] for each in documents] == [["a"], ["b", "a"], ["b"]]
    assert [each["count"] for each in documents] == [1, 2, 1]


def test_watch_with_refresh_queries_the_clouds_at_most_twice_a_minute(operator: Operator) -> None:
    operator.provision("--name", "n")
    operator.wire.sent.clear()
    steps(operator, *[None] * 60)
    assert operator.json("list", "--watch", "--refresh", "--interval", "1s").code == 0
    assert 4 <= len(operator.wire.calls("DescribeInstances")) <= 6


def test_a_cloud_that_does_not_answer_is_reported_and_ends_nothing(operator: Operator) -> None:
    operator.provision("--name", "n")
    operator.wire.arm("DescribeInstances", *[refuse("UnauthorizedOperation", 403)] * 50)
    steps(operator, None)
    ran = operator.run("list", "--watch", "--refresh", terminal=True)
    assert ran.code == 0
    assert "n is stale" in ran.out.partition("\x1b[?1049l")[0]


def test_a_person_without_colour_sees_the_same_without_colour(operator: Operator) -> None:
    operator.provision("--name", "n")
    steps(operator)
    ran = operator.run("list", "--watch", terminal=True, environ={"NO_COLOR": "1"})
    assert "READY" in ran.out
    assert "\x1b[32m" not in ran.out


def test_what_is_cheap_to_watch_opens_no_socket(operator: Operator) -> None:
    operator.provision()
    operator.wire.sent.clear()
    steps(operator, *[None] * 5)
    operator.run("list", "--watch", terminal=True)
    assert operator.wire.sent == []
    assert operator.clock.now() > operator.records[0].created_at + timedelta(seconds=4)
