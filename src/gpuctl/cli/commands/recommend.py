"""`gpuctl recommend`: which instance fits a task, for how long, at what price, and the line to type."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import MINUTES, integer, option
from gpuctl.cli.quantities import BY_WORK, BY_WORK_HELP
from gpuctl.cli.render.figures import age_notes, counted, money, plain, rate
from gpuctl.cli.render.result import Result
from gpuctl.cli.render.tables import right, table
from gpuctl.cli.render.work import learned_notes
from gpuctl.documents.offers import recommendation_shape
from gpuctl.documents.work import work_shape
from gpuctl.domain.duration import exact
from gpuctl.domain.history import past_spans, quantile
from gpuctl.domain.instance import Market, ProviderName
from gpuctl.domain.market.offers import Offer
from gpuctl.domain.market.request import DEFAULT_PURPOSE
from gpuctl.domain.market.sizing import CLASSES, Advice, advice, cheapest, fits_size
from gpuctl.domain.market.work_cost import WorkCost, WorkHistory
from gpuctl.domain.money.cost import rates
from gpuctl.errors import UsageError
from gpuctl.services.query import all_records
from gpuctl.services.work_history import history_of_purpose

if TYPE_CHECKING:
    from rich.table import Table

EXAMPLES = """\
gpuctl recommend --docs 30
gpuctl recommend --minutes 40 --region us-east-1
gpuctl recommend --by work --purpose ocr
gpuctl recommend --docs 200 --minutes 75 --provider aws"""

COLUMNS = ("size", "provider", "instanceType", "region", "minutes", "costPerHour", "costUntilDeadline", "command")
_MOST_DOCS = 1_000_000
_DISK_GB = 100


@dataclass(frozen=True, slots=True)
class _Choice:
    """One cloud's answer: its offer, what it costs until the deadline, and the line that starts it."""

    offer: Offer
    compute: Decimal | None
    full_cost: Decimal | None
    line: str
    work: WorkCost | None = None


def command(
    ctx: typer.Context,
    docs: Annotated[int | None, option(integer("N", 1, _MOST_DOCS), "Number of documents")] = None,
    minutes: Annotated[timedelta | None, option(MINUTES, "Duration of the task: minutes, or 1h30m")] = None,
    region: options.PricedRegion = None,
    provider: options.Provider = None,
    by: Annotated[str | None, option(BY_WORK, BY_WORK_HELP)] = None,
    purpose: options.Purpose = DEFAULT_PURPOSE,
) -> Result:
    """Recommend an instance type and a TTL for a task, with the command to run. Sends no network requests.

    Fewer than 10 documents are light, 10 to 50 medium, more than 50 heavy. The TTL is 30 minutes for tasks under 15
    minutes, 1 hour up to 45 minutes, 2 hours up to 90 minutes. Shows the cheapest match of each provider.
    """
    context: Context = ctx.find_root().obj
    if by is not None and docs is None and minutes is None:
        minutes = _past_duration(context, purpose)
    if docs is None and minutes is None:
        raise UsageError("specify --docs, --minutes, or both", hint="gpuctl recommend --docs 30 --minutes 40")
    if minutes is not None and minutes <= timedelta(0):
        raise UsageError("--minutes must be above zero")
    clouds = context.wiring.catalog.providers(provider, region)
    recommended = advice(docs, minutes, context.wiring.config.max_ttl)
    history = history_of_purpose(context.wiring.store, context.wiring.catalog, purpose) if by else None
    matching = (_chosen(context, cloud, region, recommended, history) for cloud in clouds)
    chosen = [choice for choice in matching if choice is not None]
    if not chosen:
        where = f" in `{region}`" if region else ""
        raise UsageError(
            f"no {recommended.size} instance type of known price{where}",
            hint="another `--region`, or gpuctl prices refresh",
        )
    chosen.sort(key=_order)
    shapes = [
        {
            **recommendation_shape(recommended, choice.offer, choice.compute, choice.full_cost, choice.line),
            **({"work": work_shape(choice.work, history)} if choice.work and history else {}),
        }
        for choice in chosen
    ]
    return Result(
        document={
            "reason": _explanation(recommended, docs, minutes),
            "recommendation": shapes[0],
            "alternatives": shapes[1:],
        },
        columns=COLUMNS,
        rows=[_row(recommended, choice) for choice in chosen],
        ids=[choice.offer.type.name for choice in chosen],
        draw=lambda width: _table(recommended, chosen),
        footer=[
            *_footer(context, recommended, docs, minutes, chosen),
            *(learned_notes(history, purpose) if history else []),
        ],
    )


def _past_duration(context: Context, purpose: str) -> timedelta:
    """The duration of nine in ten of the past runs of the purpose; an hour where there are none."""
    spans = past_spans(all_records(context.wiring.store, with_archived=True), purpose)
    return quantile(spans, 0.9) if spans else timedelta(hours=1)


def _order(choice: "_Choice") -> tuple[bool, Decimal, Decimal]:
    per_work = choice.work.usd if choice.work else None
    return choice.work is not None and per_work is None, per_work or Decimal(0), choice.compute or Decimal(0)


def _chosen(
    context: Context, cloud: ProviderName, region: str | None, recommended: Advice, history: WorkHistory | None
) -> _Choice | None:
    catalog = context.wiring.catalog
    markets = tuple(Market) if history else (Market.ON_DEMAND,)
    every = [offer for market in markets for offer in catalog.offers(cloud, market)]
    wanted = region or context.wiring.config.cloud(cloud).region
    work, best = None, None
    for where in (wanted, *([None] if region is None else [])):
        offers = _offers_in(every, where)
        if history is None:
            best = cheapest(offers, recommended.size)
        else:
            fitting = [offer for offer in offers if offer.price is not None and fits_size(offer.type, recommended.size)]
            work = next(iter(history.ranked(fitting)), None)
            best = work.offer if work else None
        if best is not None:
            break
    if best is None:
        return None
    extras = context.wiring.extras.of(cloud, best.region, _DISK_GB)
    cost = rates(best.price, extras.disk, extras.public_ip).for_span(recommended.ttl)
    ttl = int(recommended.ttl.total_seconds() // 60)
    program = "gpuctl --sandbox" if context.sandbox else "gpuctl"
    spot = " --spot" if best.market is Market.SPOT else ""
    line = f"{program} provision {best.type.name} --region {best.region}{spot} --ttl {ttl}"
    return _Choice(best, cost.compute, cost.total, line, work)


def _offers_in(offers: Iterable[Offer], region: str | None) -> list[Offer]:
    return [offer for offer in offers if region in (None, offer.region)]


def _row(recommended: Advice, choice: _Choice) -> list[str]:
    price = choice.offer.price
    return [
        recommended.size.value,
        choice.offer.type.provider.upper(),
        choice.offer.type.name,
        choice.offer.region,
        str(int(recommended.ttl.total_seconds() // 60)),
        plain(price.usd_per_hour if price else None),
        plain(choice.compute),
        choice.line,
    ]


def _table(recommended: Advice, chosen: Sequence[_Choice]) -> "Table":
    grid = table("TYPE", "GPU", "REGION", right("$/H"), right("TTL"), right("EST. COST"))
    for choice in chosen:
        kind, price = choice.offer.type, choice.offer.price
        grid.add_row(
            kind.name,
            kind.gpu_label,
            choice.offer.region,
            rate(price.usd_per_hour if price else None),
            exact(recommended.ttl),
            money(choice.full_cost),
        )
    return grid


def _footer(
    context: Context, recommended: Advice, docs: int | None, task: timedelta | None, chosen: Sequence[_Choice]
) -> list[str]:
    lines = [_explanation(recommended, docs, task)]
    if recommended.ttl < recommended.needed:
        over = task is not None and task >= recommended.ttl
        trouble = "the task does not fit" if over else "the margin is small"
        lines.append(
            f"recommended TTL is {exact(recommended.needed)}, but max_ttl is {exact(recommended.ttl)}: {trouble}; "
            "split the task, or raise max_ttl in the config"
        )
    old = age_notes([choice.offer.price for choice in chosen], context.clock.now(), in_sandbox=context.sandbox)
    return [*lines, *old, *(choice.line for choice in chosen[:1])]


def _explanation(recommended: Advice, docs: int | None, task: timedelta | None) -> str:
    parts = []
    if docs is not None:
        parts.append(counted(docs, "document"))
    if task is not None:
        parts.append(f"a task of {exact(task)}")
    return f"{recommended.size}, for {' and '.join(parts)}: the cheapest with {CLASSES[recommended.size].why}"
