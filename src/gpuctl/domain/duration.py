"""Durations as people type them (`90m`, `1h30m`, `7d`) and as they are shown."""

import re
from datetime import timedelta

from gpuctl.errors import UsageError

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_FORM = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII)
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)


def parse_duration(text: str, *, option: str) -> timedelta:
    """The span that `90s`, `15m`, `1h30m` or `7d` names. UsageError, naming the option, for anything else."""
    match = _FORM.fullmatch(text.strip(" "))
    if match is None or not any(match.groups()):
        raise UsageError(f"{option} must be a duration such as `90s`, `15m` or `1h30m`, not {as_typed(text)}")
    seconds = sum(int(count) * unit for count, unit in zip(match.groups(), _UNITS.values(), strict=True) if count)
    if seconds > 36_500 * 86_400:
        raise UsageError(f"{option} is too long: {as_typed(text)}")
    return timedelta(seconds=seconds)


def parse_minutes(text: str, *, option: str) -> timedelta:
    """Like `parse_duration`, and a bare number means minutes."""
    if _NUMBER.fullmatch(text.strip(" ")):
        return parse_duration(f"{text.strip(' ')}m", option=option)
    return parse_duration(text, option=option)


def exact(span: timedelta) -> str:
    """A span as it would be typed: `2h`, `1h30m`, `45s`; below a second `0s`."""
    left, parts = int(span.total_seconds()), []
    for unit, size in _UNITS.items():
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def approximate(span: timedelta) -> str:
    """A span at the precision a glance needs: `37m`, `2h05m`, `3d4h`, `40s`; the sign is dropped."""
    seconds = int(abs(span.total_seconds()))
    if seconds < 60:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 120:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h{minutes:02}m"
    days, hours = divmod(hours, 24)
    return f"{days}d{hours}h" if hours else f"{days}d"


def as_typed(text: str) -> str:
    """What somebody typed, quoted for a one-line message: control characters escaped, long text cut."""
    printable = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text[:60])
    return f"`{printable}{'…' if len(text) > 60 else ''}`"
