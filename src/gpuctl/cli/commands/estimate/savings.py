"""What an instance costs that runs only while it is used, compared with one that is always on."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from gpuctl.cli.context import Context
from gpuctl.cli.render.figures import age_notes, counted, money, plain
from gpuctl.cli.render.result import Result
from gpuctl.cli.render.tables import right, table
from gpuctl.documents.offers import NOT_INCLUDED, estimate_shape
from gpuctl.domain.instance import Market
from gpuctl.domain.market.offers import InstanceType, Offer, Requirements, ranked
from gpuctl.domain.money.cost import rates
from gpuctl.domain.money.prices import origin
from gpuctl.domain.money.savings import DAYS_A_MONTH, HOURS_A_DAY, Savings, Usage, savings
from gpuctl.errors import UsageError
from gpuctl.wiring.invocation import Wiring

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = ("users", "period", "alwaysOn", "whileUsed", "savings", "savingsPercent")


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the answer: what so many users come to in a month or a year."""

    users: int
    period: str
    always_on: Decimal
    on_demand: Decimal
    saved: Decimal
    percent: Decimal


def savings_result(
    context: Context,
    instance_type: str,
    usage: Usage,
    region: str | None,
    disk_gb: int,
    *,
    is_spot: bool,
) -> Result:
    """The savings of that type, as `gpuctl estimate` shows them. UsageError where a name or a price is unknown."""
    kind = context.wiring.catalog.find(instance_type)
    offer, region_source = _offer_for(context.wiring, kind, region, Market.SPOT if is_spot else Market.ON_DEMAND)
    if offer.price is None:
        raise UsageError(
            f"the {offer.market.value} price of `{kind.name}` in `{offer.region}` is unknown",
            hint="gpuctl prices refresh, or another `--region`",
        )
    usd = offer.price.usd_per_hour
    each = savings(usd, Usage(usage.hours_per_day, usage.days))
    together = savings(usd, usage)
    rows = [*_rows(1, each), *(_rows(usage.users, together) if usage.users > 1 else [])]
    extras = context.wiring.extras.of(kind.provider, offer.region, disk_gb)
    all_in = rates(offer.price, extras.disk, extras.public_ip).total
    with_all = None if all_in is None else savings(all_in, usage)
    return Result(
        document={"estimate": estimate_shape(offer, usage, each, together, disk_gb, with_all)},
        columns=COLUMNS,
        rows=[_plain(row) for row in rows],
        ids=[kind.name],
        draw=lambda width: _table(rows),
        footer=_footer(context, offer, region_source, usage, disk_gb, with_all),
    )


def _offer_for(wiring: Wiring, kind: InstanceType, region: str | None, market: Market) -> tuple[Offer, str]:
    """The offer in that region, else in the configured one, else the cheapest; and how the region was chosen.

    UsageError for a region that the provider does not have. The price of the offer is None where it is unknown.
    """
    catalog = wiring.catalog
    if region is not None:
        catalog.check_region(kind.provider, region)
        return catalog.offer(kind, region, market), ""
    configured = wiring.config.cloud(kind.provider).region
    if configured is not None and catalog.is_listed(kind, configured):
        offer = catalog.offer(kind, configured, market)
        if offer.price is not None:
            return offer, "configured"
    offers = [offer for offer in catalog.offers(kind.provider, market) if offer.type.name == kind.name]
    best = next(iter(ranked(offers, Requirements(with_retired=True))), None)
    if best is None:
        raise UsageError(f"no region has `{kind.name}`", hint="gpuctl types")
    return best, "the cheapest region"


def _rows(users: int, figures: Savings) -> list[_Row]:
    return [
        _Row(users, "month", figures.always_on, figures.on_demand, figures.saved, figures.percent),
        _Row(
            users,
            "year",
            figures.always_on_a_year,
            figures.on_demand_a_year,
            figures.saved_a_year,
            figures.percent,
        ),
    ]


def _plain(row: _Row) -> list[str]:
    return [
        str(row.users),
        row.period,
        plain(row.always_on),
        plain(row.on_demand),
        plain(row.saved),
        f"{row.percent:.1f}",
    ]


def _table(rows: Sequence[_Row]) -> "Table":
    grid = table("", "", right("ALWAYS ON"), right("WHILE USED"), right("SAVINGS"), "")
    for row in rows:
        grid.add_row(
            counted(row.users, "user"),
            f"a {row.period}",
            money(row.always_on),
            money(row.on_demand),
            money(row.saved),
            f"{row.percent:.1f} %",
        )
    return grid


def _footer(
    context: Context, offer: Offer, region_source: str, usage: Usage, disk_gb: int, with_all: Savings | None
) -> list[str]:
    kind, price = offer.type, offer.price
    if price is None:
        return []
    where = f"{offer.region} ({region_source})" if region_source else offer.region
    hours, always = plain(usage.hours_per_day), max(usage.days, DAYS_A_MONTH)
    lines = [
        f"{kind.name} ({kind.gpu_label}) in {where}, {offer.market.value}, ${plain(price.usd_per_hour)}/h as of "
        f"{price.as_of}, {origin(price)}",
        f"always on: {HOURS_A_DAY} h on {always} days a month; while used: {hours} h on {usage.days} days",
    ]
    if with_all is not None:
        lines.append(
            f"with a {disk_gb} GB disk and a public IP each, while the instance exists: "
            f"{money(with_all.on_demand)} a month instead of {money(with_all.always_on)}"
        )
    else:
        lines.append("disk and public IP are not included: their prices are unknown")
    lines.append(f"not counted: {', '.join(NOT_INCLUDED)}")
    remark = _retired_note(kind)
    return [*lines, *([remark] if remark else []), *age_notes([price], context.clock.now(), in_sandbox=context.sandbox)]


def _retired_note(kind: InstanceType) -> str | None:
    if kind.retirement is None:
        return None
    instead = f": `{kind.successor}` is its replacement" if kind.successor else ""
    return f"{kind.retirement} and can no longer be started{instead}"
