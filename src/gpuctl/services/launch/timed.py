"""Chooses the market for work with a deadline, from what is known of the work and of spot capacity."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from gpuctl.catalog import Catalog
from gpuctl.domain.duration import approximate
from gpuctl.domain.events import EventName
from gpuctl.domain.history import is_lost, past_spans, quantile, worked_for
from gpuctl.domain.instance import Instance, Market
from gpuctl.domain.lifecycle import note
from gpuctl.domain.market.candidates import Placement
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
from gpuctl.domain.market.offers import Offer
from gpuctl.domain.market.request import Request
from gpuctl.domain.work import TimedWork
from gpuctl.errors import UsageError
from gpuctl.services.launch.cooldown import Refusals
from gpuctl.services.launch.offers import Choice, DefaultsOf, choose
from gpuctl.services.query import all_records
from gpuctl.services.runtime import Runtime

# After spot was refused everywhere: each attempt is a record.
PROBE_EVERY = timedelta(minutes=10)
# Without a deadline, work has this many times its duration.
_UNHURRIED = 3
_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision with its inputs in one line, and the request that carries it out; None while it waits."""

    decision: Decision
    situation: Situation
    line: str
    request: Request | None

    @property
    def patience(self) -> timedelta:
        """How long a spot instance may take to become ready so that on-demand still finishes in time after it."""
        situation = self.situation
        return max(situation.left - situation.work_left - situation.restart - situation.tick, situation.restart)


@dataclass(slots=True)
class MarketRule:
    """Decides for one piece of work, again and again. `refused_at` is when spot was refused everywhere."""

    runtime: Runtime
    catalog: Catalog
    defaults_of: DefaultsOf
    request: Request
    refused_at: datetime | None = field(default=None)

    def decide(self, work: TimedWork, running: Instance | None = None) -> Decided:
        """What to do now, with that instance if there is one. UsageError where nothing that the request names fits."""
        now = self.runtime.clock.now()
        on_demand = replace(self.request, market=Market.ON_DEMAND, timed_work=work)
        spot = replace(self.request, market=Market.SPOT, timed_work=work)
        choice = self._spot_choice(spot)
        situation = Situation(
            now=now,
            begun=work.begun,
            deadline=work.finish_by,
            work=work.duration or timedelta(0),
            work_left=work.left,
            zones=self._zones(choice, now),
            running=_running(running, now),
            is_checkpointed=work.is_checkpointed,
            losses=work.losses,
            restart=work.restart,
            spot_share=_share(choice.offers) if choice else 1.0,
        )
        if work.duration is None:
            decision = Decision(MarketAction.ON_DEMAND, DecisionReason.NO_HISTORY)
            line = f"on-demand: {decision.why} ({work.source})"
            return Decided(decision, situation, line, replace(on_demand, decision=line))
        decision = decide(situation)
        line = f"{explained(situation, decision)}; duration of the work: {work.source}"
        if decision.action is MarketAction.WAIT:
            return Decided(decision, situation, line, None)
        request = spot if decision.action is MarketAction.SPOT else on_demand
        return Decided(decision, situation, line, replace(request, decision=line))

    def _spot_choice(self, request: Request) -> Choice | None:
        try:
            return choose(request, self.defaults_of, self.runtime, self.catalog)
        except UsageError:
            # On-demand may have it; if not, that says what is wrong with the request.
            return None

    def _zones(self, choice: Choice | None, now: datetime) -> tuple[Zone, ...]:
        if choice is None:
            return ()
        refusals = Refusals(self.runtime, choice)
        is_refused = self.refused_at is not None and now - self.refused_at < PROBE_EVERY
        lost = [record for record in self.runtime.store.snapshot().records if is_lost(record)]
        zones: dict[str, Zone] = {}
        for offer in choice.offers:
            name = offer.region if len(choice.types) == 1 else f"{offer.region} ({offer.type.name})"
            is_up = False if is_refused or refusals.of(Placement(offer)) is not None else None
            zones.setdefault(name, Zone(name, is_up, _last_loss(lost, offer)))
        return tuple(zones.values())


def timed_work(
    runtime: Runtime,
    purpose: str,
    *,
    duration: timedelta | None,
    finish_by: timedelta | None,
    is_checkpointed: bool = False,
    checkpoint: str | None = None,
) -> TimedWork:
    """The work that begins now. Without a duration, that of the purpose's own past runs counts, at its 90 % quantile.

    Without `finish_by`, it is to be done within three times its duration; where that is unknown, within `max_ttl`.
    UsageError if the work cannot be done in time even by an instance that works at once.
    """
    now, source = runtime.clock.now(), "--work"
    if duration is None:
        spans = past_spans(all_records(runtime.store, with_archived=True), purpose)
        duration = quantile(spans, _SHARE) if spans else None
        source = f"no run of purpose `{purpose}` has finished yet; add `--work 2h`"
        if duration is not None:
            runs = f"{len(spans)} run{'' if len(spans) == 1 else 's'}"
            source = f"90% of {runs} of purpose `{purpose}` took at most {approximate(duration)}"
    if finish_by is None:
        finish_by = _UNHURRIED * duration if duration is not None else runtime.max_ttl
    if duration is not None and source == "--work" and finish_by < duration:
        raise UsageError("--finish-by leaves less time than `--work` takes", hint="add a later `--finish-by`")
    return TimedWork(
        begun=now,
        finish_by=now + finish_by,
        duration=duration,
        source=source,
        is_checkpointed=is_checkpointed,
        checkpoint=checkpoint,
    )


def after_loss(work: TimedWork, record: Instance) -> TimedWork:
    """The work that is left after that instance was lost."""
    return work.after_loss(worked_for(record))


def _running(record: Instance | None, now: datetime) -> Running | None:
    if record is None:
        return None
    return Running(record.market, record.ready_at or now, record.region)


def _last_loss(lost: Sequence[Instance], offer: Offer) -> datetime | None:
    alike = (
        record.terminated_at
        for record in lost
        if (record.region, record.instance_type) == (offer.region, offer.type.name) and record.terminated_at
    )
    return max(alike, default=None)


def _share(offers: Sequence[Offer]) -> float:
    """The price of spot over on-demand where the first offer has both; 0.3 is assumed where one is unknown."""
    first = offers[0]
    if first.price is None or first.on_demand is None or not first.on_demand.usd_per_hour:
        return 0.3
    return float(first.price.usd_per_hour / first.on_demand.usd_per_hour)


def noted(runtime: Runtime, record: Instance, decided: Decided) -> None:
    """Save a decision in the history of that record, for decisions that create no record of their own."""
    now = runtime.clock.now()
    runtime.store.update(record.id, lambda fresh: note(fresh, EventName.DECIDED, now, detail=decided.line))
