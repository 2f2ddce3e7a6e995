"""Replays over traces of spot capacity that one can reckon by hand."""

import re
from datetime import timedelta

import pytest

from gpuctl.domain.market.deadline_rule import Decision, DecisionReason, MarketAction
from gpuctl.domain.market.spot_replay import SpotRun, TimedJob, replay
from gpuctl.domain.market.spot_trace import Trace, parse_trace
from gpuctl.errors import UsageError

HOUR = timedelta(hours=1)
HEADER = "zone,start_s,length_s,available"


def trace(*rows: str) -> Trace:
    return parse_trace([HEADER, *rows])


ALWAYS, NEVER = trace("a,0,864000,1"), trace("a,0,864000,0")


def test_spot_that_is_never_interrupted_costs_its_share_of_on_demand() -> None:
    for is_checkpointed in (False, True):
        run = replay(ALWAYS, TimedJob(2 * HOUR, 6 * HOUR, is_checkpointed), 3600)
        assert run == SpotRun(3600, pytest.approx(0.3), 0, False, 0, 0)


def test_work_without_spot_runs_on_demand_at_the_last_moment_and_is_in_time() -> None:
    for is_checkpointed in (False, True):
        run = replay(NEVER, TimedJob(2 * HOUR, 6 * HOUR, is_checkpointed), 0)
        assert run == SpotRun(0, pytest.approx(1.0), 1.0, False, 0, 0)


def test_work_that_does_not_fit_before_the_deadline_is_late() -> None:
    assert replay(NEVER, TimedJob(2 * HOUR, 2 * HOUR), 0).is_late


def test_checkpointed_work_continues_in_another_zone_where_it_was_interrupted() -> None:
    # An hour and 6 minutes in `a` do one of two hours; `b` does the other.
    two_zones = trace("a,0,3960,1", "b,0,86400,1")
    run = replay(two_zones, TimedJob(2 * HOUR, 6 * HOUR, is_checkpointed=True), 0)
    assert (run.interruptions, run.switches, run.on_demand_share, run.is_late) == (1, 1, 0, False)
    assert run.cost == pytest.approx(0.3 * (2 + 0.2) / 2.1)


def test_work_without_checkpoints_begins_again_on_demand_when_spot_no_longer_fits() -> None:
    run = replay(trace("a,0,7200,1", "b,0,86400,1"), TimedJob(2 * HOUR, 5 * HOUR), 0)
    assert (run.interruptions, run.switches, run.is_late) == (1, 1, False)
    assert run.cost == pytest.approx((0.3 * 2 + 2.1) / 2.1)


def test_the_share_and_the_time_of_a_start_can_be_others() -> None:
    job = TimedJob(2 * HOUR, 7 * HOUR, spot_share=0.5, restart=HOUR)
    assert replay(ALWAYS, job, 0).cost == pytest.approx(0.5)


def test_the_rule_is_an_argument() -> None:
    run = replay(
        ALWAYS, TimedJob(2 * HOUR, 6 * HOUR), 0, lambda _: Decision(MarketAction.ON_DEMAND, DecisionReason.NO_SPOT)
    )
    assert run.cost == pytest.approx(1.0)


def test_spells_of_a_zone_that_follow_each_other_are_one() -> None:
    zone = trace("a,0,60,1", "a,60,40,2", "a,100,60,0", "a,160,0,1").zones["a"]
    assert (zone.starts, zone.ends) == ((0,), (100,))
    assert (zone.up_until(99.9), zone.up_until(100), zone.up_until(-1)) == (100, None, None)


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["zone,start_s"], "must have the columns zone,start_s,length_s,available"),
        ([], "must have the columns"),
        ([HEADER], "has no rows"),
        ([HEADER, "a,x,60,1"], "`start_s` in line 2 of the trace must be a number, not `x`"),
        ([HEADER, "a,nan,60,1"], "must be a number"),
        ([HEADER, "a,0"], "`length_s` in line 2"),
        ([HEADER, "a,0,-1,1"], "no number below zero"),
        ([HEADER, ",0,1,1"], "needs a zone"),
        ([HEADER, "a,0,60,1", "a,30,60,0"], "two periods of `a` in the trace overlap at 30 s"),
        ([HEADER, '"a' + "\0" + "b" * 200_000], "is not CSV"),
    ],
)
def test_a_damaged_trace_is_one_error_that_names_the_line(lines: list[str], text: str) -> None:
    with pytest.raises(UsageError, match=re.escape(text)):
        parse_trace(lines)
