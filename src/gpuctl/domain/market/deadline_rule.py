"""Decides where work with a deadline runs next: on spot in a zone, on-demand, or nowhere yet."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from gpuctl.domain.duration import approximate
from gpuctl.domain.instance import Market

# With this much more time than work, waiting for spot costs less than on-demand in between.
LOOSE = 1.5
# Waiting stops with this share of the remaining work to spare, so that on-demand can still return to spot.
RESERVE = 0.1
RESTART = timedelta(minutes=6)
TICK = timedelta(seconds=60)


class MarketAction(StrEnum):
    """What to do until the next decision."""

    SPOT = "spot"
    ON_DEMAND = "on-demand"
    WAIT = "wait"


class DecisionReason(StrEnum):
    """The reason of a decision, as a clause of a sentence."""

    SPOT_FITS = "a spot instance can be lost and on-demand still finishes in time"
    CONTINUE = "the instance continues"
    WAIT = "no spot capacity now, and there is time to wait for it"
    NO_SPOT = "no spot capacity now, and too little time to wait for it"
    LAST_MOMENT = "only on-demand is sure to finish in time from now on"
    FULL_RUN = "after a loss, a full run on-demand would no longer finish in time"
    NOT_CHEAPER = "spot does not cost less"
    NO_GAIN = "too little work is left for a move to spot"
    NO_HISTORY = "the duration of the work is unknown"


@dataclass(frozen=True, slots=True)
class Zone:
    """A place with spot instances; `is_up` is None where its capacity is unknown, which counts as capacity."""

    name: str
    is_up: bool | None = None
    interrupted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """The instance that does the work now; it works from `ready_at` on. `zone` is that of a spot instance."""

    market: Market
    ready_at: datetime
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that a decision depends on.

    `work` is the duration of all of the work, `work_left` of what is left of it now; without checkpoints that is all of
    it until the work is done. `restart` is the time from a create request until the work continues, `tick` the longest
    time between two decisions. `zones` are in order of preference. `losses` counts interruptions. `spot_share` is the
    price of spot as a share of on-demand.
    """

    now: datetime
    begun: datetime
    deadline: datetime
    work: timedelta
    work_left: timedelta
    zones: tuple[Zone, ...]
    running: Running | None = None
    is_checkpointed: bool = False
    losses: int = 0
    restart: timedelta = RESTART
    tick: timedelta = TICK
    spot_share: float = 0.3

    @property
    def left(self) -> timedelta:
        """The time until the deadline; negative after it."""
        return self.deadline - self.now


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, in which zone for spot, and why."""

    action: MarketAction
    why: DecisionReason
    zone: str | None = None


def decide(situation: Situation) -> Decision:
    """What to do now. On-demand from the decision on finishes in time whenever it did at the previous one.

    Assumes that on-demand is available, and that each start takes at most `restart`.
    """
    return _with_checkpoints(situation) if situation.is_checkpointed else _from_zero(situation)


def explained(situation: Situation, decision: Decision) -> str:
    """The decision, its reason and its inputs in one line, for the history of a record."""
    where = f" in {decision.zone}" if decision.zone else ""
    down = ", ".join(zone.name for zone in situation.zones if zone.is_up is False) or "none"
    after = "checkpointed" if situation.is_checkpointed else "from zero after an interruption"
    losses = f"{situation.losses} interruption{'' if situation.losses == 1 else 's'}"
    return (
        f"{decision.action}{where}: {decision.why} ({approximate(situation.left)} left, "
        f"{approximate(situation.work_left)} of {approximate(situation.work)} of work to do, {after}, "
        f"{approximate(situation.restart)} to start, {losses}, "
        f"without spot capacity: {down})"
    )


def _with_checkpoints(situation: Situation) -> Decision:
    spare = situation.left - situation.tick - situation.work_left
    running, restart = situation.running, situation.restart
    if running is not None and running.market is Market.SPOT:
        booting = max(running.ready_at - situation.now, timedelta(0))
        # Where not even on-demand is in time any more, a move makes the work later still.
        is_too_late = situation.left < situation.work_left + restart
        if spare >= restart + booting or is_too_late:
            return Decision(MarketAction.SPOT, DecisionReason.CONTINUE, running.zone)
        return Decision(MarketAction.ON_DEMAND, DecisionReason.LAST_MOMENT)
    is_on_demand = running is not None
    if situation.spot_share >= 1:
        return Decision(MarketAction.ON_DEMAND, DecisionReason.NOT_CHEAPER)
    if spare < 2 * restart:
        return Decision(MarketAction.ON_DEMAND, DecisionReason.CONTINUE if is_on_demand else DecisionReason.LAST_MOMENT)
    zone = _preferred(situation)
    if zone is not None:
        if is_on_demand and not _is_worth_a_move(situation):
            return Decision(MarketAction.ON_DEMAND, DecisionReason.NO_GAIN)
        return Decision(MarketAction.SPOT, DecisionReason.SPOT_FITS, zone.name)
    is_loose = situation.deadline - situation.begun >= LOOSE * situation.work
    if not is_on_demand and is_loose and spare >= 2 * restart + RESERVE * situation.work_left:
        return Decision(MarketAction.WAIT, DecisionReason.WAIT)
    return Decision(MarketAction.ON_DEMAND, DecisionReason.CONTINUE if is_on_demand else DecisionReason.NO_SPOT)


def _from_zero(situation: Situation) -> Decision:
    running = situation.running
    if running is not None:
        # A move would lose what is done.
        return Decision(MarketAction(running.market.value), DecisionReason.CONTINUE, running.zone)
    if situation.spot_share >= 1:
        return Decision(MarketAction.ON_DEMAND, DecisionReason.NOT_CHEAPER)
    # The worst loss comes at the end of a full run.
    if situation.left < 2 * (situation.work + situation.restart) + 2 * situation.tick:
        return Decision(MarketAction.ON_DEMAND, DecisionReason.FULL_RUN)
    zone = _preferred(situation)
    return (
        Decision(MarketAction.SPOT, DecisionReason.SPOT_FITS, zone.name)
        if zone
        else Decision(MarketAction.WAIT, DecisionReason.WAIT)
    )


def _preferred(situation: Situation) -> Zone | None:
    """The zone with capacity whose last interruption is longest ago, the first of several."""
    available = [zone for zone in situation.zones if zone.is_up is not False]
    calm = next((zone for zone in available if zone.interrupted_at is None), None)
    return calm or min(available, key=lambda zone: zone.interrupted_at or situation.now, default=None)


def _is_worth_a_move(situation: Situation) -> bool:
    return situation.work_left * (1 - situation.spot_share) > situation.restart * situation.spot_share
