"""Money, times and places in the few characters that a table has for them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from gpuctl.domain.duration import approximate
from gpuctl.domain.instance import Instance, Market, Price
from gpuctl.domain.money.cost import Cost, hourly, to_cents

if TYPE_CHECKING:
    from gpuctl.domain.money.report import CostSum

BARE = "* compute only: the disk or public IP price is unknown"


def money(amount: Decimal | None) -> str:
    """`$0.42`; `?` where it is unknown."""
    return "?" if amount is None else f"${to_cents(amount):,.2f}"


def rate(amount: Decimal | None) -> str:
    """Dollars an hour to a tenth of a cent: `0.526`; `?` where it is unknown."""
    return "?" if amount is None else f"{amount:.3f}"


def all_in(cost: Cost) -> str:
    """`$0.42` with disk and address; `$0.42*` where one of those is unknown, `?` where the instance's price is."""
    return money(cost.counted) + _mark(cost)


def all_in_rate(cost: Cost) -> str:
    """Dollars an hour in the same way: `0.542`, `0.526*`, `?`."""
    return rate(cost.counted) + _mark(cost)


def counted(number: int, what: str) -> str:
    """`1 machine`, `2 machines`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def plain(amount: Decimal | None) -> str:
    """A decimal as scripts want it; empty where it is unknown."""
    if amount is None:
        return ""
    text = f"{amount.quantize(Decimal('0.000001')):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def cell(value: object) -> str:
    """A value of a document as scripts want it in a row; empty for None."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def per_hour(record: Instance) -> Decimal | None:
    """What the instance costs an hour, as frozen at its launch."""
    return record.price.usd_per_hour if record.price else None


def type_label(record: Instance) -> str:
    """The type, and that it is spot."""
    return f"{record.instance_type} spot" if record.market is Market.SPOT else record.instance_type


def ends_in(record: Instance, now: datetime) -> str:
    """How long until its deadline, or how late it is; empty once it has ended."""
    if not record.is_active:
        return ""
    left = record.expires_at - now
    return f"{approximate(left)} late" if left < timedelta(0) else approximate(left)


def countdown(record: Instance, now: datetime) -> str:
    """The same to the second, for who watches it: `36:41`, `1:02:07`, `3:10 late`."""
    if not record.is_active:
        return ""
    seconds = int((record.expires_at - now).total_seconds())
    minutes, second = divmod(abs(seconds), 60)
    hours, minute = divmod(minutes, 60)
    spelled = f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
    return f"{spelled} late" if seconds < 0 else spelled


def local(at: datetime | None) -> str:
    """An instant in the reader's own time zone: `2026-11-24 13:15:00 +0100`."""
    return "" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


def utc(at: datetime | None) -> str:
    """An instant for scripts: RFC 3339 in UTC."""
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ago(at: datetime | None, now: datetime) -> str:
    """`2m ago`; `never` where it never was."""
    return "never" if at is None else f"{approximate(now - at)} ago"


def is_bare(record: Instance) -> bool:
    """Whether its figures are of the instance alone, and marked so."""
    rates = hourly(record)
    return rates.counted is not None and not rates.is_whole


def cost_line(records: Sequence[Instance], now: datetime) -> str:
    """The line below a list: how many live, what they cost an hour, so far, and if all run to their deadlines."""
    from gpuctl.domain.money.report import cost_summary

    ahead = cost_summary(records, now)
    return (
        f"{ahead.live} active · {money(ahead.hourly.total)}/h · {money(ahead.spent.total)} spent · "
        f"{money(ahead.by_deadline.total)} at the deadlines{exclusions(ahead.by_deadline)}"
    )


def exclusions(summed: "CostSum") -> str:
    """What a sum does not hold, to be said behind it; empty where it holds everything."""
    text = f" · {summed.unknown_price_count} of unknown price not counted" if summed.unknown_price_count else ""
    return f"{text} · {summed.compute_only_count} without disk or public IP" if summed.compute_only_count else text


def age_notes(prices: Iterable[Price | None], now: datetime, *, in_sandbox: bool) -> list[str]:
    """A line about the prices that are older than 30 days; none in the sandbox, where prices cannot be fetched."""
    from gpuctl.domain.money.prices import age_note

    note = None if in_sandbox else age_note(prices, now.date())
    return [] if note is None else [note]


def _mark(cost: Cost) -> str:
    return "" if cost.is_whole or cost.counted is None else "*"
