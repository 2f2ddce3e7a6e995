"""The table of settings: what each is called, what it must be, and how its text is read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from gpuctl.domain.duration import parse_duration, shown, spelled
from gpuctl.domain.events import EventName
from gpuctl.domain.market.request import HIGHEST_MAX_TTL, MIN_TTL
from gpuctl.domain.money.budgets import BudgetAction
from gpuctl.domain.tags import STATE_ID
from gpuctl.errors import UsageError
from gpuctl.providers.registry import all_facts

ANY = "*"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value must be. `read` turns one text into the value, and raises UsageError naming its second argument."""

    wanted: str
    read: Callable[[str, str], Any]
    is_number: bool = False
    is_plural: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """One setting. A part of `path` that is `*` stands for any name a person chooses."""

    path: tuple[str, ...]
    kind: Kind
    about: str

    @property
    def variable(self) -> str | None:
        """Its environment variable; None where a part of its name is a person's own."""
        return None if ANY in self.path else f"GPUCTL_{'_'.join(self.path).upper()}"


_DOLLARS = re.compile(r"\d{1,9}(\.\d{1,6})?", re.ASCII)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.ASCII | re.IGNORECASE)
_SAFE_URL = re.compile(r"https://[^\s/]|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/|$)", re.ASCII)


def _text(text: str, where: str) -> str:
    if not text.isprintable():
        raise UsageError(f"{where} holds control characters: {shown(text)}")
    return text


def _duration(text: str, where: str) -> timedelta:
    return parse_duration(text, option=where)


def _lifetime(text: str, where: str) -> timedelta:
    span = _duration(text, where)
    if not MIN_TTL <= span <= HIGHEST_MAX_TTL:
        raise UsageError(f"{where} must be {spelled(MIN_TTL)} to {spelled(HIGHEST_MAX_TTL)}, not `{spelled(span)}`")
    return span


def _dollars(text: str, where: str) -> Decimal:
    if not _DOLLARS.fullmatch(text):
        raise UsageError(f"{where} must be dollars, such as `10` or `2.50`, not {shown(text)}")
    return Decimal(text)


def _state_id(text: str, where: str) -> str:
    if not STATE_ID.fullmatch(text):
        raise UsageError(f"{where} holds {shown(text)}, which is not a valid state ID")
    return text


def _action(text: str, where: str) -> BudgetAction:
    if text not in BudgetAction.__members__.values():
        raise UsageError(f"{where} must be {', '.join(BudgetAction)}, not {shown(text)}")
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
        wanted = "`auto`, `none` or a CIDR such as `192.0.2.0/24`"
        raise UsageError(f"{where} must be {wanted}, not {shown(text)}") from None


TEXT = Kind("a text", _text)
TEXTS = Kind("a list of texts", _text, is_plural=True)
STATE_IDS = Kind("a list of texts", _state_id, is_plural=True)
DURATION = Kind("a text", _duration)
LIFETIME = Kind("a text", _lifetime)
DOLLARS = Kind("a number", _dollars, is_number=True)
ACTION = Kind("a text", _action)
HOOK = Kind("a text", _hook)
SOURCE = Kind("a text", _source)

_TABLE: Mapping[str, tuple[Kind, str]] = {
    "user": (TEXT, "owner of new instances; default: login name"),
    "max_ttl": (LIFETIME, "longest time to live that may be requested"),
    "confirm_above": (DOLLARS, "prompt on a terminal if an instance costs more than this until its deadline"),
    "keep_ended": (DURATION, "how long terminated records stay in the state before they move to the archive"),
    "reap_state_ids": (STATE_IDS, "other states whose orphans this reaper may terminate"),
    **{
        f"{facts.name}.{setting.name}": (TEXTS if setting.is_list else TEXT, setting.help)
        for facts in all_facts()
        for setting in facts.settings
    },
    "budget.daily_usd": (DOLLARS, "limit per UTC day in dollars, all instances"),
    "budget.monthly_usd": (DOLLARS, "limit per UTC month in dollars, all instances"),
    "budget.action": (ACTION, "action at a limit: warn, block or terminate"),
    "budget.user.*.daily_usd": (DOLLARS, "limit per UTC day in dollars for one user"),
    "budget.user.*.monthly_usd": (DOLLARS, "limit per UTC month in dollars for one user"),
    "budget.tag.*.daily_usd": (DOLLARS, "limit per UTC day in dollars for instances with one tag"),
    "budget.tag.*.monthly_usd": (DOLLARS, "limit per UTC month in dollars for instances with one tag"),
    **{f"hooks.{event}": (HOOK, "command or https URL that receives this event") for event in EventName},
    "ssh.key": (TEXT, "public key file for new instances; default: a key pair generated by gpuctl"),
    "ssh.from": (SOURCE, "allowed SSH source: auto (your IP address), none or a CIDR range"),
    "ssh.options": (TEXTS, "ssh options, such as `ProxyJump=bastion`"),
    "ssh.user": (TEXT, "remote user"),
}
KEYS = {path: Key(path, *row) for name, row in _TABLE.items() for path in (tuple(name.split(".")),)}


def key_of(path: tuple[str, ...]) -> Key | None:
    """The row of that setting; None where there is none."""
    return KEYS.get(path) or next((key for key in KEYS.values() if _fits(key.path, path)), None)


def known_below(path: tuple[str, ...]) -> list[str]:
    """What may stand below that section, in the table's order; `*` where a person chooses."""
    depth = len(path)
    return list(dict.fromkeys(key.path[depth] for key in KEYS.values() if _begins(key.path, path)))


def spelled_path(path: tuple[str, ...]) -> str:
    """The setting as TOML spells it: `budget.tag."project=x".daily_usd`."""
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"' for part in path)


def _fits(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    return len(pattern) == len(path) and all(want in (ANY, got) for want, got in zip(pattern, path, strict=True))


def _begins(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    return len(pattern) > len(path) and _fits(pattern[: len(path)], path)
