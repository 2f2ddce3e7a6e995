"""Work with a deadline or a unit: the request that the decision leads to, and the offers by dollars per unit."""

from dataclasses import replace

from gpuctl.cli.commands.provision.options import LaunchOptions
from gpuctl.cli.context import Context
from gpuctl.cli.quantities import duration_of
from gpuctl.cli.render.work import basis_text, learned_notes, per_unit
from gpuctl.domain.duration import exact
from gpuctl.domain.instance import Market
from gpuctl.domain.market.request import Request
from gpuctl.domain.work import TimedWork
from gpuctl.services.launch.offers import Choice, choose
from gpuctl.services.launch.timed import MarketRule, timed_work
from gpuctl.services.work_history import history_of_purpose
from gpuctl.wiring.defaults import defaults_of


def work_of(context: Context, launch: LaunchOptions, checkpoint: str | None = None) -> TimedWork:
    """The work as the options describe it; without `--work`, its duration comes from past runs of the purpose."""
    return timed_work(
        context.wiring.runtime,
        launch.purpose,
        duration=duration_of(launch.work),
        finish_by=launch.finish_by,
        is_checkpointed=launch.checkpointed,
        checkpoint=checkpoint,
    )


def market_rule(context: Context, request: Request) -> MarketRule:
    """The rule for instances of that request."""
    return MarketRule(context.wiring.runtime, context.wiring.catalog, defaults_of(context.wiring), request)


def timed_request(context: Context, launch: LaunchOptions, request: Request) -> Request:
    """The request in the market that the rule chooses now, once. Spot falls back to on-demand: nobody decides again."""
    work = work_of(context, launch)
    decided = market_rule(context, request).decide(work)
    context.progress.info(decided.line)
    ttl = launch.ttl or work.ttl(context.clock.now(), context.wiring.runtime.max_ttl)
    if work.duration is not None and ttl < work.duration:
        context.progress.warn(
            f"the instance is terminated after {exact(ttl)}, before the work is done: raise `max_ttl`, or run "
            "gpuctl extend in time"
        )
    chosen = decided.request or replace(request, market=Market.SPOT, timed_work=work, decision=decided.line)
    return replace(chosen, ttl=ttl, falls_back=chosen.market is Market.SPOT)


def candidates(context: Context, request: Request) -> Choice:
    """What an active instance of the requested name may be: for work with a deadline, in either market."""
    wide = replace(request, market=Market.SPOT, falls_back=True) if request.timed_work else request
    return choose(wide, defaults_of(context.wiring), context.wiring.runtime, context.wiring.catalog)


def choice_of(context: Context, launch: LaunchOptions, request: Request) -> Choice:
    """The offers for the request in the order in which they are tried; with `--by work` by dollars per unit."""
    choice = choose(request, defaults_of(context.wiring), context.wiring.runtime, context.wiring.catalog)
    if launch.by is None:
        return choice
    history = history_of_purpose(context.wiring.store, context.wiring.catalog, launch.purpose)
    costs = history.ranked(choice.offers)
    for line in learned_notes(history, launch.purpose):
        context.progress.info(line)
    if costs[0].usd is not None:
        context.progress.info(
            f"{costs[0].offer.type.name} {costs[0].offer.market} in {costs[0].offer.region}: {per_unit(costs[0])} per "
            f"{history.unit} ({basis_text(costs[0])})"
        )
    return replace(choice, offers=tuple(cost.offer for cost in costs))
