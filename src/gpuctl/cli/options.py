"""Options shared by several commands, and strict parsing of option values."""

import re
from collections.abc import Sequence
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated

import typer

from gpuctl.domain.duration import shown
from gpuctl.domain.instance import ProviderName, Status
from gpuctl.errors import UsageError
from gpuctl.providers.registry import SUPPORTED, check_supported, quoted

User = Annotated[str | None, typer.Option(metavar="USER", help="Only instances of this user")]
Task = Annotated[str | None, typer.Option(metavar="TASK", help="Only instances of this task")]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", metavar="K=V", help="Only instances with this tag (repeatable)")
]
PROVIDERS = " or ".join(SUPPORTED)
Provider = Annotated[str | None, typer.Option(metavar="PROVIDER", help=f"Only this provider: {PROVIDERS}")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Skip confirmation")]

_PLAIN = re.compile(r"\d{1,9}(\.\d{1,6})?|\.\d{1,6}", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,9}", re.ASCII)


def whole(text: str, *, option: str) -> int:
    """A whole number of plain digits. UsageError, naming the option, for anything else."""
    if not _WHOLE.fullmatch(text.strip(" ")):
        raise UsageError(f"{option} must be a whole number, not {shown(text)}")
    return int(text)


def usd(text: str | None, *, option: str) -> Decimal | None:
    """Dollars, above zero. UsageError, naming the option, for anything else."""
    return None if text is None else _number(text, option, "dollars, such as `1.20`")


def gib(text: str | None, *, option: str) -> Decimal | None:
    """GiB, above zero. UsageError, naming the option, for anything else."""
    return None if text is None else _number(text, option, "GiB, such as `24`")


def number(text: str | None, *, option: str) -> Decimal | None:
    """A number above zero, parts of one too. UsageError, naming the option, for anything else."""
    return None if text is None else _number(text, option, "a number, such as `1`")


def tags(pairs: Sequence[str] | None) -> dict[str, str]:
    """`K=V` pairs. UsageError for one without `=`, one said twice, or one that no cloud could carry."""
    found: dict[str, str] = {}
    if not pairs:
        return found
    from gpuctl.domain.market.request import check_tag

    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--tag must be K=V, not {shown(pair)}", hint="add `--tag project=x`")
        check_tag(key, value)
        if key in found:
            raise UsageError(f"--tag has {shown(key)} twice")
        found[key] = value
    return found


def provider(text: str | None) -> ProviderName | None:
    """The cloud of that name, whatever its case. UsageError, naming those there are, for another."""
    if text is None:
        return None
    try:
        return ProviderName(text.lower())
    except ValueError:
        raise UsageError(f"unknown provider {shown(text)}", hint=f"one of {quoted(SUPPORTED)}") from None


def supported_provider(text: str | None) -> ProviderName | None:
    """The same, where machines can be started already."""
    name = provider(text)
    if name is not None:
        check_supported(name)
    return name


def statuses(texts: Sequence[str] | None) -> frozenset[Status]:
    """The statuses of those names, whatever their case. UsageError, naming them all, for another."""
    found = set()
    for text in texts or ():
        if text.upper() not in Status.__members__:
            near = get_close_matches(text.upper(), Status.__members__, n=1)
            names = near or list(Status.__members__)
            raise UsageError(f"unknown status {shown(text)}", hint=f"one of {', '.join(f'`{name}`' for name in names)}")
        found.add(Status(text.upper()))
    return frozenset(found)


def hours(text: str, *, option: str) -> Decimal:
    """Hours, above zero. UsageError, naming the option, for anything else."""
    return _number(text, option, "hours, such as `2` or `7.5`")


def _number(text: str, option: str, wanted: str) -> Decimal:
    # Decimal itself takes digits of every script, and underscores between them.
    number = Decimal(text.strip(" ")) if _PLAIN.fullmatch(text.strip(" ")) else Decimal(0)
    if number <= 0:
        raise UsageError(f"{option} must be {wanted}, not {shown(text)}")
    return number
