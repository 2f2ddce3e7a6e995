"""Where work with a deadline runs next, decided from facts alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.domain.instance import Market
from gpuctl.domain.market.deadline_rule import (
    Decision,
    DecisionReason,
    MarketAction,
    Running,
    Situation,
    Zone,
    decide,
    explained,
)

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
UP, DOWN = (Zone("a", True), Zone("b", True)), (Zone("a", False), Zone("b", False))


def situation(work: timedelta = 2 * HOUR, finish_by: timedelta = 6 * HOUR, **facts: object) -> Situation:
    """Work that has just begun at noon, with no capacity known anywhere."""
    at_start = Situation(NOON, NOON, NOON + finish_by, work, work, zones=UP)
    return replace(at_start, **facts)  # type: ignore[arg-type]


def running(market: Market, zone: str | None = None) -> Running:
    return Running(market, NOON, zone)


def test_work_that_can_be_lost_starts_on_spot_in_the_first_zone_with_capacity() -> None:
    assert decide(situation()) == Decision(MarketAction.SPOT, DecisionReason.SPOT_FITS, "a")
    zones = (Zone("a", False), Zone("b", None))
    assert decide(situation(zones=zones)).zone == "b"


def test_the_zone_interrupted_longest_ago_comes_first() -> None:
    zones = (Zone("a", True, NOON - HOUR), Zone("b", True, NOON - 2 * HOUR))
    assert decide(situation(zones=zones)).zone == "b"
    assert decide(situation(zones=(*zones, Zone("c", True)))).zone == "c"


def test_from_zero_spot_needs_time_for_a_full_run_after_the_worst_loss() -> None:
    enough = 2 * (2 * HOUR + 6 * MINUTE) + 2 * MINUTE
    assert decide(situation(finish_by=enough)).action is MarketAction.SPOT
    assert decide(situation(finish_by=enough - MINUTE)) == Decision(MarketAction.ON_DEMAND, DecisionReason.FULL_RUN)


def test_from_zero_nothing_that_runs_is_moved() -> None:
    late = NOON + 4 * HOUR
    for instance in (running(Market.ON_DEMAND), running(Market.SPOT, "b")):
        decision = decide(situation(running=instance, now=late))
        assert (decision.action, decision.zone) == (instance.market.value, instance.zone)


def test_with_checkpoints_spot_needs_time_for_two_starts() -> None:
    tight = situation(finish_by=2 * HOUR + 13 * MINUTE, is_checkpointed=True)
    assert decide(tight).action is MarketAction.SPOT
    assert decide(replace(tight, now=NOON + MINUTE)) == Decision(MarketAction.ON_DEMAND, DecisionReason.LAST_MOMENT)


def test_with_checkpoints_spot_is_left_at_the_last_moment_and_not_after_it() -> None:
    on_spot = situation(finish_by=2 * HOUR + 7 * MINUTE, is_checkpointed=True, running=running(Market.SPOT, "a"))
    assert decide(on_spot) == Decision(MarketAction.SPOT, DecisionReason.CONTINUE, "a")
    assert decide(replace(on_spot, now=NOON + MINUTE)) == Decision(MarketAction.ON_DEMAND, DecisionReason.LAST_MOMENT)
    # Too late even for on-demand: a move would make the work later still.
    assert decide(replace(on_spot, now=NOON + 2 * MINUTE)).action is MarketAction.SPOT


def test_with_checkpoints_and_much_time_the_work_waits_for_spot_as_long_as_a_reserve_is_left() -> None:
    waiting = situation(finish_by=3 * HOUR, is_checkpointed=True, zones=DOWN)
    assert decide(waiting) == Decision(MarketAction.WAIT, DecisionReason.WAIT)
    assert decide(replace(waiting, now=NOON + 36 * MINUTE)) == Decision(MarketAction.ON_DEMAND, DecisionReason.NO_SPOT)
    assert decide(situation(finish_by=2.5 * HOUR, is_checkpointed=True, zones=DOWN)).action is MarketAction.ON_DEMAND


def test_with_checkpoints_on_demand_returns_to_spot_if_that_saves_money() -> None:
    on_demand = situation(is_checkpointed=True, running=running(Market.ON_DEMAND))
    assert decide(on_demand).action is MarketAction.SPOT
    assert decide(replace(on_demand, work_left=2 * MINUTE)) == Decision(MarketAction.ON_DEMAND, DecisionReason.NO_GAIN)
    assert decide(replace(on_demand, zones=DOWN)) == Decision(MarketAction.ON_DEMAND, DecisionReason.CONTINUE)


@pytest.mark.parametrize("is_checkpointed", [False, True])
def test_spot_that_costs_as_much_as_on_demand_is_not_used(is_checkpointed: bool) -> None:
    assert decide(situation(is_checkpointed=is_checkpointed, spot_share=1.0)).why is DecisionReason.NOT_CHEAPER


def test_the_explanation_names_the_decision_its_reason_and_its_inputs() -> None:
    requested = situation(zones=(Zone("a", False), Zone("b", True)), losses=1)
    assert explained(requested, decide(requested)) == (
        "spot in b: a spot instance can be lost and on-demand still finishes in time (6h00m left, 2h00m of 2h00m of "
        "work to do, from zero after an interruption, 6m to start, 1 interruption, without spot capacity: a)"
    )


@given(
    work=st.integers(1, 600),
    spare=st.integers(0, 600),
    interruptions=st.lists(st.integers(0, 200), max_size=30),
    outages=st.lists(st.booleans(), max_size=400),
    is_checkpointed=st.booleans(),
)
def test_work_finishes_in_time_under_every_trace_if_on_demand_would(
    work: int, spare: int, interruptions: list[int], outages: list[bool], is_checkpointed: bool
) -> None:
    """An adversary chooses, minute by minute, where there is capacity and how long each spot instance lives."""
    restart, tick = 6 * MINUTE, MINUTE
    work_left = whole = work * MINUTE
    now, deadline = NOON, NOON + whole + restart + spare * MINUTE
    instance: Running | None = None
    lives, losses, minute, lives_left = iter(interruptions), 0, 0, 0
    while work_left > timedelta(0):
        zones = (Zone("a", minute >= len(outages) or outages[minute]),)
        decision = decide(
            Situation(now, NOON, deadline, whole, work_left, zones, instance, is_checkpointed, losses, restart, tick)
        )
        if decision.action is MarketAction.WAIT:
            instance = None
        elif instance is None or instance.market.value != decision.action:
            instance = Running(Market(decision.action.value), now + restart, decision.zone)
            work_left = work_left if is_checkpointed else whole
            lives_left = next(lives, 10**6)
        now, minute, lives_left = now + tick, minute + 1, lives_left - 1
        if instance is not None and instance.ready_at < now:
            work_left -= tick
        if instance is not None and instance.market is Market.SPOT and lives_left < 0 < work_left.total_seconds():
            instance, losses = None, losses + 1
            work_left = work_left if is_checkpointed else whole
    assert now <= deadline
