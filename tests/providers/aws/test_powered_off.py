"""EC2 reports no time for an instance that powered itself off; the last line of its guard does."""

import pytest
from support.cli import Operator
from support.wire import Fault, console_output


def seen_late(operator: Operator, *console: Fault) -> dict[str, object]:
    """An instance that powered itself off after 20 min, as it is closed by a reaper that comes half an hour later."""
    started = operator.provision("--name", "n").instance
    operator.later(minutes=20)
    operator.cloud.power_off(started["cloudInstanceId"])
    operator.later(minutes=30)
    operator.wire.arm("GetConsoleOutput", *console)
    assert operator.run("reap", "--sweep").code == 0
    ended: dict[str, object] = operator.json("get", "n").instance
    assert ended["status"] == "TERMINATED"
    return ended


def test_the_termination_time_is_that_of_the_guard_and_not_of_the_query(operator: Operator) -> None:
    ended = seen_late(operator)
    assert ended["terminatedAt"] == "2026-11-24T12:20:00Z"
    assert ended["totalCost"] == pytest.approx(0.526 / 3, abs=0.001)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "gpuctl-guard: powering off at 20200101t000000z: deadline 20200101t000000z passed\n",
        "gpuctl-guard: powering off at 20990101t000000z: deadline 20990101t000000z passed\n",
        "gpuctl-guard: powering off: tag missing, up for 7200s\n",
        "gpuctl-guard: powering off at soon: deadline passed\n",
    ],
)
def test_a_time_that_cannot_be_is_none(operator: Operator, words: str) -> None:
    assert seen_late(operator, *[console_output(words)] * 2)["terminatedAt"] == "2026-11-24T12:50:00Z"
