"""`gpuctl pool simulate`: what the policies of a pool would have cost, and how long jobs would have waited."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Annotated

import typer

from gpuctl.cli.commands.pool.parameters import POOL
from gpuctl.cli.commands.pool.render import COLUMNS, Played, Simulation, footer, report_renderable, row, shape
from gpuctl.cli.commands.pool.trace_file import STDIN, read_trace
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import FILE, USD, ParameterType, argument, integer, option, word_choice
from gpuctl.cli.render.result import Result
from gpuctl.domain.duration import as_typed, parse_duration
from gpuctl.domain.pools.demand import Job
from gpuctl.domain.pools.policy import POLICY_FORMS, Policy, parse_policy, waiting_value
from gpuctl.domain.pools.replay import Setup, oracle_s
from gpuctl.domain.pools.tune import simulate
from gpuctl.errors import UsageError

EXAMPLES = """\
gpuctl pool simulate --trace jobs.csv --wait-cost 30 --price 0.526
gpuctl pool simulate --trace jobs.csv --policy keep:10m --policy predict
gpuctl pool simulate --trace jobs.gz --train-until 604800 --chart pool.svg
gpuctl pool simulate train --policy predict --policy keep:30m"""

_POLICY = ParameterType("POLICY", lambda text, name: parse_policy(text, option=name), lambda *_: POLICY_FORMS)
_DEFAULT_POLICIES = tuple(map(parse_policy, ("on-demand", "keep:10m", "reactive", "predict", "tuned")))
_DEFAULT_WAIT_COST, _DEFAULT_PRICE = Decimal(30), Decimal(1)


def _span(text: str, name: str) -> timedelta:
    plain = text.strip(" ")
    span = parse_duration(f"{plain}s" if plain.isdecimal() else plain, option=name)
    if not timedelta(seconds=1) <= span <= timedelta(days=1):
        raise UsageError(f"{name} must be 1s to 1d, not {as_typed(text)}")
    return span


def _instant(text: str, name: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = parse_duration(text, option=name).total_seconds()
    if not isfinite(seconds):
        raise UsageError(f"{name} must be a number of seconds, such as `604800`, not {as_typed(text)}")
    return seconds


@dataclass(frozen=True, slots=True)
class _Subject:
    """The jobs that are simulated, and what holds for them unless an option says otherwise."""

    jobs: Sequence[Job]
    setup: Setup
    price: Decimal
    wait_cost: Decimal
    budget_day: Decimal | None


_TRACE = ParameterType("FILE", lambda text, name: text, lambda *_: (STDIN,), is_file=True)
_SPAN = ParameterType("TIME", _span)
_SECONDS = ParameterType("SECONDS", _instant)


def command(
    ctx: typer.Context,
    name: Annotated[
        str | None, argument(POOL, "Pool whose past leases are simulated, with its settings", "[NAME]")
    ] = None,
    trace: Annotated[
        str | None, option(_TRACE, "Trace of past jobs: CSV or JSON lines, also .gz; - for stdin", "--trace")
    ] = None,
    policy: Annotated[
        list[Policy] | None,
        option(_POLICY, "on-demand, keep:TIME, reactive, predict, tuned, always:N or auto (repeatable)", "--policy"),
    ] = None,
    boot: Annotated[timedelta | None, option(_SPAN, "Time from launch to ready [default: 150s]")] = None,
    tick: Annotated[timedelta, option(_SPAN, "Time between two runs of `gpuctl pool scale`")] = timedelta(seconds=60),
    wait_cost: Annotated[
        Decimal | None, option(USD, "Cost of an hour of waiting in USD [default: 30]", "--wait-cost")
    ] = None,
    price: Annotated[Decimal | None, option(USD, "Price of an instance in USD per hour [default: 1]")] = None,
    max_instances: Annotated[
        int | None, option(integer("N", 1, 10_000), "Maximum number of instances [default: no limit]", "--max")
    ] = None,
    train_until: Annotated[float | None, option(_SECONDS, "Use the trace until this second for learning only")] = None,
    budget_day: Annotated[
        Decimal | None, option(USD, "Maximum cost of the pool in USD per day [default: no limit]")
    ] = None,
    reuse: Annotated[
        str | None,
        option(
            word_choice("WHEN", ("any", "never")),
            "any: an instance runs several jobs; never: only one job [default: any]",
        ),
    ] = None,
    chart: Annotated[Path | None, option(FILE, "Also write a chart to FILE (SVG)")] = None,
) -> Result:
    """Simulate policies on past jobs: cost, waiting times, and instances over time.

    A trace has a row per job, with the columns arrival_s and duration_s in seconds. Cost is compared with an oracle: a
    policy that knows the future and never lets a job wait. Starts nothing, and needs neither a cloud nor a pool. With
    the name of a pool, the jobs are its past leases, in seconds since the first lease, and the settings of the pool are
    the defaults of the options.
    """
    context: Context = ctx.find_root().obj
    if chart is not None:
        from gpuctl.cli.render.svg import check_name

        check_name(chart, "pool.svg")
    subject = _subject(context, name, trace)
    price = price or subject.price
    wait_cost = wait_cost or subject.wait_cost
    budget_day = budget_day or subject.budget_day
    setup = Setup(
        boot.total_seconds() if boot else subject.setup.boot_s,
        tick.total_seconds(),
        waiting_value(wait_cost, price),
        max_instances or subject.setup.limit,
        subject.setup.one_shot if reuse is None else reuse == "never",
        None if budget_day is None else float(budget_day / price) * 3_600,
    )
    result = _simulation(subject.jobs, list(dict.fromkeys(policy or _DEFAULT_POLICIES)), setup, price, train_until)
    if chart is not None:
        from gpuctl.cli.commands.pool.chart import chart as picture
        from gpuctl.cli.render.svg import save

        save(chart, picture(result))
    return Result(
        document={"simulation": shape(result)},
        columns=COLUMNS,
        rows=[row(result, played) for played in result.played],
        ids=[played.name for played in result.played],
        draw=lambda width: report_renderable(result, width),
        footer=[*footer(result), *([f"chart written to {chart}"] if chart else [])],
    )


def _subject(context: Context, name: str | None, trace: str | None) -> _Subject:
    """What is simulated. UsageError unless either a trace or a pool is named, NotFoundError for an unknown pool."""
    if (name is None) == (trace is None):
        problem = "nothing to simulate" if name is None else "two things to simulate"
        raise UsageError(
            f"{problem}: give either --trace FILE or the name of a pool", hint="gpuctl pool simulate --trace jobs.csv"
        )
    if trace is not None:
        return _Subject(read_trace(context, trace), Setup(), _DEFAULT_PRICE, _DEFAULT_WAIT_COST, None)
    from gpuctl.domain.pools.events import KEPT_FOR
    from gpuctl.services.pools.past import past_of
    from gpuctl.services.pools.tools import pool_named
    from gpuctl.services.pools.view import price_of
    from gpuctl.wiring.pools import open_pools

    tools = open_pools(context.wiring)
    pool = pool_named(tools.pools, name or "")
    records = context.wiring.store.snapshot().records
    price = price_of(tools, pool, records)
    past = past_of(tools, pool, records, price, KEPT_FOR)
    finished = [job for job in past.jobs if job.duration_s is not None]
    start_s = finished[0].arrival_s if finished else 0.0
    jobs = [job._replace(arrival_s=job.arrival_s - start_s) for job in finished]
    return _Subject(jobs, past.setup, price or _DEFAULT_PRICE, pool.wait_cost, pool.budget_day)


def _simulation(
    jobs: Sequence[Job], policies: Sequence[Policy], setup: Setup, price: Decimal, since_s: float | None
) -> Simulation:
    return Simulation(
        [job for job in jobs if since_s is None or job.arrival_s >= since_s],
        setup,
        price,
        oracle_s(jobs, setup.boot_s, since_s, one_shot=setup.one_shot),
        [Played(policy, *simulate(jobs, policy, setup, since_s)) for policy in policies],
    )
