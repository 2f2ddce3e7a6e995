"""How the public JSON writes numbers, amounts and instants."""

from datetime import UTC, datetime
from decimal import Decimal


def instant(at: datetime | None) -> str | None:
    """`2026-11-24T10:00:00Z`."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def dollars(amount: Decimal | None) -> float | None:
    """Dollars to a millionth; None for unknown."""
    return number(amount)


def hours(span: Decimal) -> float:
    """Hours to a millionth."""
    return round(float(span), 6)


def minutes(seconds: float) -> int | float:
    """Minutes, a whole number where they are whole."""
    return int(seconds // 60) if seconds % 60 == 0 else seconds / 60


def number(value: Decimal | None, places: int = 6) -> float | None:
    return None if value is None else round(float(value), places)
