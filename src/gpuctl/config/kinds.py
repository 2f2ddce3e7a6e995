"""What the value of a setting may be, and how its text is read."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from gpuctl.domain.duration import as_typed, exact, parse_duration
from gpuctl.domain.market.request import HIGHEST_MAX_TTL, MIN_TTL
from gpuctl.domain.money.budgets import BudgetAction
from gpuctl.domain.tags import STATE_ID
from gpuctl.errors import UsageError


@dataclass(frozen=True, slots=True)
class SettingKind:
    """What a value must be. `read` turns one text into the value, and raises UsageError naming its second argument."""

    read: Callable[[str, str], Any]
    expected: str = "a text"
    is_number: bool = False
    is_list: bool = False


_DOLLARS = re.compile(r"\d{1,9}(\.\d{1,6})?", re.ASCII)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.ASCII | re.IGNORECASE)
_SAFE_URL = re.compile(r"https://[^\s/]|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/|$)", re.ASCII)


def _text(text: str, where: str) -> str:
    if not text.isprintable():
        raise UsageError(f"{where} holds control characters: {as_typed(text)}")
    return text


def _duration(text: str, where: str) -> timedelta:
    return parse_duration(text, option=where)


def _ttl(text: str, where: str) -> timedelta:
    ttl = _duration(text, where)
    if not MIN_TTL <= ttl <= HIGHEST_MAX_TTL:
        raise UsageError(f"{where} must be {exact(MIN_TTL)} to {exact(HIGHEST_MAX_TTL)}, not `{exact(ttl)}`")
    return ttl


def _dollars(text: str, where: str) -> Decimal:
    if not _DOLLARS.fullmatch(text):
        raise UsageError(f"{where} must be dollars, such as `10` or `2.50`, not {as_typed(text)}")
    return Decimal(text)


def _state_id(text: str, where: str) -> str:
    if not STATE_ID.fullmatch(text):
        raise UsageError(f"{where} holds {as_typed(text)}, which is not a valid state ID")
    return text


def _action(text: str, where: str) -> BudgetAction:
    if text not in BudgetAction.__members__.values():
        raise UsageError(f"{where} must be {', '.join(BudgetAction)}, not {as_typed(text)}")
    return BudgetAction(text)


def _hook(text: str, where: str) -> str:
    # An address is never shown: it is often a secret by itself.
    if _URL.match(text) and not _SAFE_URL.match(text):
        raise UsageError(f"{where} must be a command or an https URL", hint="plain http is for loopback only")
    if not text.isprintable():
        raise UsageError(f"{where} holds control characters")
    return text


def _source(text: str, where: str) -> str:
    if text in ("auto", "none"):
        return text
    from ipaddress import ip_network

    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        expected = "`auto`, `none` or a CIDR such as `192.0.2.0/24`"
        raise UsageError(f"{where} must be {expected}, not {as_typed(text)}") from None


TEXT, DURATION, TTL, ACTION, HOOK, SOURCE = map(SettingKind, (_text, _duration, _ttl, _action, _hook, _source))
DOLLARS = SettingKind(_dollars, "a number", is_number=True)
TEXTS, STATE_IDS = (SettingKind(read, "a list of texts", is_list=True) for read in (_text, _state_id))
