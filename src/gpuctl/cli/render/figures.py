"""Money, times and places in the few characters that a table has for them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from gpuctl.domain.cost import accrued, projected, to_cents
from gpuctl.domain.duration import rough
from gpuctl.domain.instance import Instance, Market

_ZERO = Decimal(0)


def money(amount: Decimal | None) -> str:
    """`$0.42`; `?` where it is unknown."""
    return "?" if amount is None else f"${to_cents(amount):,.2f}"


def rate(amount: Decimal | None) -> str:
    """Dollars an hour to a tenth of a cent: `0.526`; `?` where it is unknown."""
    return "?" if amount is None else f"{amount:.3f}"


def counted(number: int, what: str) -> str:
    """`1 machine`, `2 machines`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def plain(amount: Decimal | None) -> str:
    """A decimal as scripts want it; empty where it is unknown."""
    if amount is None:
        return ""
    text = f"{amount.quantize(Decimal('0.000001')):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def per_hour(one: Instance) -> Decimal | None:
    """What the machine costs an hour, as frozen at its launch."""
    return one.price.usd_per_hour if one.price else None


def type_label(one: Instance) -> str:
    """The type, and that it is spot."""
    return f"{one.instance_type} spot" if one.market is Market.SPOT else one.instance_type


def ends_in(one: Instance, now: datetime) -> str:
    """How long until its deadline, or how late it is; empty once it has ended."""
    if not one.is_live:
        return ""
    left = one.expires_at - now
    return f"{rough(left)} late" if left < timedelta(0) else rough(left)


def countdown(one: Instance, now: datetime) -> str:
    """The same to the second, for who watches it: `36:41`, `1:02:07`, `3:10 late`."""
    if not one.is_live:
        return ""
    seconds = int((one.expires_at - now).total_seconds())
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
    return "never" if at is None else f"{rough(now - at)} ago"


def burn(records: Sequence[Instance], now: datetime) -> str:
    """The line below a list: how many live, what they cost an hour, so far, and if all run to their deadlines."""
    live = [one for one in records if one.is_live]
    hourly = sum((per_hour(one) or _ZERO for one in live), _ZERO)
    so_far = sum((accrued(one, now) or _ZERO for one in records), _ZERO)
    in_all = sum((projected(one, now) or _ZERO for one in records), _ZERO)
    unknown = sum(one.price is None for one in records)
    line = f"{len(live)} live · {money(hourly)}/h now · {money(so_far)} so far"
    line += f" · {money(in_all)} if all run to their deadlines"
    return f"{line} · {unknown} of unknown price not counted" if unknown else line
